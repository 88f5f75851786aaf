"""nginx' ``log_format``: a template becomes a grammar of its lines.

A template is literal text and ``$variables``. How nginx writes a value depends on ``escape``:
``default`` writes ``"``, ``\\`` and unprintable bytes as ``\\xHH``, ``json`` escapes as JSON does,
``none`` writes it raw. With the first two a client cannot write a quote, so what stands between
quotes is one value. Source: ``ngx_http_log_module.c``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")

# What nginx itself writes there: a client has no say in it, and none holds a quote.
_NUMBER: Final = r"[0-9.]++|-|"
_SHAPES: Final = {
    "status": r"[0-9]{3}|-|",
    "msec": _NUMBER, "request_time": _NUMBER, "body_bytes_sent": _NUMBER, "bytes_sent": _NUMBER,
    "request_length": _NUMBER, "connection": _NUMBER, "connection_requests": _NUMBER,
    "pid": _NUMBER, "remote_port": _NUMBER, "server_port": _NUMBER,
    "time_local": r"[^\]\[\" ]++ [+-][0-9]{4}", "time_iso8601": r"[0-9T:Z.+-]++",
    "remote_addr": r"[^ \",]*+", "server_name": r"[^ \"]*+", "host": r"[^ \"]*+",
    "http_host": r"[^ \"]*+", "request_id": r"[0-9a-f]*+", "request_method": r"[A-Za-z_-]*+",
    "request_completion": r"OK|", "server_addr": r"[^ \"]*+", "scheme": r"[a-z]*+",
    "request_uri": r"[^ \"]*+", "request": r"[A-Za-z_-]++ [^ \"]*+ HTTP/[0-9.]++|-|",
}  # fmt: skip
_LIST: Final = r"[^ \",]*+(?:(?:, | : )[^ \",]*+)*+"
_LAZY_VALUES: Final = 1
_LAZY_CHARACTERS: Final = 2000
"""Values of unknown extent in one template; each more would multiply the time a line may take."""


@dataclass(frozen=True, slots=True)
class Part:
    """A literal (``variable`` is empty) or a variable of a template."""

    text: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A template that was taken apart.

    Attributes:
        parts: in order.
        escape: how values are written: ``default``, ``json`` or ``none``.
    """

    parts: tuple[Part, ...]
    escape: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, each once."""
        return tuple(dict.fromkeys(part.variable for part in self.parts if part.variable))

    def pattern(self, wanted: Sequence[str]) -> str:
        """Return a regular expression of a whole line, without its end.

        Args:
            wanted: variables to capture; each gets a group, in the order of the template.
        """
        found, taken, lazy = [], set(), 0
        for index, part in enumerate(self.parts):
            if not part.variable:
                found.append(re.escape(part.text))
                continue
            value, is_lazy = self._value(part.variable, index)
            if index == len(self.parts) - 1:
                value = value.replace("[^", "[^\\n")  # nothing else keeps it to its line
            if is_lazy:
                lazy += 1
                value = value if lazy <= _LAZY_VALUES else r"[^ \"\n]*+"
            if part.variable in wanted and part.variable not in taken:
                taken.add(part.variable)
                found.append(f"({value})")
            else:
                found.append(f"(?:{value})")
        return "".join(found)

    def _value(self, variable: str, index: int) -> tuple[str, bool]:
        """The expression of a value, and whether it may be of any extent."""
        before, following = _char(self.parts, index - 1, -1), _char(self.parts, index + 1, 0)
        if before == following == '"':
            if self.escape == "json":
                return r"[^\"\\]*+(?:\\.[^\"\\]*+)*+", False
            if self.escape == "default":
                return r"[^\"]*+", False
        if variable in _SHAPES:
            return _SHAPES[variable], False
        if variable.startswith("upstream_") and not variable.startswith("upstream_http"):
            return _LIST, False
        if following and following not in '" ':
            # up to the next literal, as nginx would not write one of its own there
            return f'[^"{re.escape(following)}\\n]*+', False
        kind = r"[^\n]" if self.escape == "none" else r"[^\"\n]"
        return f"{kind}{{0,{_LAZY_CHARACTERS}}}?", True

    def order(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Return the captured variables in the order of ``pattern``'s groups."""
        return tuple(name for name in self.variables if name in wanted)


def parse(template: str, escape: str = "default") -> LogFormat:
    """Take a template apart.

    Args:
        template: the text of ``log_format``, its quoted pieces joined.
        escape: ``default``, ``json`` or ``none``; anything else counts as ``default``.
    """
    parts: list[Part] = []
    end = 0
    for found in _VARIABLE.finditer(template):
        if found.start() > end:
            parts.append(Part(template[end : found.start()]))
        parts.append(Part("", found[1] or found[2]))
        end = found.end()
    if end < len(template):
        parts.append(Part(template[end:]))
    return LogFormat(tuple(parts), escape if escape in ("json", "none") else "default")


def unescape(value: str, escape: str) -> str:
    """Return what nginx wrote a value of, as far as it says; ``-`` and empty are left as is."""
    if "\\" not in value or escape == "none":
        return value
    if escape == "json":
        return _JSON_ESCAPE.sub(_from_json, value)
    return value  # marks are compared in the escaped form


_JSON_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.S)
_JSON_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def _from_json(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _JSON_LETTERS.get(code, code)


def _char(parts: Sequence[Part], index: int, which: int) -> str:
    """The first or last character of the literal at ``index``, or an empty string."""
    if not 0 <= index < len(parts) or parts[index].variable:
        return ""
    return parts[index].text[which]
