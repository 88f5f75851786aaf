"""What a TLS client offers, read before the handshake begins: the curves of its ClientHello.

Python's ``ssl`` lets a server use one curve or every curve. Where some are configured, the first
that the client offers too is set for its connection. The format is RFC 8446, 4.1.2, and 4.2.7 for
``supported_groups``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from badgateway.web.tls import GROUPS

HANDSHAKE: Final = b"\x16"
"""First byte of every TLS connection."""
_CLIENT_HELLO: Final = 1
_SUPPORTED_GROUPS: Final = 10
_RECORD_BYTES: Final = 5 + 2**14
_AGAIN_SECONDS: Final = 0.05


async def choose_curve(found: socket.socket, wanted: Sequence[str]) -> str:
    """Return the first of ``wanted`` that the client offers, else the first of all.

    The bytes stay unread; a ClientHello that never becomes whole is left to the caller's time-out.
    """
    while True:
        record = found.recv(_RECORD_BYTES, socket.MSG_PEEK)
        if not record or len(record) >= 5 + int.from_bytes(record[3:5], "big") >= 6:
            break
        await asyncio.sleep(_AGAIN_SECONDS)
    offered = groups(record[5:])
    return next((name for name in wanted if GROUPS[name] in offered), wanted[0])


def groups(hello: bytes) -> frozenset[int]:
    """Return the groups that a ClientHello, without its record's head, offers; none if it is none.

    Args:
        hello: the handshake message.
    """
    rest = _Bytes(hello)
    try:
        if rest.number(1) != _CLIENT_HELLO:
            return frozenset()
        rest = _Bytes(rest.take(rest.number(3)))
        rest.take(2 + 32)  # version, random
        for width in (1, 2, 1):  # session, cipher suites, compression
            rest.take(rest.number(width))
        extensions = _Bytes(rest.take(rest.number(2)))
        while True:
            kind = extensions.number(2)
            content = extensions.take(extensions.number(2))
            if kind == _SUPPORTED_GROUPS:
                pairs = zip(content[2::2], content[3::2], strict=False)
                return frozenset(high << 8 | low for high, low in pairs)
    except EOFError:
        return frozenset()


class _Bytes:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, number: int) -> bytes:
        if self._at + number > len(self._content):
            raise EOFError
        self._at += number
        return self._content[self._at - number : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")
