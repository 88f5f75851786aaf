"""What Go's network and HTTP errors say about an upstream (Caddy, Traefik).

Source of the wording: Go's ``net``, ``net/http``, ``crypto/tls`` and ``crypto/x509`` error texts as
recorded from Caddy 2.6.2 and 2.11.7.
"""

from __future__ import annotations

import re
from typing import Final

CLIENT_ABORT: Final = "client_abort"

_ERRNO: Final = (
    ("connection refused", "connect_refused"),
    ("i/o timeout", "connect_timeout"),
    ("deadline exceeded", "connect_timeout"),
    ("connection timed out", "connect_timeout"),
    ("no route to host", "connect_unreachable"),
    ("network is unreachable", "connect_unreachable"),
    ("host is down", "connect_unreachable"),
    ("no such file", "socket_missing"),
    ("permission denied", "socket_denied"),
    ("operation not permitted", "socket_denied"),
    ("resource temporarily unavailable", "backlog_full"),
    ("cannot assign requested address", "proxy_resources"),
    ("too many open files", "proxy_resources"),
    ("no buffer space available", "proxy_resources"),
    ("connection reset by peer", "reset"),
)

# Caddy 1's proxy
_NO_UPSTREAM: Final = ("no hosts available upstream", "unreachable backend")

_DIAL = re.compile(r"\bdial (?:tcp[46]?|unix|udp[46]?) ?(\S*?)(?:->(\S+?))?: ")
_GLUED = re.compile(r"(:[0-9]{1,5}):[a-z]+$")  # a space was lost where the line was wrapped
_PEER = re.compile(r"\b(?:read|write) (?:tcp[46]?|unix) \S+?->(\S+?): ")
_UPLOAD_CUT = re.compile(r"^readfrom tcp \S+: unexpected EOF$")
_CLIENT_LEFT = re.compile(
    r"context canceled|operation was canceled|\bstream [0-9]+ cancell?ed|http2: stream closed"
    r"|client disconnected|timeout: no recent network activity"
    r"|\bH3 error|\bH3_[A-Z_]+|Application error 0x10[0-9a-f]\b"
)


def reason(message: str) -> str:
    """Return the failure reason in a Go error text.

    Returns:
        A value of ``vocabulary.UPSTREAM_FAILURE_REASONS``, or ``CLIENT_ABORT`` when it was the
        client that went away.
    """
    if message.startswith(_NO_UPSTREAM) or "no upstreams available" in message:
        return "no_live_upstream"
    if of_client(message) or _UPLOAD_CUT.match(message):
        return CLIENT_ABORT
    if "lookup " in message:
        return "dns_failure"
    if "x509:" in message or ("certificate" in message and "remote error" not in message):
        return "tls_certificate"
    if "tls: " in message or "TLS handshake" in message:
        return "tls_handshake"
    if _DIAL.search(message):
        for words, name in _ERRNO:
            if words in message:
                return name
        return "connect_failed"
    if message.startswith("readfrom ") or "write tcp" in message:
        return "send_failed"
    for words, name in (
        ("timeout awaiting response headers", "response_timeout"),
        ("i/o timeout", "response_timeout"),
        ("headers exceeded", "header_too_big"),
        ("transport connection broken", "invalid_response"),
        ("malformed", "invalid_response"),
        ("fcgi: ", "invalid_response"),
        ("http2: ", "invalid_response"),
        ("connection reset by peer", "reset"),
        ("broken pipe", "reset"),
        ("EOF", "premature_close"),
        ("server closed idle connection", "premature_close"),
        ("use of closed network connection", "premature_close"),
    ):
        if words in message:
            return name
    return "unknown"


def of_client(message: str) -> bool:
    """Tell whether a Go error text says that the client went away, also over HTTP/2 and HTTP/3."""
    return _CLIENT_LEFT.search(message) is not None


def upstream(message: str) -> str | None:
    """Return the address a Go error text names as the other end, or None.

    A unix socket comes as ``unix:/path``.
    """
    dialled = _DIAL.search(message)
    if dialled:
        address = dialled[2] or dialled[1]
        if not address or address == "lookup":
            return None
        address = _GLUED.sub(r"\1", address)
        return f"unix:{address}" if address.startswith("/") else address
    peer = _PEER.search(message)
    if peer:
        return _GLUED.sub(r"\1", peer[1])
    return None
