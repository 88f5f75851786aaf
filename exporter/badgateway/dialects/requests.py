"""What application servers write of each request: uvicorn's, gunicorn's and hypercorn's own lines.

uvicorn (0.17 to 0.54): ``INFO:     127.0.0.1:50112 - "GET / HTTP/1.1" 200 OK``; run by gunicorn
without the level. gunicorn (20 to 27) and hypercorn: Apache's combined format, hypercorn's behind
its prefix and with the client's port. Where one is configured otherwise nothing is understood.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from badgateway.events import Line, Request
from badgateway.useragent import probe_token

_KEPT: Final = 64
_LONGEST: Final = 8192
_ASGI: Final = re.compile(
    r'(?:INFO: +)?(?:[^\s"]*:(?P<port>\d{1,5}))? - "[A-Z]{1,20} .* HTTP/[\d.]+" \d{3}', re.ASCII
)
_COMBINED: Final = re.compile(
    r"(?:\[[^\]]{19,30}\] \[\d+\] \[INFO\] )?(?P<client>\S*) \S+ \S+ \[[^\]]{20,40}\]"
    r' "[A-Z]{1,20} .* [\w/.]+" \d{3} \S+ "[^"]*" "(?P<agent>[^"]*)"$',
    re.ASCII,
)
_WITH_PORT: Final = re.compile(r"(?:\[[\da-f:.]+\]|[^:]+):(?P<port>\d{1,5})", re.ASCII)


def request(line: Line) -> Request | None:
    """Return the request that a line tells of; None for any other line."""
    if found := _ASGI.match(line.text):
        return Request(line.at, int(found["port"]) if found["port"] else None)
    if found := _COMBINED.match(line.text):
        client = _WITH_PORT.fullmatch(found["client"])
        port = int(client["port"]) if client else None
        return Request(line.at, port, probe_token(found["agent"]) or "")
    return None


class Newest:
    """Keeps the newest lines of a stream that may tell of requests, until they are taken."""

    def __init__(self) -> None:
        self._kept: deque[Line] = deque(maxlen=_KEPT)

    def note(self, line: Line) -> None:
        """Take a line; a busy server writes thousands a second, so little is done."""
        text = line.text
        if '" ' in text and ' "' in text and len(text) < _LONGEST:
            self._kept.append(line)

    def take(self) -> tuple[Request, ...]:
        """Return the newest requests since the last time."""
        if not self._kept:
            return ()
        taken = tuple(found for line in self._kept if (found := request(line)) is not None)
        self._kept.clear()
        return taken
