"""Which route a request was for: what is shown of a URL that a client chose.

Query strings hold secrets, and so may parts of a path: anything that is no plain word is ``:id``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_MARK: Final = re.compile(r"^line:\S+ (?P<method>[A-Z]{1,16}) (?P<path>/\S*)")
_CADDY: Final = re.compile(r"^caddy:\S+ (?P<path>/\S*)")
_WORD: Final = re.compile(r"[A-Za-z]{1,20}(?:[-_.][A-Za-z]{1,20}){0,4}|v[0-9]{1,2}")
_SEGMENTS: Final = 8


def route(marks: Iterable[str]) -> str:
    """Return ``GET /reports/:id`` for the marks of a request; empty when none says its path."""
    for pattern in (_MARK, _CADDY):
        for mark in marks:
            if found := pattern.match(mark):
                method = found.groupdict().get("method")
                return f"{method} {shape(found['path'])}" if method else shape(found["path"])
    return ""


def shape(path: str) -> str:
    """Return a path without its query, everything that is no plain word as ``:id``."""
    plain = re.split(r"[?;#]", path, maxsplit=1)[0]
    segments = plain.split("/")[1:]
    shown = [s if not s or _WORD.fullmatch(s) else ":id" for s in segments[:_SEGMENTS]]
    return "/" + "/".join(shown) + ("/…" if len(segments) > _SEGMENTS else "")
