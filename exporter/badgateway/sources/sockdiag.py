"""Listening sockets by sock_diag(7): who may connect, how many wait, and whose they are.

Needs no privilege. Messages as in ``linux/inet_diag.h`` and ``linux/unix_diag.h`` (Linux 6.18).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_SOCK_DIAG: Final = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3
_LISTEN: Final = 1 << 10
_CGROUP_ID: Final = 21  # INET_DIAG_CGROUP_ID, since Linux 5.9
_SIX_ONLY: Final = 11  # INET_DIAG_SKV6ONLY, since Linux 4.1
_NAME, _RQLEN = 0, 4  # UNIX_DIAG_NAME, UNIX_DIAG_RQLEN
_SHOW: Final = 0x1 | 0x10  # UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_INET: Final = struct.Struct("=4s2s2s16s16sI8s5I")  # struct inet_diag_msg
_UNIX: Final = struct.Struct("=4s3I")  # struct unix_diag_msg
_SECONDS: Final = 2.0
_INFO: Final = 2  # INET_DIAG_INFO: struct tcp_info of linux/tcp.h
_WITH_INFO: Final = 1 << (_INFO - 1)
_LAST, _RECEIVED = 52, 128  # tcpi_last_data_recv (ms), tcpi_bytes_received
_TIME_WAIT: Final = 6
_CLOSED: Final = 1 << _TIME_WAIT
_ALIVE: Final = sum(1 << state for state in (1, 4, 5, 8, 9, 11))  # all but those that only begin
_TIME_WAIT_SECONDS: Final = 60.0
"""How long the kernel remembers (TCP_TIMEWAIT_LEN)."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket.

    Attributes:
        address: an IP address, or a unix socket's path; ``@name`` for an abstract one.
        port: 0 for unix.
        queue: connections that wait to be accepted.
        limit: how many may; one more is taken.
        inode: by which its owner's descriptors name it.
        cgroup: the id of its maker's control group; 0 where that is not told.
        six_only: whether it is known to take no IPv4 (``IPV6_V6ONLY``): an IPv6 wildcard else does.
    """

    address: str
    port: int
    queue: int = 0
    limit: int = 0
    inode: int = 0
    cgroup: int = 0
    six_only: bool = False


def listening() -> tuple[Listening, ...]:
    """Return every listening stream socket of this network namespace.

    Raises:
        OSError: the kernel does not answer, or has no such interface.
    """
    found = [*_inet(socket.AF_INET)]
    try:
        found += _inet(socket.AF_INET6)
    except FileNotFoundError:
        pass  # a kernel without IPv6
    return (*found, *_unix())


def _inet(family: int) -> Iterator[Listening]:
    request = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, _LISTEN)
    for message in _ask(request):
        head, port, _, source, _, _, _, *numbers = _INET.unpack_from(message)
        _, queue, limit, _, inode = numbers
        raw = source if head[0] == socket.AF_INET6 else source[:4]
        attributes = dict(_attributes(message, _INET.size))
        cgroup = int.from_bytes(attributes.get(_CGROUP_ID, b""), "little")
        only = any(attributes.get(_SIX_ONLY, b""))
        yield Listening(
            _plain(raw), int.from_bytes(port, "big"), queue, limit, inode, cgroup, only
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to a port, alive or closed within the last minute.

    Attributes:
        client: the port at its other end.
        at: when its server last received data, or when it was closed; seconds since the epoch.
    """

    client: int
    at: float


def connections(port: int) -> Iterator[Connection]:
    """Yield the connections of this network namespace to a port of this host.

    The side that closes first remembers it for a minute (``TIME_WAIT``); both are looked at.

    Raises:
        OSError: the kernel does not answer, or has no such interface.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            yield from _to(family, port, _ALIVE | _CLOSED, 0)
            yield from _to(family, 0, _CLOSED, port)
        except FileNotFoundError:
            continue  # a kernel without IPv6


def _to(family: int, source: int, states: int, destination: int) -> Iterator[Connection]:
    ports = struct.pack(">HH44x", source, destination)
    request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, _WITH_INFO, 0, states) + ports
    now = time.time()
    for message in _ask(request):
        head, local, remote, here, there, _, _, expires, *_ = _INET.unpack_from(message)
        size = 16 if head[0] == socket.AF_INET6 else 4
        if destination and there[:size] != here[:size] and not _is_loopback(there[:size]):
            continue  # to the same port of another host
        client = int.from_bytes(local if destination else remote, "big")
        if head[1] == _TIME_WAIT:
            yield Connection(client, now - max(0.0, _TIME_WAIT_SECONDS - expires / 1000))
            continue
        info = dict(_attributes(message, _INET.size)).get(_INFO, b"")
        if len(info) < _RECEIVED + 8 or struct.unpack_from("=Q", info, _RECEIVED)[0]:
            idle = struct.unpack_from("=I", info, _LAST)[0] / 1000 if len(info) >= _LAST + 4 else 0
            yield Connection(client, now - idle)


def _is_loopback(raw: bytes) -> bool:
    address = ipaddress.ip_address(_plain(raw))
    return address.is_loopback


def _unix() -> Iterator[Listening]:
    request = struct.pack("=BBHIII8x", socket.AF_UNIX, 0, 0, _LISTEN, 0, _SHOW)
    for message in _ask(request):
        head, inode, _, _ = _UNIX.unpack_from(message)
        if head[1] not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            continue
        attributes = dict(_attributes(message, _UNIX.size))
        name = attributes.get(_NAME, b"")
        queue, limit = struct.unpack_from("=II", attributes.get(_RQLEN, bytes(8)))
        path = "@" + _text(name[1:]) if name[:1] == b"\0" else _text(name.rstrip(b"\0"))
        if path:
            yield Listening(path, 0, queue, limit, inode)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _plain(raw: bytes) -> str:
    address = ipaddress.ip_address(raw)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _ask(payload: bytes) -> Iterator[bytes]:
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG
    ) as asked:
        asked.settimeout(_SECONDS)
        size = _HEADER.size + len(payload)
        asked.send(_HEADER.pack(size, _BY_FAMILY, _DUMP, 1, 0) + payload)
        while True:
            answer, offset = asked.recv(1 << 18), 0
            while offset + _HEADER.size <= len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, offset)
                body = answer[offset + _HEADER.size : offset + length]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, "sock_diag")
                yield body
                offset += (length + 3) & ~3


def _attributes(message: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, message[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
