"""What msgspec refuses, in the words of someone who writes a configuration."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from badgateway.config import shape
from badgateway.config.keytypes import WORDS
from badgateway.config.problems import Place, Problem, choices, nearest, shown
from badgateway.config.shape import Type
from badgateway.config.tree import Bad, Item
from badgateway.config.values import Duration, Secret, SecretFile

_AT: Final = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?", re.S)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.S)
_MISSING: Final = re.compile(r"Object missing required field `(?P<key>\w+)`")

_TYPING_ERROR: Final = 0.8
"""From this likeness on a key is another one mistyped."""

Convert = Any


def explain(message: str, root: Item, convert: Convert) -> Problem | None:
    """Drop from the tree what msgspec refused, and say why.

    Args:
        message: msgspec's.
        root: the tree; what is wrong is left out of it.
        convert: ``msgspec.convert`` with the hooks in use.

    Returns:
        The problem; None when it follows from another that was told.
    """
    found = _AT.fullmatch(message)
    assert found is not None
    what = found["what"]
    unknown, missing = _UNKNOWN.fullmatch(what), _MISSING.fullmatch(what)
    trail = _walk(root, found["path"] or "$", convert)
    steps, item = [step for step, _ in trail], trail[-1][1] if trail else root
    kind = shape.at(steps)
    assert kind is not None
    if unknown and kind.struct is not None:
        key = unknown["key"]
        allowed = list(shape.keys(kind.struct))
        place = item.keys[key]
        item.drop(key)
        item.dropped.add(nearest(key, allowed))
        if _holds_secrets(kind) and not nearest(key, allowed, _TYPING_ERROR):
            place = _unnamed(place, item)
        return Problem(place, f"unknown key{choices(key, allowed)}")
    if missing and kind.struct is not None:
        key = missing["key"]
        item.content[key] = Item(item.place, _stand_in(kind.struct, key, item))
        if key in item.dropped:
            return None
        return Problem(item.place, f"lacks the key `{key}`")
    parent = trail[-2][1] if len(trail) > 1 else root
    parent.drop(steps[-1])
    place = item.place
    if isinstance(item.content, Bad) and steps[-2:-1] == ["headers"]:
        place = _unnamed(place, parent)  # a key that has no value may be one
    return Problem(place, _refusal(what, kind, item))


def _holds_secrets(kind: Type) -> bool:
    assert kind.struct is not None
    return any(key.type.core is Secret for key in shape.keys(kind.struct).values())


def _unnamed(place: Place, within: Item) -> Place:
    """Return the place of a key that may be a secret written where its key should be."""
    return Place(place.line, place.column, f"{within.place.path}.…")


def _stand_in(struct: type[msgspec.Struct], key: str, item: Item) -> str:
    """Return a value that fits a key, so that the rest of its mapping can be looked at."""
    if key == "name":
        return f"stand-in-{id(item)}"  # unlike any other name
    return str(next(meta.examples[0] for meta in shape.keys(struct)[key].type.metas
                    if meta.examples))  # fmt: skip


def _walk(root: Item, path: str, convert: Convert) -> list[tuple[str | int, Item]]:
    """Return the steps of msgspec's path and the items they lead to."""
    trail: list[tuple[str | int, Item]] = []
    item = root
    for key, index in _STEP.findall(path):
        step: str | int = key
        if index == "...":
            step = _culprit(item, shape.at([one for one, _ in trail]), convert)
        elif index:
            step = int(index)
        child = item.child(step)
        if child is None:
            break
        item = child
        trail.append((step, item))
    return trail


def _culprit(item: Item, kind: Type | None, convert: Convert) -> str:
    """Return the key of a dict whose value is refused: msgspec does not name it."""
    assert kind is not None
    assert kind.inner is not None
    for key, child in item.content.items():
        try:
            convert(child.plain(), kind.inner.core)
        except msgspec.ValidationError:
            return str(key)
    raise AssertionError("msgspec refused a mapping all of whose values it accepts")


def _refusal(what: str, kind: Type, item: Item) -> str:
    given = item.content
    if isinstance(given, Bad):
        return given.what
    core = kind.core
    if get_origin(core) is Literal:
        allowed = [str(value) for value in get_args(core)]
        return f"{shown(item.written or _called(given))} is unknown{choices(item.written, allowed)}"
    if core is Duration:
        text = shown(item.written) if isinstance(given, str | int | float) else _called(given)
        return f"{text} {what}" if not what.startswith("must") else what
    if core in (Secret, SecretFile):
        if isinstance(given, str):
            return what
        quote = "" if isinstance(given, list | dict) else "; put it in quotes"
        return f"must be text, not {_called(given)}{quote}"
    if core is str and not isinstance(given, str):
        return _not_text(item)
    if core is str:
        pattern, longest = kind.bound("pattern"), kind.bound("max_length")
        return WORDS[pattern] if pattern else f"must be at most {longest} characters long"
    if core is bool:
        return f"must be true or false, not {_called(given)}"
    if core is int:
        least, most = kind.bound("ge"), kind.bound("le")
        return f"must be a whole number from {least} to {most}"
    wanted = "a list" if get_origin(core) is tuple else "a mapping of keys to values"
    return f"must be {wanted}, not {_called(given)}"


def _not_text(item: Item) -> str:
    called = _called(item.content)
    if isinstance(item.content, list | dict):
        return f"must be text, not {called}"
    return f'must be text, not {called}; put it in quotes: "{item.written[:40]}"'


def _called(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value (as yes, no, on and off are)"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "text"


def top(root: Item) -> Problem | None:
    """Return the problem of a file that is no mapping."""
    if isinstance(root.content, dict):
        return None
    what = root.content.what if isinstance(root.content, Bad) else (
        f"must be a mapping of keys to values, not {_called(root.content)}"
    )  # fmt: skip
    return Problem(Place(root.place.line, root.place.column, ""), what)
