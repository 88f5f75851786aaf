"""Who listens: the kernel's list of listening sockets, and how many connections wait there.

A container has a network of its own: who listens there is read from its first process' tables.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from badgateway.sources import cgroupnames, proctree, sockdiag
from badgateway.sources.cgroupnames import CgroupNames
from badgateway.sources.ownaddresses import own_addresses
from badgateway.sources.sockdiag import Listening
from badgateway.topology.backends import WILDCARDS, Backend, is_local
from badgateway.topology.routes import joined

_LISTEN: Final = re.compile(
    rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) 0+:0000 0A [0-9A-F]+:([0-9A-F]+) \S+ \S+ +\d+ +\d+ (\d+)",
    re.M,
)
_UNIX: Final = re.compile(
    rb"^[0-9a-f]+: [0-9A-F]+ \d+ 00010000 \d+ \d+ +(\d+) (\S.*)$", re.M
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Queue:
    """Connections that wait to be accepted at an address; limit 0 where it is not known."""

    length: int
    limit: int


@dataclass(frozen=True, slots=True)
class Listeners:
    """All listening sockets at one moment.

    Attributes:
        sockets: those of this host's network.
        inside: pid of a container's first process → the sockets of its network; only of those
            that have one of their own.
        owners: inode of a socket → the unit or container that made it, where that is known.
        here: this host's own IP addresses, but for those of the loopback interface.
    """

    sockets: tuple[Listening, ...] = ()
    inside: Mapping[int, tuple[Listening, ...]] = field(default_factory=dict)
    owners: Mapping[int, str] = field(default_factory=dict)
    here: frozenset[str] = frozenset()
    _by_port: Mapping[int, list[Listening]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Have the sockets found by their ports."""
        found: dict[int, list[Listening]] = {}
        for each in self.sockets:
            found.setdefault(each.port, []).append(each)
        object.__setattr__(self, "_by_port", found)

    @property
    def shape(self) -> frozenset[tuple[str, int, int]]:
        """Which sockets there are, whoever waits at them: address, port, inode."""
        return frozenset((s.address, s.port, s.inode) for s in self.sockets)

    def at(self, upstream: str) -> bool | None:
        """Tell whether something listens at an address; None when that cannot be told here."""
        found = self.of(upstream)
        return None if found is None else bool(found)

    def of(self, upstream: str) -> tuple[Listening, ...] | None:
        """Return the sockets that would take a connection to an address; None as above."""
        if upstream.startswith("unix:"):
            path = upstream.removeprefix("unix:")
            path = "@" + path[1:] if path.startswith("\0") else path
            return tuple(s for s in self._by_port.get(0, ()) if s.address == path)
        host, _, port = upstream.rpartition(":")
        if not port.isdigit():
            return None
        addresses = _addresses(host, self.here)
        if addresses is None:
            return None
        four = _is_four(host)
        return tuple(
            s
            for s in self._by_port.get(int(port), ())
            if s.address in addresses and not (four and s.six_only)
        )

    def queue(self, upstream: str) -> Queue | None:
        """Return how many wait at an address, of all sockets that share it; None for none."""
        found = self.of(upstream)
        if not found:
            return None
        return Queue(sum(s.queue for s in found), sum(s.limit for s in found))

    def owner(self, upstream: str) -> str:
        """Return which unit or container listens at an address; empty where nobody can tell."""
        names = {self.owners.get(s.inode, "") for s in self.of(upstream) or ()}
        return names.pop() if len(names) == 1 else ""

    def within(self, pid: int, listens: Iterable[str]) -> tuple[Listening, ...] | None:
        """Return the sockets of a container that a server's own addresses stand for.

        Args:
            pid: the container's first process.
            listens: addresses as the server's command line has them.

        Returns:
            None where the container's network is this host's, or cannot be seen.
        """
        if pid not in self.inside:
            return None
        ports = {address.rpartition(":")[2] for address in listens}
        return tuple(s for s in self.inside[pid] if str(s.port) in ports)


def _addresses(host: str, here: Container[str]) -> tuple[str, ...] | None:
    """The addresses whose listeners would answer for a host of this machine."""
    host = host.strip("[]")
    if host in ("", "localhost"):
        return ("127.0.0.1", "::1", *WILDCARDS)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not is_local(host) and str(address) not in here:
        return None  # may be another host: nothing here can tell
    if address.is_unspecified:
        return (*WILDCARDS, "127.0.0.1", "::1")
    # an IPv6 wildcard socket takes IPv4 too, unless it is ``six_only``
    return (str(address), *(WILDCARDS if address.version == 4 else ("::",)))


