"""Who listens: the kernel's list of listening sockets of this network namespace (proc(5))."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway.topology.backends import WILDCARDS, is_local

_LISTEN: Final = re.compile(rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) 0+:0000 0A ", re.M)
_UNIX: Final = re.compile(rb"^[0-9a-f]+: [0-9A-F]+ \d+ 00010000 \d+ \d+ +\d+ (\S.*)$", re.M)


@dataclass(frozen=True, slots=True)
class Listeners:
    """All listening sockets at one moment.

    Attributes:
        tcp: (address, port) pairs.
        unix: paths.
    """

    tcp: frozenset[tuple[str, int]] = frozenset()
    unix: frozenset[str] = frozenset()

    def at(self, upstream: str) -> bool | None:
        """Tell whether something listens at an address; None when that cannot be told here."""
        if upstream.startswith("unix:"):
            return upstream.removeprefix("unix:") in self.unix
        host, _, port = upstream.rpartition(":")
        if not port.isdigit():
            return None
        addresses = _addresses(host)
        if addresses is None:
            return None
        return any((address, int(port)) in self.tcp for address in addresses)


def _addresses(host: str) -> tuple[str, ...] | None:
    """The addresses whose listeners would answer for a host of this machine."""
    host = host.strip("[]")
    if host in ("", "localhost"):
        return ("127.0.0.1", "::1", *WILDCARDS)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not is_local(host):
        return None  # may be another host: nothing here can tell
    if address.is_unspecified:
        return (*WILDCARDS, "127.0.0.1", "::1")
    # an IPv6 wildcard socket takes IPv4 too, unless it was told not to
    return (str(address), *(WILDCARDS if address.version == 4 else ("::",)))


def read() -> Listeners:
    """Return what listens now.

    Raises:
        OSError: ``/proc/net`` cannot be read.
    """
    tcp: set[tuple[str, int]] = set()
    for name in ("tcp", "tcp6"):
        try:
            table = Path(f"/proc/net/{name}").read_bytes()
        except FileNotFoundError:
            continue  # a kernel without IPv6
        tcp.update((_address(match[1]), int(match[2], 16)) for match in _LISTEN.finditer(table))
    table = Path("/proc/net/unix").read_bytes()
    unix = {match[1].decode("utf-8", "surrogateescape") for match in _UNIX.finditer(table)}
    return Listeners(frozenset(tcp), frozenset(unix))


def _address(hexadecimal: bytes) -> str:
    raw = bytes.fromhex(hexadecimal.decode())
    # each 32-bit word is in the host's byte order
    swapped = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, swapped)
    mapped = ipaddress.ip_address(text)
    if isinstance(mapped, ipaddress.IPv6Address) and mapped.ipv4_mapped:
        return str(mapped.ipv4_mapped)
    return text


def any_listening(listeners: Listeners, upstreams: Iterable[str]) -> bool | None:
    """Tell whether something listens at one of the addresses; None when none can be told."""
    answers = [listeners.at(upstream) for upstream in upstreams]
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None
