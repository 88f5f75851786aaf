"""HAProxy's traffic log: ``option httplog`` and ``tcplog`` (2.4 to 3.4), and JSON with its fields.

How a session ended stands in its termination state: who ended it, and when. HAProxy writes what a
client sent with ``#XX`` for quotes, and behind everything that matters. Source: HAProxy's
configuration manual, "Log formats" and "Session state at disconnection"; recordings of 2.6.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from badgateway.dialects import nginx_fields, stamps
from badgateway.events import ClientAbort, Event, Line, Response, UpstreamFailure

_TAG: Final = r"(?:haproxy(?:\[[0-9]+\])?: )?"
_HEAD: Final = (
    r"(?:" + _TAG + r"(?P<client>[^ ]+):(?P<port>[0-9]+|-)"
    r"|(?:[\w.-]{1,64} )?haproxy(?:\[[0-9]+\])?:?) "  # somebody masked the client away
    r"\[(?P<time>[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8}(?:\.[0-9]{1,3})?)\] "
    r"(?P<frontend>[^ ]+) (?P<backend>[^ /]+)(?:/(?P<server>[^ ]*))? "
)
_TAIL: Final = (
    r"[0-9]+/[0-9]+/[0-9]+/[0-9]+/(?P<retries>\+?-?[0-9]+) [0-9]+/[0-9]+(?: (?P<rest>.*))?$"
)
_HTTP: Final = re.compile(
    "^" + _HEAD + r"(?P<timers>\+?-?[0-9]+(?:/\+?-?[0-9]+){4,5}) (?P<status>-?[0-9]+) "
    r"\+?-?[0-9]+ [^ ]* [^ ]* (?P<state>[A-Za-z-]{4}) " + _TAIL,
    re.S,
)
_TCP: Final = re.compile(
    "^" + _HEAD + r"(?P<timers>\+?-?[0-9]+(?:/\+?-?[0-9]+){2}) \+?-?[0-9]+ "
    r"(?P<state>[A-Za-z-]{2}) " + _TAIL,
    re.S,
)
_REQUEST: Final = re.compile(r'(?:^|[ }])"([^"]*)("?)')
_PAIR: Final = re.compile(r' ([a-z_]+)=(?:"([^"]*)"|([^ "]*))')
_OTHER: Final = re.compile(
    "^"
    + _TAG
    + r"(?:\[(?:NOTICE|WARNING|ALERT)\]|(?:Backup )?Server [^ ]+/[^ ]+ |Health check for "
    r"|(?:Proxy|backend|Backend|Frontend) [^ ]+ |Connect\(\) failed for |Connect from [^ ]+ to )"
)
_NO_SERVER: Final = "<NOSRV>"
_RETRIES_KEPT: Final = 100

_REASONS: Final = {
    "SC": "connect_failed", "sC": "connect_timeout", "sQ": "saturated", "SQ": "saturated",
    "PC": "proxy_resources", "RC": "proxy_resources", "RH": "proxy_resources",
    "RQ": "proxy_resources", "RD": "proxy_resources", "SH": "upstream_closed",
    "sH": "response_timeout", "PH": "invalid_response", "PD": "invalid_response",
    "SD": "body_truncated", "SL": "body_truncated", "sD": "body_timeout", "sL": "body_timeout",
    "DC": "connect_failed", "DH": "upstream_closed", "DD": "body_truncated",
}  # fmt: skip
"""The first two letters of a termination state → the reason, as far as they tell."""
_UNDELIVERED: Final = {"SD": "send_failed", "SL": "send_failed", "sD": "send_failed"}
_LOCAL: Final = frozenset(("LR", "LC", "LH", "PR", "PT"))
_FAULTY: Final = "IUK"
_REFUSALS: Final = (
    (re.compile(r"EREFUSED"), "connect_refused"),
    (re.compile(r"ERESET"), "reset"),
    (re.compile(r"EUNREACH"), "connect_unreachable"),
    (re.compile(r"certificate verify failed|MISMATCH|different from the expected"),
     "tls_certificate"),
    (re.compile(r"\bSSL_|SSL handshake|SSL routines"), "tls_handshake"),
    (re.compile(r"FREE_PORTS|FDLIM|MEMLIM|PORT_RANGE|CANT_BIND|ADDR_INUSE|local source ports"
                r"|file descriptors|[Oo]ut of memory"),
     "proxy_resources"),
)  # fmt: skip
"""What the connection's own error says, by its name (3.1) or in words (2.5)."""
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class _Session:
    """One line, whichever form it has. Timers are milliseconds; -1 was never reached."""

    state: str
    status: int | None
    client: str
    backend: str
    server: str
    retries: str
    total: int
    response: int
    began: float | None = None
    ended: float | None = None
    request: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


