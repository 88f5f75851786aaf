"""What the messages of nginx' error log mean (nginx 0.8 to 1.31, http and stream).

Only a message's beginning and its last words (``while …``) are looked at: what stands between may
be a file's name or an application's words. Source of the wording: ``ngx_http_upstream.c``,
``ngx_event_pipe.c``, ``ngx_http_{proxy,fastcgi,uwsgi,scgi,grpc}_module.c``, ``ngx_resolver.c`` and
``ngx_stream_proxy_module.c``, and recordings of 1.22.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

CLIENT_ABORT: Final = "client_abort"

_NUMBERS: Final = {
    111: "connect_refused", 110: "connect_timeout", 113: "connect_unreachable",
    101: "connect_unreachable", 112: "connect_unreachable", 100: "connect_unreachable",
    2: "socket_missing", 13: "socket_denied", 1: "socket_denied", 11: "backlog_full",
    99: "proxy_resources", 98: "proxy_resources", 24: "proxy_resources", 23: "proxy_resources",
    12: "proxy_resources", 105: "proxy_resources", 104: "reset",
    10061: "connect_refused", 10060: "connect_timeout", 10065: "connect_unreachable",
    10051: "connect_unreachable", 10054: "reset",
}  # fmt: skip
_WORDS: Final = (
    ("refused", "connect_refused"),
    ("reset", "reset"),
    ("timed out", "connect_timeout"),
    ("timeout", "connect_timeout"),
    ("no route", "connect_unreachable"),
    ("unreachable", "connect_unreachable"),
    ("host is down", "connect_unreachable"),
    ("network is down", "connect_unreachable"),
    ("no such file", "socket_missing"),
    ("permission denied", "socket_denied"),
    ("not permitted", "socket_denied"),
    ("temporarily unavailable", "backlog_full"),
    ("try again", "backlog_full"),
    ("assign requested", "proxy_resources"),
    ("address not available", "proxy_resources"),
    ("too many open files", "proxy_resources"),
    ("no buffer space", "proxy_resources"),
    ("out of memory", "proxy_resources"),
    ("cannot allocate", "proxy_resources"),
)

_ERRNO: Final = re.compile(r"\(([0-9]+): ?([^()]*)")
_KEVENT: Final = re.compile(r"^\w+\(\) reported that (?=\w+\(\) failed)")
_CLIENT_LEFT: Final = re.compile(
    r"^(?:\w+\(\) reported that )?client prematurely closed connection"
)
_CALL: Final = re.compile(r"^(\w+)\(\) ")
_FILE_CALL: Final = re.compile(r'^\w+\(\) "')
_FULL: Final = re.compile(r"^[0-9]+ worker_connections are not enough|^worker_connections are not")
_UNRESOLVED: Final = re.compile(r"^\S+ could not be resolved \(|^no resolver defined to resolve ")
_NOWHERE: Final = re.compile(r"^(?:no port|invalid port|invalid host|no host) in upstream ")
_NO_FAILURE: Final = re.compile(
    r"^(?:an upstream response is buffered|a client request body is buffered|limiting |delaying "
    r"|upstream server temporarily disabled|FastCGI sent in stderr|auth request unexpected status"
    r"|upstream sent more data than|upstream sent data after final chunk|SSL_shutdown\(\)"
    r"|client (?!timed out)|\[lua\] |lua )"
)
_REFUSED: Final = re.compile(r"^limiting (?:requests|connections)\b(?!, dry run)")
_COMPLAINED: Final = "FastCGI sent in stderr: "
_TOO_BIG: Final = re.compile(
    r"^upstream (?:sent (?:too big header|too big trailers|too large http2 header)"
    r"|buffer is too small to read response)"
)
_OTHER_WORDS: Final = re.compile(
    r"^upstream (?:sent|rejected|violated|prematurely sent)|^upstream \S+ frame"
)

_CONNECTING: Final = "connecting to upstream"
_SENDING: Final = "sending request to upstream"
_HEADER: Final = "reading response header from upstream"
_BODY: Final = frozenset(
    ("reading upstream", "reading response trailer from upstream", "proxying upgraded connection",
     "proxying connection", "proxying and reading from upstream",
     "proxying and sending to upstream", "reading from upstream")
)  # fmt: skip
_TO_CLIENT: Final = frozenset(
    ("sending to client", "sending response to client", "proxying and reading from client",
     "proxying and sending to client")
)  # fmt: skip
_EITHER_SIDE: Final = frozenset(("proxying upgraded connection", "proxying connection"))

PHASES: Final = {
    _CONNECTING: "connect", "SSL handshaking to upstream": "connect", _SENDING: "send",
    _HEADER: "header", **dict.fromkeys(_BODY, "body"),
}  # fmt: skip
"""What nginx was doing → where in an attempt that is."""


@lru_cache(maxsize=256)
def split(message: str) -> tuple[str, str]:
    """Return a message's words and what nginx was doing (after ``while``), or an empty string."""
    words, found, doing = message.rpartition(" while ")
    if not found:
        return message, ""
    if not doing.startswith("resolving, "):
        doing = doing.partition(",")[0].rstrip(" .\"'`*")  # where a line was cut behind it
        doing = doing.removesuffix("(proxy_connect)")
    return words, doing


