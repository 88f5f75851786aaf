"""One entry of Caddy's log, and what its fields mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from badgateway.dialects import go_errors, stamps
from badgateway.useragent import probe_token

_MARK_LIMIT: Final = 300
_RETRIES_KEPT: Final = 100


class Request(msgspec.Struct):
    """What a client asked; all of it is the client's."""

    host: str = ""
    uri: Any = ""
    remote_ip: Any = ""
    remote_port: Any = ""
    headers: Any = None

    @property
    def site(self) -> str | None:
        """The host without its port."""
        return site_of(self.host)


_NOBODY: Final = Request()


class Entry(msgspec.Struct):
    """The fields of any entry that are looked at."""

    logger: str = ""
    msg: Any = ""
    ts: Any = None
    status: Any = None
    duration: Any = None
    bytes_read: Any = None
    err_id: Any = ""
    err_trace: Any = ""
    error: Any = None
    asked: Request | None = msgspec.field(default=None, name="request")
    resp_headers: Any = None
    upstream: Any = None
    upstream_status: Any = msgspec.UNSET
    upstream_retries: Any = msgspec.UNSET

    @property
    def request(self) -> Request:
        """What was asked; an empty one when the entry is about no request."""
        return self.asked or _NOBODY


@dataclass(frozen=True, slots=True)
class Said:
    """What an access entry says of the upstreams.

    Attributes:
        tells: whether it says what happened there.
        origin: who made a 5xx.
        attempts: reason and address of each that failed.
        detail: Caddy's words about the last.
    """

    tells: bool = False
    origin: str | None = None
    attempts: tuple[tuple[str, str | None], ...] = ()
    detail: str = ""


_DECODER: Final = msgspec.json.Decoder(Entry)


def decode(document: str) -> Entry | None:
    """Return the entry that a JSON document holds, or None."""
    try:
        return _DECODER.decode(document.encode("utf-8", "surrogateescape"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def upstreams(entry: Entry, status: int) -> Said:
    """Return what an access entry says of the upstreams.

    With ``log_append`` of ``upstream``, ``upstream_status`` and ``upstream_retries`` it tells for
    sure, and with ``error`` also why. Without, only an answer that bears another server's name is
    known to be the application's.
    """
    upstream, error = text(entry.upstream), text(entry.error) or ""
    reason = go_errors.reason(error) if error else "unknown"
    if reason == go_errors.CLIENT_ABORT:
        return Said()
    if entry.upstream_status is msgspec.UNSET:
        if error and status >= 500 and (reason != "unknown" or upstream):
            where = go_errors.upstream(error) or upstream
            return Said(True, "upstream", ((reason, where),), error[:300])
        headers = entry.resp_headers if isinstance(entry.resp_headers, dict) else {}
        servers = headers.get("Server")
        others = isinstance(servers, list) and any(name != "Caddy" for name in servers)
        application = status >= 500 and (others or "Via" in headers)
        return Said(False, "application" if application else None)
    retries = seconds(entry.upstream_retries)
    retried = (("unknown", None),) * max(0, min(int(retries or 0), _RETRIES_KEPT))
    answered = is_number(entry.upstream_status)
    if status < 500 or entry.upstream_status == status:
        return Said(True, "application" if status >= 500 else None, retried)
    if answered or (upstream is None and retries is None):
        return Said(True, "proxy", retried)
    if upstream is None:
        return Said(True, "upstream", (*retried, ("no_live_upstream", None)), error[:300])
    if not error and _half_sent(entry):
        return Said(False, None, ())  # the client's doing or the upstream's: the error log tells
    return Said(True, "upstream", (*retried, (reason, upstream)), error[:300])


def _half_sent(entry: Entry) -> bool:
    """Whether less of a request's body was read than its client had announced."""
    announced = header(entry.request, "Content-Length") or ""
    if not announced.isdigit() or not is_number(entry.bytes_read):
        return False
    return bool(entry.bytes_read < int(announced[:18]))


def marks(entry: Entry) -> tuple[str, ...]:
    """Return the request's marks: with its duration, which its error line bears too, and without.

    An entry about a cut body has a duration of its own.
    """
    request = entry.request
    if not request.remote_ip or entry.asked is None:
        return ()
    mark = f"caddy:{request.remote_ip}:{request.remote_port} {request.uri}"[:_MARK_LIMIT]
    return f"{mark} {entry.duration!r}", mark


def identity(entry: Entry) -> str:
    """What tells an entry from every other, in whichever of Caddy's logs it stands."""
    if not isinstance(entry.ts, float):
        return ""
    return f"{entry.ts!r} {entry.logger} {entry.err_id} {entry.duration}"


def time_of(entry: Entry) -> float | None:
    """Return when an entry was written, in seconds; None when its format is another."""
    number = seconds(entry.ts)
    if number is not None:
        # time_format: unix_seconds_float, unix_milli_float or unix_nano
        return number / 1e9 if number > 1e16 else number / 1e3 if number > 1e11 else number
    if not isinstance(entry.ts, str):
        return None
    return stamps.local(entry.ts[:19]) if "/" in entry.ts else stamps.iso(entry.ts)


def probe(request: Request) -> str | None:
    """Return the token of the probe that asked, if one did."""
    return probe_token(header(request, "User-Agent") or "")


def header(request: Request, name: str) -> str | None:
    """Return the first value of a request's header, or None."""
    values = request.headers.get(name) if isinstance(request.headers, dict) else None
    return str(values[0]) if isinstance(values, list) and values else None


def is_upgrade(request: Request) -> bool:
    """Whether a client asked for another protocol on its connection."""
    return header(request, "Upgrade") is not None


@lru_cache(maxsize=4096)
def site_of(host: str) -> str | None:
    """Return a host without its port; None for an empty one."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower() or None


def status(value: object) -> int | None:
    """Return a status, or None for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def seconds(value: object) -> float | None:
    """Return a number of seconds, or None for anything that can be none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e20:
        return None
    return float(value)


def is_number(value: object) -> bool:
    """Whether a field holds a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: object) -> str | None:
    """Return a field's text, or None when it has none."""
    return value if isinstance(value, str) and value else None
