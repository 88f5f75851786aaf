"""Where nginx takes requests (``listen``, nginx.org/en/docs/http/ngx_http_core_module.html#listen).

Pure: directives in, addresses out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from badgateway.topology.nginx.directives import Directives, arguments, blocks, each

_RANGE: Final = re.compile(r"(.*?)(\d{1,5})-(\d{1,5})", re.S)
_HIGHEST: Final = 65535
_DATAGRAMS: Final = ("udp", "quic")
_EVERYWHERE: Final = ("", "*", "0.0.0.0")  # noqa: S104  compared with, never bound


def listens(directives: Directives) -> tuple[str, ...]:
    """Return every address at which connections are taken, ``host:port`` or ``unix:/path``."""
    found: dict[str, None] = {}
    for kind in ("http", "stream", "mail"):
        for block in blocks(directives, kind):
            for server in blocks(block, "server"):
                given = list(each(server, "listen"))
                for words in map(arguments, given):
                    if words and not any(word in _DATAGRAMS for word in words[1:]):
                        found.update(dict.fromkeys(addresses(words[0])))
                if not given and kind == "http":
                    found[_whole(":80")] = None
    return tuple(found)


def first(server: Directives) -> tuple[str, bool]:
    """Return the first address clients use for a server, and whether they speak TLS there.

    The host is left out where it is every one. A server that only has unix sockets has the first
    of those.
    """
    tls = any(arguments(d) == ("on",) for d in each(server, "ssl"))  # until nginx 1.25
    sockets: list[str] = []
    for words in map(arguments, each(server, "listen")):
        if not words or any(word in _DATAGRAMS for word in words[1:]):
            continue
        if words[0].startswith("unix:"):
            sockets.append(words[0])
            continue
        address = next(_addresses(words[0]))
        host, _, port = address.rpartition(":")
        return f"{'' if host == '[::]' else host}:{port}", tls or "ssl" in words
    return (sockets or [":80"])[0], tls


def addresses(text: str) -> Iterator[str]:
    """Yield the addresses that one ``listen`` names, ``host:port`` or ``unix:/path``."""
    return map(_whole, _addresses(text))


def _addresses(text: str) -> Iterator[str]:
    """The addresses that one ``listen`` names, ``host:port``; the host empty for every one."""
    if text.startswith("unix:"):
        yield text
        return
    if ports := _RANGE.fullmatch(text):  # since 1.15.10
        lowest, highest = int(ports[2]), min(int(ports[3]), _HIGHEST)
        if lowest <= highest:
            for number in range(lowest, highest + 1):
                yield from _addresses(f"{ports[1]}{number}")
            return
    host, _, port = text.rpartition(":")
    if text.isdigit():
        host, port = "", text
    elif not port.isdigit():  # an address alone, perhaps of IPv6
        host, port = text, "80"
    yield f"{'' if host in _EVERYWHERE else host}:{port}"


def _whole(address: str) -> str:
    return f"0.0.0.0{address}" if address.startswith(":") else address  # noqa: S104  as above
