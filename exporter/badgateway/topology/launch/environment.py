"""systemd's environment files."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_BLANK: Final = " \t\n\r"


def read_environment_file(text: str) -> dict[str, str]:
    """Return the variables of an ``EnvironmentFile=``, as systemd reads it.

    Values may be quoted in part, run over several lines inside quotes or after a backslash, and
    are not expanded. Lines that are no assignment or name no valid variable are passed over, as
    systemd does; it takes everything after a comment's line for a new line (systemd 254; earlier
    versions let a backslash continue a comment).
    """
    variables: dict[str, str] = {}
    position = 0
    while position < len(text):
        char = text[position]
        if char in _BLANK:
            position += 1
        elif char in "#;":
            while position < len(text) and text[position] not in "\n\r":
                position += 1
        else:
            end = position + 1  # a line's first character always belongs to the name
            while end < len(text) and text[end] not in "=\n\r":
                end += 1
            name = text[position:end].rstrip()
            if end >= len(text) or text[end] != "=":
                position = end
                continue
            value, position = _value(text, end + 1)
            if _NAME.match(name):
                variables[name] = value
    return variables


def _value(text: str, position: int) -> tuple[str, int]:
    """Read a value up to the end of its line; blanks around it do not belong to it."""
    value = ""
    kept = 0  # what stands before this is not stripped: it was quoted, escaped or not blank
    started = False
    while position < len(text):
        char = text[position]
        position += 1
        if char in "\n\r":
            break
        if char in "'\"" and not started:
            inside, position = _quoted_value(text, position, char)
            value += inside
            kept = len(value)
        elif char == "\\":
            started = True
            if text[position : position + 1] not in ("\n", "\r", ""):
                value += text[position]
            kept = len(value)
            position += 1
        elif char in _BLANK:
            value += char if started else ""
        else:
            started = True
            value += char
            kept = len(value)
    return value[:kept], position


def _quoted_value(text: str, position: int, quote: str) -> tuple[str, int]:
    value = ""
    while position < len(text):
        char = text[position]
        position += 1
        if char == quote:
            break
        if quote == '"' and char == "\\" and position < len(text):
            char = text[position]
            position += 1
            value += char if char in '"\\`$' else "" if char == "\n" else "\\" + char
        else:
            value += char
    return value, position