def origin(message: str) -> str | None:
    """Return who makes the answer to a request of which nginx says this; None if it does not say.

    A refusal by ``limit_req`` or ``limit_conn`` is nginx' own, unless it is a dry run. What FastCGI
    sent to its standard error is the application's: it is alive, and answers by itself.
    """
    if _REFUSED.match(message):
        return "proxy"
    return "application" if message.startswith(_COMPLAINED) else None


@lru_cache(maxsize=256)
def reason(message: str, level: str) -> str | None:
    """Return what an error line's message tells.

    Args:
        message: the text after ``*CONNECTION``, without ``, client: …``.
        level: the line's level; in tunnels it tells whose side failed.

    Returns:
        A value of ``vocabulary.UPSTREAM_FAILURE_REASONS``, ``CLIENT_ABORT``, or None when no
        attempt at an upstream failed.
    """
    words, doing = split(message)
    words = words.removeprefix("proxy_connect: ")
    words = _KEVENT.sub("", words)
    if _CLIENT_LEFT.match(message):
        return CLIENT_ABORT
    if _FULL.match(words):
        return "proxy_resources"
    if _NO_FAILURE.match(words):
        return None
    if doing in _TO_CLIENT and words.startswith("upstream "):
        # it read the answer when it had written what it had
        return _body(words, doing, level)
    if doing in _TO_CLIENT or words.startswith("client timed out"):
        return CLIENT_ABORT if _went_away(words) else None
    if words.startswith("no live upstreams") or _NOWHERE.match(words):
        return "no_live_upstream"
    if _UNRESOLVED.match(words) or doing.startswith("resolving, resolver: "):
        return "dns_failure"
    if _FILE_CALL.match(words):
        return "proxy_io" if doing == "reading upstream" and " failed (" in words else None
    if words.startswith("upstream SSL certificate"):
        return "tls_certificate"
    return _of_attempt(words, doing, level)


def _of_attempt(words: str, doing: str, level: str) -> str | None:
    """The reason by where in an attempt it broke."""
    if doing == "SSL handshaking to upstream":
        return "tls_handshake"
    if words.startswith("SSL_") and (doing in (_SENDING, _HEADER) or doing in _BODY):
        return "tls_handshake"
    if _TOO_BIG.match(words):
        return "header_too_big"
    if words.startswith("upstream prematurely sent"):
        return "invalid_response"
    if doing == _CONNECTING:
        return _connecting(words)
    if doing == _SENDING:
        return "send_failed"
    if doing == _HEADER:
        return _header(words)
    if doing in _BODY:
        return _body(words, doing, level)
    return None


def _went_away(words: str) -> bool:
    number, text = _errno(words)
    if words.startswith("client timed out") or number in (104, 32, 110, 103):
        return True
    return any(said in text for said in ("reset", "broken pipe", "timed out"))


def _connecting(words: str) -> str | None:
    if words.startswith(("upstream timed out", "upstream connect timed out")):
        return "connect_timeout"
    found = _by_errno(words)
    if found:
        return found
    call = _CALL.match(words)
    if call and call[1] in ("connect", "socket", "bind") and "failed" in words:
        return "proxy_resources" if call[1] != "connect" else "connect_failed"
    if words.startswith("upstream prematurely closed"):
        return "premature_close"
    return "connect_failed" if "failed" in words or words.startswith("upstream ") else None


def _header(words: str) -> str | None:
    if words.startswith("upstream timed out"):
        return "response_timeout"
    if words.startswith("upstream sent unexpected FastCGI record: 3"):
        return "premature_close"
    if _OTHER_WORDS.match(words):
        return "invalid_response"
    if words.startswith("upstream prematurely closed"):
        return "premature_close"
    if _CALL.match(words):
        found = _by_errno(words)
        return "response_timeout" if found == "connect_timeout" else found or "unknown"
    return "invalid_response" if words.startswith("upstream ") else None


def _body(words: str, doing: str, level: str) -> str | None:
    if words.startswith(("upstream timed out", "upstream read timed out")):
        return "body_timeout"
    if doing in _EITHER_SIDE and level in ("info", "debug", "notice"):
        # nginx logs the client's end of a tunnel at info, the upstream's at error
        return CLIENT_ABORT if _went_away(words) and _CALL.match(words) else None
    if _OTHER_WORDS.match(words):
        return "invalid_response"
    if _CALL.match(words):
        return "body_timeout" if _by_errno(words) == "connect_timeout" else "body_truncated"
    return "body_truncated" if words.startswith("upstream prematurely closed") else None


def _errno(words: str) -> tuple[int | None, str]:
    found = _ERRNO.findall(words)
    # the system's own words come last
    return (int(found[-1][0][:9]), found[-1][1].lower()) if found else (None, "")


def _by_errno(words: str) -> str | None:
    """By the number where it is Linux' or Windows', else by the text: BSD counts differently."""
    number, text = _errno(words)
    if number in _NUMBERS:
        return _NUMBERS[number]
    return next((name for said, name in _WORDS if said in text), None)
