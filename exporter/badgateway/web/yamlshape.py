"""YAML of a known shape: values by kind, and every problem with its line and column.

Scalars are taken as Go's yaml.v2 takes them, whose files these are: a plain number or boolean is
a string where a string is wanted, and a null leaves the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import yaml

from badgateway.config.problems import choices

Kind = Callable[["Reader", yaml.Node, str], Any]
"""(reader, node, path) → value; raises ``ProblemError``."""

NOTHING: Final[dict[str, Any]] = {}
"""What ``mapping`` returns for a null."""

_STR, _NULL, _BOOL, _INT = (f"tag:yaml.org,2002:{tag}" for tag in ("str", "null", "bool", "int"))
_BOOLEANS: Final = yaml.constructor.SafeConstructor.bool_values
_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_QUOTED: Final = re.compile(r"'(?!<)[^']{3,}'")


class ProblemError(Exception):
    """One thing that is wrong; its text begins with ``line:column``."""

    @classmethod
    def at(cls, node: yaml.Node, path: str, what: str) -> ProblemError:
        """Return the problem ``what`` of the value at ``node``."""
        return cls(f"{_place(node, path)}: {what}")


class Reader:
    """Collects the problems of one file."""

    def __init__(self, name: str) -> None:
        """Begin with a file called ``name``."""
        self._name = name
        self.problems: list[str] = []

    def add(self, place: str, what: str) -> None:
        """Note a problem at a ``place``."""
        self.problems.append(f"{place}: {what}")

    def sorted(self) -> list[str]:
        """Return the problems in the order of their places, each once."""

        def position(problem: str) -> tuple[int, int]:
            line, column, *_ = problem[len(self._name) + 1 :].split(":")
            return int(line), int(column)

        return sorted(dict.fromkeys(self.problems), key=position)

    def place(self, node: yaml.Node, path: str) -> str:
        """Return ``file:line:column: path`` of a node."""
        return f"{self._name}:{_place(node, path)}"

    def keep(self, problem: ProblemError) -> None:
        """Note a problem that was raised."""
        self.problems.append(f"{self._name}:{problem}")


def _place(node: yaml.Node, path: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path)[:200]
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}: {shown or 'the file'}"


def compose(text: str) -> yaml.Node | None:
    """Return the document's root, None when it is empty.

    Raises:
        ProblemError: it is no YAML. Nothing of the text is quoted: it may be a secret.
    """
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        what = _QUOTED.sub("…", error.problem or "not YAML")
        raise ProblemError(f"{where}: the file: {what}") from None
    except yaml.YAMLError as error:
        what = getattr(error, "reason", None) or "not YAML"
        raise ProblemError(f"1:1: the file: {what}") from None
    except RecursionError:
        raise ProblemError("1:1: the file: nested too deeply") from None
    return root


def mapping(
    reader: Reader,
    node: yaml.Node | None,
    path: str,
    kinds: Mapping[str, Kind],
    places: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the values given for the keys in ``kinds``.

    Problems are noted in ``reader`` and what has one is left out. ``places`` is told where each
    key stands.
    """
    found: dict[str, Any] = {}
    for key, name, value in _pairs(reader, node, path):
        inner = f"{path}.{key}" if path else key
        kind = kinds.get(key)
        if kind is None:
            reader.keep(ProblemError.at(name, inner, f"unknown key{choices(key, kinds)}"))
            continue
        if places is not None:
            places[key] = reader.place(name, inner)
        if value.tag == _NULL:
            continue
        try:
            found[key] = kind(reader, value, inner)
        except ProblemError as problem:
            reader.keep(problem)
    return found if found or (node is not None and node.tag != _NULL) else NOTHING


def open_mapping(reader: Reader, node: yaml.Node, path: str, kind: Kind) -> dict[str, Any]:
    """Return a mapping whose keys are free and whose values are of one kind; null is no value."""
    found: dict[str, Any] = {}
    for key, _, value in _pairs(reader, node, path):
        try:
            found[key] = kind(reader, value, f"{path}.{key}")
        except ProblemError as problem:
            reader.keep(problem)
    return found


def _pairs(
    reader: Reader, node: yaml.Node | None, path: str
) -> list[tuple[str, yaml.Node, yaml.Node]]:
    if node is None or node.tag == _NULL:
        return []
    if not isinstance(node, yaml.MappingNode):
        reader.keep(ProblemError.at(node, path, f"wants keys and values, not {_called(node)}"))
        return []
    found: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            reader.keep(ProblemError.at(name, path, f"a key is one word, not {_called(name)}"))
        elif name.value in found:
            reader.keep(ProblemError.at(name, f"{path}.{name.value}".lstrip("."), "given twice"))
        else:
            found[name.value] = (name.value, name, value)
    return list(found.values())


def string(_: Reader, node: yaml.Node, path: str) -> str:
    """Return a string; plain numbers and booleans are taken as written."""
    if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
        raise ProblemError.at(node, path, f"wants a string, not {_called(node)}")
    value = str(node.value)
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise ProblemError.at(node, path, "holds what is no text: NUL, or half a character")
    return value


def boolean(_: Reader, node: yaml.Node, path: str) -> bool:
    """Return a boolean."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != _BOOL:
        raise ProblemError.at(node, path, f"wants true or false, not {_called(node)}")
    return bool(_BOOLEANS[node.value.lower()])


def natural(_: Reader, node: yaml.Node, path: str) -> int:
    """Return a whole number from 0 on."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != _INT or not node.value.isdecimal():
        raise ProblemError.at(node, path, "wants a whole number, 0 or more")
    return int(node.value[:18])


def duration(_: Reader, node: yaml.Node, path: str) -> float:
    """Return seconds of a duration as Go writes it, such as ``1s`` or ``1m30s``, or 0."""
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    parts = _DURATION.findall(text)
    if text != "0" and (not parts or "".join(a + b for a, b in parts) != text):
        raise ProblemError.at(
            node, path, "wants a duration with its unit, such as 1s, 500ms or 1m30s"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def choice(allowed: Sequence[str]) -> Kind:
    """Return the kind of strings that are one of ``allowed``."""

    def read_choice(reader: Reader, node: yaml.Node, path: str) -> str:
        value = string(reader, node, path)
        if value not in allowed:
            raise ProblemError.at(node, path, f"unknown value{choices(value, allowed)}")
        return value

    return read_choice


def sequence(kind: Kind) -> Kind:
    """Return the kind of lists whose items are of ``kind``."""

    def read_sequence(reader: Reader, node: yaml.Node, path: str) -> tuple[Any, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise ProblemError.at(node, path, f"wants a list, not {_called(node)}")
        found = []
        for number, item in enumerate(node.value):
            try:
                found.append(kind(reader, item, f"{path}[{number}]"))
            except ProblemError as problem:
                reader.keep(problem)
        return tuple(found)

    return read_sequence


def _called(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "keys and values"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return {_NULL: "nothing", _BOOL: "a boolean", _INT: "a number"}.get(node.tag, "a string")
