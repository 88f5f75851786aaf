"""Caddy's JSON log (Caddy 2.6.2 and 2.11.7, as recorded).

Three loggers matter. ``http.log.error[.NAME]`` is a handler's error: ``msg`` is the cause, and
``err_trace`` says whether proxying failed. ``http.log.access[.NAME]`` is a request that was
answered. ``http.handlers.reverse_proxy`` tells of bodies cut after the header. Everything a client
chose stays inside ``request``, so typed decoding of the top level cannot be forged.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from badgateway.dialects import go_errors
from badgateway.events import ClientAbort, Event, Line, Response, UpstreamFailure
from badgateway.useragent import probe_token

_CLIENT_CLOSED_REQUEST: Final = 499


class _Request(msgspec.Struct):
    host: str = ""
    headers: dict[str, Any] = {}


class _Entry(msgspec.Struct):
    logger: str = ""
    msg: str = ""
    ts: Any = None
    status: Any = None
    duration: Any = None
    err_id: str = ""
    err_trace: str = ""
    error: Any = None
    request: _Request | None = None
    resp_headers: dict[str, Any] | None = None
    upstream: Any = None
    upstream_status: Any = msgspec.UNSET
    upstream_retries: Any = msgspec.UNSET


_DECODER = msgspec.json.Decoder(_Entry)


class Reader:
    """Reads Caddy's lines."""

    NAME: ClassVar[str] = "caddy"

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of JSON tells; None for anything else."""
        start = line.text.find("{")
        if start < 0:
            return None
        try:
            entry = _DECODER.decode(line.text[start:].encode("utf-8", "surrogateescape"))
        except (msgspec.MsgspecError, UnicodeError):
            return None
        at = float(entry.ts) if isinstance(entry.ts, int | float) else line.at
        if entry.logger.startswith("http.log.error"):
            return self._error(entry, at)
        if entry.logger.startswith("http.log.access"):
            return self._access(entry, at)
        if entry.logger == "http.handlers.reverse_proxy" and entry.msg.startswith("aborting with"):
            return self._aborted(entry, at)
        return ()

    def _error(self, entry: _Entry, at: float) -> tuple[Event, ...]:
        status = _status(entry.status)
        if not entry.err_trace.startswith("reverseproxy.") and status not in (502, 503, 504):
            return ()
        request = entry.request or _Request()
        site, probe = _site(request), _probe(request)
        reason = go_errors.reason(entry.msg)
        if reason == go_errors.CLIENT_ABORT:
            return (ClientAbort(at, site, probe, _identity(entry)),)
        address = go_errors.upstream(entry.msg) or _text(entry.upstream)
        return (
            UpstreamFailure(
                at, reason, status, site, address, entry.msg[:300], probe, _identity(entry)
            ),
        )

    def _access(self, entry: _Entry, at: float) -> tuple[Event, ...]:
        request = entry.request or _Request()
        site, probe = _site(request), _probe(request)
        status = _status(entry.status)
        if status in (0, _CLIENT_CLOSED_REQUEST):
            # 2.6 writes status 0 for a client that left, 2.11 writes 499
            return (ClientAbort(at, site, probe, _identity(entry)),)
        if status is None:
            return ()
        duration = float(entry.duration) if isinstance(entry.duration, int | float) else None
        origin = None
        if status >= 500:
            origin = _origin(entry, status)
        upstream = _text(entry.upstream)
        return (Response(at, status, site, origin, duration, upstream, probe, _identity(entry)),)

    def _aborted(self, entry: _Entry, at: float) -> tuple[Event, ...]:
        error = _text(entry.error) or ""
        request = entry.request or _Request()
        if "context canceled" in error:
            return (ClientAbort(at, _site(request), _probe(request), _identity(entry)),)
        if "timeout" in error:
            reason = "body_timeout"
        elif "chunk" in error:
            reason = "invalid_response"
        else:
            reason = "body_truncated"
        return (
            UpstreamFailure(
                at, reason, None, _site(request), _text(entry.upstream), error[:300],
                _probe(request), _identity(entry),
            ),
        )  # fmt: skip


def _origin(entry: _Entry, status: int) -> str | None:
    """Who made a 5xx, as far as its access line tells; None when it does not.

    With ``log_append`` of ``upstream_status`` and ``upstream_retries`` it tells for sure. Without,
    only an answer that bears another server's name is known to be the application's.
    """
    if entry.upstream_status is not msgspec.UNSET:
        if entry.upstream_status == status:
            return "application"
        return "upstream" if entry.upstream or entry.upstream_retries is not None else "proxy"
    headers = entry.resp_headers or {}
    servers = headers.get("Server")
    others = isinstance(servers, list) and any(name != "Caddy" for name in servers)
    return "application" if others or "Via" in headers else None


def _identity(entry: _Entry) -> str:
    """What tells a line from every other, in whichever of Caddy's logs it stands."""
    if not isinstance(entry.ts, float):
        return ""
    return f"{entry.ts!r} {entry.logger} {entry.err_id} {entry.duration}"


def _site(request: _Request) -> str | None:
    host = request.host
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower() or None


def _probe(request: _Request) -> str | None:
    agents = request.headers.get("User-Agent")
    return probe_token(str(agents[0])) if isinstance(agents, list) and agents else None


def _status(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
