"""Addresses and URLs as a configuration gives them: what is wrong with one.

The answers never quote a URL: it may hold a password or a token.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", re.ASCII)
_SOCKET: Final = re.compile(r"unix:/[^\x00-\x20\x7f]+")
_UPSTREAM: Final = "must be host:port or unix:/path"
# sun_path of unix(7), less its closing zero byte
_SOCKET_LIMIT: Final = 107


def upstream_problem(text: str) -> str:
    """Return what is wrong with an upstream, an empty string when nothing is."""
    if text.startswith("unix:"):
        return _socket_problem(text)
    if "://" in text:
        return f"{_UPSTREAM}, without a scheme"
    host, colon, port = text.rpartition(":")
    if not colon or not host or "/" in text:
        return _UPSTREAM
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return f"{_UPSTREAM}, with an IPv6 address in brackets"
    if not _port_fits(port):
        return f"{_UPSTREAM}, with a port from 1 to 65535"
    if host.startswith("["):
        return "" if _is_ipv6(host) else f"{_UPSTREAM}; this is no IPv6 address"
    return "" if _HOST.fullmatch(host) else _UPSTREAM


def admin_problem(text: str) -> str:
    """Return what is wrong with the address of an admin API, an empty string when nothing is."""
    if text.startswith("unix:"):
        return _socket_problem(text)
    problem = url_problem(text, "leave them out")
    if problem:
        return problem.replace("http:// or https://", "http://, https:// or unix:/")
    parts = urlsplit(text)
    if parts.path not in ("", "/") or parts.query:
        return "must be http://host:port, without a path"
    return ""


def url_problem(text: str, remedy: str) -> str:
    """Return what is wrong with a URL, an empty string when nothing is.

    Args:
        text: the URL.
        remedy: what to do instead of writing a user and a password into it.
    """
    try:
        parts = urlsplit(text)
        credentials = _has_credentials(text, parts)
        port = parts.port
        if credentials:
            return f"holds a user or password; {remedy}"
        host = httpx.URL(text).host
    except (ValueError, httpx.InvalidURL):
        return "is no URL"
    if parts.scheme not in ("http", "https") or not text.lower().startswith(f"{parts.scheme}://"):
        return "must begin with http:// or https://"
    if not host:
        return "lacks a host"
    if port == 0:
        return "must have a port from 1 to 65535"
    if re.search(r"[\x00-\x20\x7f]", text):
        return "holds a space or a control character; write it as %20"
    return "holds a fragment (#), which is never sent" if parts.fragment else ""


def _has_credentials(text: str, parts: SplitResult) -> bool:
    return "@" in parts.netloc or "@" in re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]


def _socket_problem(text: str) -> str:
    if not _SOCKET.fullmatch(text):
        return "must be unix:/path, with an absolute path"
    if len(text.removeprefix("unix:").encode()) > _SOCKET_LIMIT:
        return f"is longer than a socket's path may be, {_SOCKET_LIMIT} bytes"
    return ""


def _port_fits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def _is_ipv6(host: str) -> bool:
    try:
        return bool(httpx.URL(f"http://{host}").host)
    except httpx.InvalidURL:
        return False
