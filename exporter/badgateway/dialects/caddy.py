"""Caddy's log: JSON (2.6 to 2.11), what it prints on a terminal, and Caddy 1's error log.

Three loggers matter. ``http.log.error[.NAME]`` is a handler's error: ``msg`` is the cause, and
``err_trace`` says whether proxying failed. ``http.log.access[.NAME]`` is a request that was
answered. ``http.handlers.reverse_proxy`` tells of bodies cut after the header. Everything a client
chose stays inside ``request``, so typed decoding of the top level cannot be forged. Source:
recordings of 2.6.2 and 2.11.7; Caddy 1's ``errors`` plugin; layer4's ``handlers.go``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import ClassVar, Final

from badgateway.dialects import caddy_entries as entries
from badgateway.dialects import caddy_tally, go_errors, stamps
from badgateway.dialects.caddy_entries import Entry
from badgateway.events import ClientAbort, Event, Line, Response, Tally, UpstreamFailure
from badgateway.redaction import redacted
from badgateway.vocabulary import CLIENT_CLOSED_REQUEST

_GATEWAY_ERRORS: Final = (502, 503, 504)
_LEFT_KEPT: Final = 1024
_COPYING: Final = ("read tcp", "write tcp", "readfrom tcp")
_TO_CLIENT: Final = ("writing: ", "write tcp", "write unix")
"""How an error of a body begins that could not be passed on."""

# zap's console: TIME, LEVEL, LOGGER, MESSAGE and the fields, between tabs
_CONSOLE: Final = re.compile(
    r"^(?P<time>[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?)[\t ]+"
    r"(?:\x1b\[[0-9;]*m)?(?P<level>[A-Za-z]+)(?:\x1b\[[0-9;]*m)?[\t ]+"
    r"(?P<logger>(?:http|layer4|tls|admin|caddy)[\w.]*)[\t ]+(?P<message>.*?)[\t ]*"
    r"(?P<fields>\{\".*\})$"
)
# the path is the client's and unescaped; a message holds no "] "
_CADDY_1: Final = re.compile(
    r"^(?P<time>[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}"
    r"|[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) "
    r"\[(?P<level>ERROR|NOTICE|WARNING|INFO) (?P<status>[0-9]{1,3}) .*\] (?P<message>.*)$"
)


class Reader:
    """Reads Caddy's lines."""

    NAME: ClassVar[str] = "caddy"
    IDENTIFIES: ClassVar[bool] = True
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r'^\{"level":"[a-z]+","[a-z@_]+":[^,]{1,40},(?:"logger":"|"msg":")'
        r"|^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?[\t ]+"
        r"(?:\x1b\[[0-9;]*m)?(?:DEBUG|INFO|WARN|ERROR|FATAL"
        r"|(?:debug|info|warn|error|fatal)(?=[\t ]+(?:http|layer4|tls|admin|caddy)))"
        r"(?:\x1b\[[0-9;]*m)?[\t ]"
        r"|^(?:[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}"
        r"|[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) \[(?:ERROR|NOTICE) [0-9]{1,3} "
    )

    def __init__(self) -> None:
        self.tells = False
        self._left: OrderedDict[str, None] = OrderedDict()

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line tells; None for what Caddy did not write."""
        if found := _CADDY_1.match(line.text):
            return _caddy_1(line, found)
        entry = _entry(line.text)
        if entry is None:
            return None
        at = entries.time_of(entry)
        at = line.at if at is None else at
        if entry.logger.startswith("http.log.error"):
            return self._error(entry, at)
        if entry.logger.startswith("http.log.access"):
            return self._access(entry, at)
        message = entries.text(entry.msg) or ""
        if entry.logger == "http.handlers.reverse_proxy" and message.startswith("aborting with"):
            return _aborted(entry, at)
        if entry.logger.startswith("layer4"):
            return _layer4(entry, at)
        return ()

    def tally(self, data: bytes) -> Tally:
        """Count ordinary access lines of raw bytes; the others are handed back."""
        return caddy_tally.tally(data)

    def _error(self, entry: Entry, at: float) -> tuple[Event, ...]:
        trace = entries.text(entry.err_trace) or ""
        status = entries.status(entry.status)
        if trace and not trace.startswith("reverseproxy."):
            return ()  # another handler's error: what it was told to answer
        cut = entry.duration is None  # it stands last but for the status and the trace
        if not trace and status not in _GATEWAY_ERRORS and not cut:
            return ()
        message = entries.text(entry.msg) or ""
        request, marks = entry.request, entries.marks(entry)[:1]
        site, probe, identity = request.site, entries.probe(request), entries.identity(entry)
        reason = go_errors.reason(message)
        if cut and not trace and (reason == "unknown" or message.startswith(_COPYING)):
            return ()  # a forward proxy writes the same
        if reason == go_errors.CLIENT_ABORT:
            self._leaves(marks)
            return (ClientAbort(at, site, probe, identity, marks),)
        address = go_errors.upstream(message) or entries.text(entry.upstream)
        detail = redacted(message[:1000])[:300]
        return (UpstreamFailure(at, reason, status, site, address, detail, probe, identity, marks),)

    def _access(self, entry: Entry, at: float) -> tuple[Event, ...]:
        request, marks = entry.request, entries.marks(entry)
        site, probe, identity = request.site, entries.probe(request), entries.identity(entry)
        status = entries.status(entry.status)
        if any(mark in self._left for mark in marks[:1]):
            del self._left[marks[0]]
            return ()  # its error line said that the client had gone
        if status == 0 and entries.is_upgrade(request):
            status = 101  # 2.6 writes 0 for an upgraded connection
        if status in (0, CLIENT_CLOSED_REQUEST):
            # 2.6 writes status 0 for a client that left, 2.11 writes 499
            return (ClientAbort(at, site, probe, identity, marks),)
        if status is None:
            return ()
        said = entries.upstreams(entry, status)
        self.tells = said.tells
        attempts = tuple(
            UpstreamFailure(at, reason, None, site, place, said.detail, probe, "", marks)
            for reason, place in said.attempts
        )
        duration = entries.seconds(entry.duration)
        return (
            Response(
                at, status, site, said.origin, duration, entries.text(entry.upstream), probe,
                identity, attempts, said.tells, duration, marks,
            ),
        )  # fmt: skip

    def _leaves(self, marks: tuple[str, ...]) -> None:
        """Remember a request whose client left: 2.11 writes 502 in its access line."""
        for mark in marks:
            self._left[mark] = None
        while len(self._left) > _LEFT_KEPT:
            self._left.popitem(last=False)


def _entry(text: str) -> Entry | None:
    """The entry in a line of JSON or of the console; None when there is none."""
    if found := _CONSOLE.match(text):
        entry = entries.decode(found["fields"])
        if entry is None:
            return None
        entry.logger, entry.msg, entry.ts = found["logger"], found["message"], found["time"]
        return entry
    start = text.find("{")
    entry = entries.decode(text[start:]) if start >= 0 else None
    return entry if entry is not None and (entry.logger or entry.msg) else None


def _aborted(entry: Entry, at: float) -> tuple[Event, ...]:
    """The body broke after its header was passed on."""
    error = entries.text(entry.error) or ""
    request, marks = entry.request, entries.marks(entry)[1:]
    probe, identity = entries.probe(request), entries.identity(entry)
    if go_errors.of_client(error) or error.startswith(_TO_CLIENT):
        return (ClientAbort(at, request.site, probe, identity, marks),)
    if "timeout" in error:
        reason = "body_timeout"
    elif "chunk" in error:
        reason = "invalid_response"
    else:
        reason = "body_truncated"
    return (
        UpstreamFailure(
            at, reason, None, request.site, entries.text(entry.upstream), error[:300], probe,
            identity, marks,
        ),
    )  # fmt: skip


def _layer4(entry: Entry, at: float) -> tuple[Event, ...]:
    """A connection that layer4 could not hand on; what broke later may be either side's doing."""
    error = entries.text(entry.error) or ""
    if not error.startswith("dial ") and "no upstreams available" not in error:
        return ()
    reason = go_errors.reason(error)
    if reason == go_errors.CLIENT_ABORT:
        return ()
    identity = entries.identity(entry)
    where = go_errors.upstream(error)
    return (UpstreamFailure(at, reason, None, None, where, error[:300], None, identity),)


def _caddy_1(line: Line, found: re.Match[str]) -> tuple[Event, ...]:
    status, message = int(found["status"]), found["message"]
    if found["level"] != "ERROR" or status not in _GATEWAY_ERRORS:
        return ()
    written = found["time"]
    at = stamps.clf(written) if written[2] == "/" else stamps.local(written)
    at = line.at if at is None else at
    reason = go_errors.reason(message)
    if reason == go_errors.CLIENT_ABORT:
        return (ClientAbort(at, None),)
    where = go_errors.upstream(message)
    return (UpstreamFailure(at, reason, status, None, where, redacted(message)[:300]),)
