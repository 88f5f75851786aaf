"""The networks that Docker makes on this host, and which container has which address there.

Pure: the containers' descriptions in (``GET /containers/ID/json``, API 1.24 and later).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container as Holding
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from badgateway.topology.containers import applications as containers

Document: TypeAlias = Mapping[str, Any]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Contained:
    """The container that has an address: its unit, and its first process."""

    unit: str
    pid: int


@dataclass(frozen=True, slots=True)
class Bridges:
    """Containers by their addresses.

    Attributes:
        networks: each network with the address of its gateway.
        containers: address → the running container that has it.
    """

    networks: frozenset[tuple[Network, str]] = frozenset()
    containers: Mapping[str, Contained] = field(default_factory=dict)

    def holds(self, address: str, here: Holding[str]) -> bool:
        """Tell whether an IP address is of a network of containers that is this host's own.

        One whose gateway is elsewhere (macvlan, ipvlan) is shared with other hosts.

        Args:
            address: the address.
            here: this host's own addresses.
        """
        plain = ipaddress.ip_address(address)
        return any(gateway in here and plain in network for network, gateway in self.networks)


def neighbours(documents: Iterable[Document]) -> dict[str, frozenset[str]]:
    """Return unit → the units of the containers that share a network with it."""
    members: dict[str, set[str]] = {}
    for document in documents:
        for name in (document.get("NetworkSettings") or {}).get("Networks") or {}:
            members.setdefault(name, set()).add(containers.unit(document))
    found: dict[str, set[str]] = {}
    for units in members.values():
        for unit in units:
            found.setdefault(unit, set()).update(units)
    return {unit: frozenset(units) for unit, units in found.items()}


def bridges(documents: Iterable[Document]) -> Bridges:
    """Return the networks of this host's containers; anything not shaped so is passed over."""
    networks: set[tuple[Network, str]] = set()
    found: dict[str, Contained] = {}
    for document in documents:
        pid = int((document.get("State") or {}).get("Pid") or 0)
        settings = (document.get("NetworkSettings") or {}).get("Networks") or {}
        for network in settings.values() if pid else ():
            for own, gateway, length in (
                ("IPAddress", "Gateway", "IPPrefixLen"),
                ("GlobalIPv6Address", "IPv6Gateway", "GlobalIPv6PrefixLen"),
            ):
                try:
                    address = ipaddress.ip_address(str(network.get(own) or ""))
                    router = ipaddress.ip_address(str(network.get(gateway) or ""))
                    whole = ipaddress.ip_network(f"{router}/{network.get(length)}", strict=False)
                except ValueError:
                    continue
                networks.add((whole, str(router)))
                found[str(address)] = Contained(containers.unit(document), pid)
    return Bridges(frozenset(networks), found)