class Reader:
    """Reads HAProxy's lines."""

    NAME: ClassVar[str] = "haproxy"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        "^" + _HEAD.partition(r" (?P<frontend>")[0] + r"(?: |$)"
        r'|^\{(?=.*"tsc" ?: ?"[A-Za-z-]{2,4}")(?=.*"backend" ?:)'
        r"|^" + _TAG + r"[^ ]+:[0-9]+ \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}[0-9:.]*$"  # wrapped
        r"|^" + _TAG + r"[0-9.]{7,15}:[0-9]{1,5} ?$"
        r"|^(?:haproxy\[[0-9]+\]: )(?:Server |backend |Proxy |Connect)"
    )

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a session's line tells; other lines of HAProxy tell of no request."""
        text = line.text
        start = text.find("{") if text.startswith(("{", "haproxy")) else -1
        session = _of_json(text[start:]) if 0 <= start < 40 else None
        if session is None:
            found = _HTTP.match(text) or _TCP.match(text)
            if found is None:
                return () if _OTHER.match(text) else None
            session = _of_text(found)
        return _events(line, session)


def _events(line: Line, session: _Session) -> tuple[Event, ...]:
    at, spent = _times(line, session)
    asked = nginx_fields.request_mark(session.client, session.request)
    marks = (asked,) if asked else ()
    state, status = session.state[:2], session.status
    left = state[:1] in ("C", "c")
    abort = (ClientAbort(at, None, None, "", marks),) if left else ()
    if left and state[1:2] not in ("D", "L"):
        return abort
    upstream = _upstream(session)
    attempts = tuple(
        UpstreamFailure(at, reason, None, None, place, "", None, "", marks)
        for reason, place in _attempts(session, upstream)
    )
    if status is None:
        return (*attempts, *abort)
    failed = _reason(session)
    origin = None
    if status >= 500:
        origin = "proxy" if state in _LOCAL else "upstream" if failed else "application"
    duration = session.response / 1000 if session.response >= 0 else None
    return (
        Response(
            at, status, None, origin, duration, upstream, None, "", attempts, True, spent, marks
        ),
        *abort,
    )  # fmt: skip


def _attempts(session: _Session, upstream: str | None) -> list[tuple[str, str | None]]:
    """Every attempt that failed: the retried ones, and the last if it failed too."""
    reason = _reason(session)
    retried = max(0, min(_int(session.retries), _RETRIES_KEPT))
    moved = session.retries.startswith("+")
    # retries are of connections, unless a `retry-on` made an answer's failure one
    before = "connect_failed" if session.state[:2] in ("--", "SC", "sC") else "unknown"
    if reason and not moved and session.state[:2] in ("SC", "sC"):
        before = reason  # the same server, and the connection again
    found = [(before, None if moved else upstream)] * retried
    return [*found, (reason, upstream)] if reason else found


def _reason(session: _Session) -> str | None:
    """Why the last attempt failed; None when it did not, or none was made."""
    state, status = session.state[:2], session.status
    if state == "--":
        error = session.extra.get("bc_err_name") or session.extra.get("bc_err", "")
        broken = status is None and error in ("ERESET", "EREFUSED", "EUNREACH")
        return _refined("upstream_closed", session) if broken else None
    if state in _LOCAL or state[:1] in ("C", "c"):
        return None
    if state in ("SC", "DC") and session.server == _NO_SERVER:
        return "no_live_upstream"
    if state in _UNDELIVERED and (status is None or status >= 400):
        return _UNDELIVERED[state]
    reason = _REASONS.get(state)
    if reason in ("connect_failed", "upstream_closed"):
        return _refined(reason, session)
    if reason is None and (state[:1] in _FAULTY or (status or 0) >= 500):
        return "unknown"
    return reason


