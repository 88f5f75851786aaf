"""Taking secrets out of texts that others wrote before they are shown or logged."""

from __future__ import annotations

import re
from typing import Final

_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s'\"@]+@")
_QUERY: Final = re.compile(r"(?<=[\w/])\?[^\s'\"<>]+|\?[^\s'\"<>=]{1,200}=[^\s'\"<>]+")
_COOKIE: Final = re.compile(
    r"(?i)\b((?:set-)?cookie['\"]?\s{0,4}[:=]\s{0,4}\[?['\"]?)[^'\"\]\s][^'\"\]]*"
)
_ASSIGNMENT: Final = re.compile(
    r"(?i)\b([\w.-]*(?:password|passwd|secret|token|api[_-]?key|authorization|credential)[\w.-]*"
    r"['\"]?\s*[=:]\s*)(?!\s)(?:'[^']*'|\"[^\"]*\"|(?:(?:Basic|Bearer|Digest|Token) )?\S+)"
)


def redacted(text: str) -> str:
    """Return ``text`` without URL credentials, query strings and values named like secrets."""
    text = _CREDENTIALS.sub("…@", text)
    text = _QUERY.sub("?…", text)
    text = _COOKIE.sub(r"\1…", text)
    return _ASSIGNMENT.sub(r"\1…", text)
