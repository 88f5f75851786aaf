"""What can be seen from this host of where routes lead, as the tables that are kept say."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from badgateway.collectors.listeners import Listeners
from badgateway.sources.names import UNASKED
from badgateway.topology.backends import WILDCARDS
from badgateway.topology.containers.bridges import Bridges
from badgateway.topology.destinations import Resolved


@dataclass(frozen=True, slots=True)
class HostSight:
    """This host at one moment; a ``topology.destinations.Sight``.

    Attributes:
        listeners: who listens; None when that cannot be seen, or was not looked at yet.
        names: name → what it leads to; without those not asked for.
        sockets: path of a unix socket → what is wrong with it; without those with nothing wrong.
        servers: the name servers that this host asks.
        bridges: the networks of this host's containers.
    """

    listeners: Listeners | None = None
    names: Mapping[str, Resolved] = field(default_factory=dict)
    sockets: Mapping[str, str] = field(default_factory=dict)
    servers: frozenset[str] = frozenset()
    bridges: Bridges = field(default_factory=Bridges)

    def listens(self, address: str) -> bool | None:
        """Tell whether something listens at an address; None for unknown."""
        if self.listeners is None:
            return None
        host, port = _parted(address)
        if not self._is_bridged(host):
            return self.listeners.at(address)
        contained = self.bridges.containers.get(host)
        if contained is None:
            return False  # no container has that address
        inside = self.listeners.inside.get(contained.pid)
        if inside is None or not port.isdigit():
            return None
        return any(s.port == int(port) and s.address in (host, *WILDCARDS) for s in inside)

    def owner(self, address: str) -> str:
        """Return the unit or container that listens there; empty where nobody can tell."""
        if self.listeners is None:
            return ""
        contained = self.bridges.containers.get(_parted(address)[0])
        return contained.unit if contained is not None else self.listeners.owner(address)

    def resolved(self, name: str) -> Resolved:
        """Return what a name leads to."""
        return self.names.get(name, UNASKED)

    def socket(self, path: str) -> str:
        """Return what is wrong with a unix socket's file; empty when nothing is."""
        return self.sockets.get(path, "")

    def is_here(self, address: str) -> bool:
        """Tell whether an IP address is one of this host's own, or of its containers."""
        try:
            plain = ipaddress.ip_address(address)
        except ValueError:
            return False
        own = self.listeners.here if self.listeners is not None else ()
        is_own = plain.is_loopback or plain.is_unspecified or str(plain) in own
        return is_own or self._is_bridged(str(plain))

    def _is_bridged(self, host: str) -> bool:
        """Whether an address is for a container of this host, if for anybody."""
        if self.listeners is None or host in self.listeners.here:
            return False
        try:
            return self.bridges.holds(host, self.listeners.here)
        except ValueError:
            return False

    def asks(self, servers: Collection[str]) -> bool:
        """Tell whether names come from these name servers here too."""
        return {_host(server) for server in servers} <= self.servers


def _parted(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port


def _host(server: str) -> str:
    """A name server's address; with its port where that is none for names."""
    if server.endswith("]:53") or server.count(":") == 1:
        server = server.removesuffix(":53")
    return server.removeprefix("[").removesuffix("]")
