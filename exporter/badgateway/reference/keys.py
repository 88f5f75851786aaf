"""The configuration's sections, and examples put together from those of its keys."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_origin

from msgspec import Struct

from badgateway.config import shape
from badgateway.config.schema import Config
from badgateway.config.shape import Key


@dataclass(frozen=True, slots=True)
class Section:
    """One mapping of the configuration.

    Attributes:
        struct: its type.
        paths: where it stands, such as ``backends[].probes[]``; the top is an empty string.
    """

    struct: type[Struct]
    paths: tuple[str, ...]


@functools.cache
def sections() -> tuple[Section, ...]:
    """Return the mappings in the order in which they are met."""
    found: dict[type[Struct], list[str]] = {}

    def visit(struct: type[Struct], path: str) -> None:
        found.setdefault(struct, []).append(path)
        for key in shape.keys(struct).values():
            below = nested(key)
            if below is not None:
                many = "[]" if get_origin(key.type.core) is tuple else ""
                visit(below, f"{path}.{key.name}{many}".lstrip("."))

    visit(Config, "")
    return tuple(Section(struct, tuple(paths)) for struct, paths in found.items())


def nested(key: Key) -> type[Struct] | None:
    """Return the mapping that a key holds, or a list of."""
    inner = key.type.inner
    return key.type.struct or (inner.struct if inner is not None else None)


def description(key: Key) -> str:
    """Return what a key means.

    Raises:
        LookupError: the schema does not say.
    """
    for meta in reversed(key.type.metas):
        if meta.description:
            return meta.description
    raise LookupError(f"the key `{key.name}` has no description")


def example(key: Key) -> Any:
    """Return a key's example, None for one that holds mappings and has none of its own.

    Raises:
        LookupError: the schema has none.
    """
    for meta in reversed(key.type.metas):
        if meta.examples:
            return meta.examples[0]
    if nested(key) is None:
        raise LookupError(f"the key `{key.name}` has no example")
    return None


def noted(key: Key, name: str) -> Any:
    """Return what ``Meta.extra`` of a key holds under a name, None without it."""
    found = (meta.extra[name] for meta in key.type.metas if meta.extra and name in meta.extra)
    return next(found, None)


def groups(struct: type[Struct]) -> list[list[Key]]:
    """Return a mapping's keys in groups that exclude one another."""
    found: dict[str, list[Key]] = {}
    for key in shape.keys(struct).values():
        found.setdefault(noted(key, "instead_of") or "", []).append(key)
    return list(found.values())


def variants(struct: type[Struct]) -> Iterator[dict[str, Any]]:
    """Yield examples of a mapping that use each of its own keys: as few as contradict nothing."""
    for group in groups(struct):
        own = {key.name: example(key) for key in group if nested(key) is None}
        if own:
            yield {**required(struct), **own}


def alternatives(struct: type[Struct]) -> list[dict[str, Any]]:
    """Return examples of a mapping that together use every key, those of mappings in it too."""
    found: list[dict[str, Any]] = []
    for group in groups(struct):
        inner = {
            key.name: alternatives(below)
            for key in group
            if (below := nested(key)) and example(key) is None
        }
        lists = {key.name for key in group if get_origin(key.type.core) is tuple}
        for number in range(max([1, *(len(inner[n]) for n in inner.keys() - lists)])):
            value = {} if group[0].required and not number else required(struct)
            for key in group:
                if key.name in lists & inner.keys():
                    if not number:
                        value[key.name] = _named_apart(inner[key.name])
                elif key.name in inner:
                    if number < len(inner[key.name]):
                        value[key.name] = inner[key.name][number]
                elif not number:
                    value[key.name] = example(key)
            found.append(value)
    return found


def _named_apart(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**item, "name": f"{item['name']}-{number}"} if number > 1 and "name" in item else item
        for number, item in enumerate(items, 1)
    ]


def required(struct: type[Struct]) -> dict[str, Any]:
    """Return the least that a mapping must hold."""
    return {key.name: example(key) for key in shape.keys(struct).values() if key.required}


def document(path: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a whole file in which the mapping at a path holds ``value``."""
    steps = path.split(".") if path else []
    structs: list[type[Struct]] = [Config]
    for step in steps:
        below = nested(shape.keys(structs[-1])[step.removesuffix("[]")])
        assert below is not None
        structs.append(below)
    for step, holder in zip(reversed(steps), reversed(structs[:-1]), strict=True):
        inner: Any = [value] if step.endswith("[]") else value
        value = {**required(holder), step.removesuffix("[]"): inner}
    return value
