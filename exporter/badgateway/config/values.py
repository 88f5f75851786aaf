"""Values that YAML has no type for: durations, and secrets that never show themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that no header and no path may hold."""

DURATION_LIMIT: Final = 7 * 24 * 3600.0


class Duration(float):
    """Seconds, written like ``5s``, ``1m30s`` or ``250ms``."""


class Secret:
    """A text that is shown as ``<secret>`` wherever it is printed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written down")


class SecretFile:
    """Path of a file that holds a secret; it is read at each use (``config.secretfiles``)."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"SecretFile({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretFile) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)


def seconds(text: str) -> float:
    """Return the seconds in a duration such as ``1m30s``.

    Raises:
        ValueError: not a duration, nothing, or longer than a week.
    """
    match = _DURATION.fullmatch(text) if len(text) <= 32 else None
    if not match or not any(match.groups()):
        raise ValueError("is no duration; write it like 5s, 1m30s or 250ms")
    hours, minutes, whole, milliseconds = (int(group or 0) for group in match.groups())
    found = hours * 3600 + minutes * 60 + whole + milliseconds / 1000
    if found <= 0:
        raise ValueError("must be longer than nothing")
    if found > DURATION_LIMIT:
        raise ValueError("is longer than a week")
    return found