def _is_four(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False


class Reader:
    """Reads who listens, and remembers whose sockets are whose."""

    def __init__(self) -> None:
        self._names = CgroupNames()
        self._owners: dict[int, str] = {}

    def read(self, containers: Iterable[int] = ()) -> Listeners:
        """Return what listens now; may block, as ``/proc`` of a stuck process does.

        Args:
            containers: the first processes of containers.

        Raises:
            OSError: neither sock_diag nor ``/proc/net`` can be read.
        """
        try:
            sockets = sockdiag.listening()
        except OSError:  # not in this kernel, or not in this sandbox
            sockets = tuple(_of_tables(Path("/proc/net")))
        here = proctree.network("self")
        inside = {}
        for pid in containers:
            network = proctree.network(str(pid))
            if network and network != here:
                try:
                    inside[pid] = tuple(_of_tables(Path(f"/proc/{pid}/net")))
                except OSError:
                    continue  # it has just ended
        self._learn(sockets)
        return Listeners(sockets, inside, dict(self._owners), frozenset(own_addresses()))

    def _learn(self, sockets: tuple[Listening, ...]) -> None:
        """Find out whose the sockets are that were not there before."""
        inodes = {s.inode for s in sockets}
        self._owners = {i: name for i, name in self._owners.items() if i in inodes}
        new = [s for s in sockets if s.inode not in self._owners]
        for made in new:
            self._owners[made.inode] = cgroupnames.unit_of(self._names.path(made.cgroup))
        unknown = {s.inode for s in new if not self._owners[s.inode]}
        for inode, pid in _holders(unknown).items() if unknown else ():
            self._owners[inode] = cgroupnames.unit_of(cgroupnames.of_process(pid))


def _of_tables(folder: Path) -> Iterable[Listening]:
    """The sockets of a network by proc(5): queues without their limits. Raises OSError."""
    for name in ("tcp", "tcp6"):
        try:
            table = (folder / name).read_bytes()
        except FileNotFoundError:
            continue  # a kernel without IPv6
        for found in _LISTEN.finditer(table):
            waiting, inode = int(found[3], 16), int(found[4])
            yield Listening(_address(found[1]), int(found[2], 16), waiting, 0, inode)
    table = (folder / "unix").read_bytes()
    for found in _UNIX.finditer(table):
        yield Listening(found[2].decode("utf-8", "surrogateescape"), 0, inode=int(found[1]))


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


def _holders(inodes: set[int]) -> dict[int, int]:
    """The first process found that holds each of these sockets; those of others are not seen."""
    found: dict[int, int] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                target = os.readlink(descriptor.path)
                if target.startswith("socket:[") and int(target[8:-1]) in inodes:
                    found.setdefault(int(target[8:-1]), int(pid))
        except OSError:
            continue
    return found


def listens(listeners: Listeners, backend: Backend) -> bool | None:
    """Tell whether something listens for a backend; None when that cannot be told.

    At a published port Docker itself listens, whether the application does or not.
    """
    container, launch = backend.container, backend.launch
    if container is not None and launch is not None and launch.listen:
        within = listeners.within(container.pid, launch.listen)
        if within is not None:
            return bool(within)
    answers = [listeners.at(upstream) for upstream in backend.addresses]
    known = [answer for answer in answers if answer is not None]
    return any(known) if known else None


def listener(listeners: Listeners, backend: Backend) -> str:
    """Return the unit or container that listens at all of a backend's addresses that are here.

    Empty where nobody can tell, or where it is not one.
    """
    if backend.container is not None:
        return ""  # Docker listens for it
    names = {listeners.owner(upstream) for upstream in backend.addresses}
    return names.pop() if len(names) == 1 else ""


def of_unit(listeners: Listeners, backend: Backend) -> tuple[str, ...]:
    """Return the addresses of this host at which a backend's own unit listens."""
    if not backend.unit or backend.container is not None:
        return ()
    own = [s for s in listeners.sockets if listeners.owners.get(s.inode) == backend.unit]
    return tuple(dict.fromkeys(_written(s) for s in own))


def _written(listening: Listening) -> str:
    if not listening.port:
        return f"unix:{listening.address}"
    return joined(listening.address, listening.port)


def queue(listeners: Listeners, backend: Backend, upstream: str) -> Queue | None:
    """Return how many wait to be accepted at one of a backend's addresses; None for nobody."""
    container, launch = backend.container, backend.launch
    if container is not None and launch is not None and launch.listen:
        within = listeners.within(container.pid, launch.listen)
        if within is not None:
            return Queue(sum(s.queue for s in within), 0) if within else None
    return listeners.queue(upstream)