def _refined(reason: str, session: _Session) -> str:
    names = ("bc_err_name", "bc_err", "bc_err_str", "ssl_bc_err_str", "ssl_bc_err")
    said = " ".join(session.extra.get(name, "") for name in names)
    found = next((name for words, name in _REFUSALS if words.search(said)), None)
    if found == "proxy_resources" and _on_unix(session):
        return "backlog_full"  # EAGAIN of a full queue is reported as a lack of ports
    if found == "connect_refused" and reason == "upstream_closed":
        return reason
    return found or reason


def _on_unix(session: _Session) -> bool:
    return _place(session).startswith("unix")


def _place(session: _Session) -> str:
    return session.extra.get("server_addr") or session.extra.get("srv", "")


def _upstream(session: _Session) -> str | None:
    """The server's address where the line has it, else its name; a backend's without a server."""
    if session.server == _NO_SERVER:
        return session.backend if session.backend != _NO_SERVER else None
    named = f"{session.backend}/{session.server}" if session.server else session.backend
    return nginx_fields.address(_place(session)) or named


def _times(line: Line, session: _Session) -> tuple[float, float | None]:
    """When the session ended, and how long it took; both in seconds."""
    spent = session.total / 1000 if session.total >= 0 else None
    if session.ended is not None:
        return session.ended, spent
    if session.began is not None:
        return session.began + (spent or 0.0), spent
    return line.at, spent


def _of_text(found: re.Match[str]) -> _Session:
    given = found.groupdict()
    timers = [_int(timer) for timer in given["timers"].split("/")]
    rest = given["rest"] or ""
    request, extra = "", {}
    if asked := _REQUEST.search(rest):
        request = asked[1]
        if asked[2]:
            extra = _pairs(rest[asked.end() :])
    else:
        extra = _pairs(" " + rest)
    status = _int(given.get("status") or "-1")
    return _Session(
        given["state"], status if status > 0 else None, given["client"] or "",
        given["backend"], _server(given["server"]), given["retries"], timers[-1],
        timers[3] if len(timers) == 5 else -1, stamps.clf(given["time"]), None, request, extra,
    )  # fmt: skip


def _server(name: str | None) -> str:
    """A server's name; the sign for none is eaten where it is taken for a tag, or masked."""
    return _NO_SERVER if name in ("", "-", "NOSRV") else name or ""


def _of_json(text: str) -> _Session | None:
    """A session of a JSON line; None when it is none."""
    try:
        found: dict[str, Any] = _DECODER.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    state = found.get("tsc")
    if not isinstance(state, str) or not re.fullmatch(r"[A-Za-z-]{2,4}", state):
        return None
    timers = found.get("timers")
    timers = timers if isinstance(timers, dict) else found
    status = _int(found.get("status"))
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    client = texts.get("client", "").rpartition(":")[0]
    extra = {name: "" if value == "-" else value for name, value in texts.items()}
    return _Session(
        state, status if status > 0 else None, client, texts.get("backend", ""),
        texts.get("server", ""), texts.get("retries", "0"), _int(timers.get("Ta")),
        _int(timers.get("Tr")), None, stamps.iso(texts.get("time", "")),
        f"{texts.get('method', '')} {texts.get('uri', '')}".strip(), extra,
    )  # fmt: skip


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, bare in _PAIR.findall(text):
        value = quoted or bare
        found.setdefault(name, "" if value == "-" else value)
    return found


def _int(value: object) -> int:
    """A whole number, -1 for anything else; HAProxy marks one of a cut session with ``+``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if abs(value) < 1e12 else -1
    found = re.fullmatch(r"\+?(-?[0-9]{1,12})", value) if isinstance(value, str) else None
    return int(found[1]) if found else -1
