"""What can be seen from this host of where routes lead, as the tables that are kept say."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from badgateway.collectors.listeners import Listeners
from badgateway.sources.names import UNASKED
from badgateway.topology.destinations import Resolved


@dataclass(frozen=True, slots=True)
class HostSight:
    """This host at one moment; a ``topology.destinations.Sight``.

    Attributes:
        listeners: who listens; None when that cannot be seen, or was not looked at yet.
        names: name → what it leads to; without those not asked for.
        sockets: path of a unix socket → what is wrong with it; without those with nothing wrong.
    """

    listeners: Listeners | None = None
    names: Mapping[str, Resolved] = field(default_factory=dict)
    sockets: Mapping[str, str] = field(default_factory=dict)

    def listens(self, address: str) -> bool | None:
        """Tell whether something listens at an address; None for unknown."""
        return None if self.listeners is None else self.listeners.at(address)

    def owner(self, address: str) -> str:
        """Return the unit or container that listens there; empty where nobody can tell."""
        return "" if self.listeners is None else self.listeners.owner(address)

    def resolved(self, name: str) -> Resolved:
        """Return what a name leads to."""
        return self.names.get(name, UNASKED)

    def socket(self, path: str) -> str:
        """Return what is wrong with a unix socket's file; empty when nothing is."""
        return self.sockets.get(path, "")

    def is_here(self, address: str) -> bool:
        """Tell whether an IP address is one of this host's own."""
        try:
            plain = ipaddress.ip_address(address)
        except ValueError:
            return False
        own = self.listeners.here if self.listeners is not None else ()
        return plain.is_loopback or plain.is_unspecified or str(plain) in own
