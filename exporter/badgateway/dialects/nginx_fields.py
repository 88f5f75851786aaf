"""What nginx' error log and its access log write alike: addresses, names, requests.

A client chooses the request; nothing here trusts it. Source of the forms: nginx'
``ngx_http_log_module.c`` (escapes of the access log), ``ngx_http_upstream.c`` and
``ngx_inet.c`` (how addresses are printed).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MARK_LIMIT: Final = 300
"""Characters kept of a request's mark."""

_UNPRINTABLE: Final = re.compile(r"(?:\\x[89A-Fa-f][0-9A-Fa-f]|\\x7[Ff]|[^\x00-\x7e])+")
_ESCAPED: Final = re.compile(r'["\x00-\x1f]|\\(?!x[0-9A-Fa-f]{2})|\\x[0-9A-Fa-f]{2}')
_ADDRESS: Final = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]\"]+):([0-9]{1,5})$")
_NAME: Final = re.compile(r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?$")
_GROUP: Final = re.compile(r"^[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?$")
_PLACE_END: Final = re.compile(r"[/?]")
_GLUED: Final = re.compile(r"^((?:[0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5})[^0-9:]")
_MASKED: Final = re.compile(r"(?:^|\.)[xX*]+(?:\.|$)")


def request_mark(client: str, request: str) -> str | None:
    """Return the mark of a request, the same from either log.

    Args:
        client: the client's address.
        request: ``METHOD URI`` or ``METHOD URI PROTOCOL``, raw or escaped; may be cut.

    Returns:
        ``line:CLIENT METHOD URI``, cut; None when there is no request.
    """
    head, _, protocol = request.rpartition(" ")
    if head and " " in head and protocol.startswith("HTTP/"):
        request = head
    if not client or " " not in request:
        return None
    # bytes beyond ASCII may have been lost in decoding: one sign stands for any run of them
    request = _UNPRINTABLE.sub("?", request[: 4 * MARK_LIMIT])
    request = _ESCAPED.sub(_escape, request)
    return f"line:{client} {request}"[:MARK_LIMIT]


def _escape(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02X}" if len(found[0]) == 1 else "\\x" + found[0][2:].upper()


def site(name: str | None) -> str | None:
    """Return a server name; None for the empty one, ``_`` and a listening address."""
    if not name or name == "_" or _ADDRESS.match(name) or name.startswith("unix:"):
        return None
    return name.lower()


def site_of(fields: Mapping[str, str]) -> str | None:
    """Return the site of an access line: the server's name, else the host that was asked for."""
    return site(fields.get("server_name") or fields.get("host", "").partition(":")[0])


@lru_cache(maxsize=4096)
def address(text: str) -> str | None:
    """Return ``host:port`` or ``unix:/path``; None for what cannot be one, such as a masked one."""
    if text.startswith("unix:"):
        path = text[5:].rstrip(":")
        return f"unix:/{path.lstrip('/')}" if path.startswith("/") and len(path) > 1 else None
    found = _ADDRESS.match(text)
    if not found or not 0 < int(found[2]) < 65536:
        return None
    host = found[1]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        # a name, but not four numbers that are no address, and nothing masked
        numeric = host.rpartition(".")[2].isdigit()
        if host.startswith("[") or numeric or _MASKED.search(host) or not _NAME.match(host):
            return None
    return text


def group(text: str) -> str | None:
    """Return the name of a group of upstreams, or None when it cannot be one."""
    return text if _GROUP.match(text) and not _MASKED.search(text) else None


def upstream_of(url: str) -> tuple[str | None, str | None]:
    """Take apart what an error line prints as ``upstream:``.

    Args:
        url: ``SCHEME://ADDRESS/URI``, ``SCHEME://unix:/path[:URI]``, or an address alone.

    Returns:
        The address or None, and the group's name where it can be nothing else.
    """
    _, separator, rest = url.partition("://")
    place = rest if separator else url.removeprefix("passenger:")
    if place.startswith("unix:"):
        return address("unix:" + place[5:].partition(":")[0]), None
    place = _PLACE_END.split(place, maxsplit=1)[0]
    if glued := _GLUED.match(place):
        place = glued[1]  # the rest is of a path that was given without its slash
    return address(place), group(place)
