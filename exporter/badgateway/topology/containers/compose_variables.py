"""Variables in a compose file (the Compose Specification, "Interpolation", 2024). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_TEXT: Final = 16 * 1024
_NESTING: Final = 16
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPERATOR: Final = re.compile(r":?[-+?]")


class UnknownError(ValueError):
    """Something depends on what is not known here."""


class FaultError(UnknownError):
    """Compose itself would refuse it; the text says why."""


def interpolated(text: str, known: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with its variables replaced, those within defaults too.

    Args:
        text: as the file has it.
        known: the variables that are known.
        depth: how deeply it stands in the default of another.

    Raises:
        UnknownError: one is not known and has no default, or it is too much of a text.
        FaultError: it is none that Compose takes.
    """
    if len(text) > _TEXT or depth > _NESTING:
        raise UnknownError("too long")
    found, at = [], 0
    while (sign := text.find("$", at)) >= 0:
        found.append(text[at:sign])
        following = text[sign + 1 : sign + 2]
        if following == "$":
            found.append("$")
            at = sign + 2
        elif following == "{":
            at = _end(text, sign + 2) + 1
            found.append(_braced(text[sign + 2 : at - 1], known, depth))
        elif name := _NAME.match(text, sign + 1):
            found.append(_value(name[0], known))
            at = name.end()
        else:
            raise FaultError("a `$` that begins no variable; write `$$`")
    return "".join(found) + text[at:]


def _end(text: str, at: int) -> int:
    """Where the brace is closed that is open at a place."""
    open_braces = 1
    for place in range(at, len(text)):
        if text.startswith("${", place):
            open_braces += 1
        elif text[place] == "}":
            open_braces -= 1
            if not open_braces:
                return place
    raise FaultError("a `${` without its `}`")


def _braced(inner: str, known: Mapping[str, str], depth: int) -> str:
    name = _NAME.match(inner)
    if name is None:
        raise FaultError("a `${` without a name")
    rest = inner[name.end() :]
    if not rest:
        return _value(name[0], known)
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise FaultError(f"`${{{name[0]}` is followed by what is no operator")
    other = rest[operator.end() :]
    is_set = bool(known.get(name[0])) if rest.startswith(":") else name[0] in known
    if operator[0].endswith("+"):
        return interpolated(other, known, depth + 1) if is_set else ""
    if is_set:
        return known[name[0]]
    if operator[0].endswith("-"):
        return interpolated(other, known, depth + 1)
    raise UnknownError(name[0])


def _value(name: str, known: Mapping[str, str]) -> str:
    if name not in known:
        raise UnknownError(name)
    return known[name]
