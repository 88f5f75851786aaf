"""What a proxy in a container, or in a network of its own, serves, as it is seen from this host.

Its files say what holds inside. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from badgateway.topology.backends import is_local
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route


def seen_from_here(found: ProxyFound, place: ProxyPlace) -> ProxyFound:
    """Return what a proxy serves with the addresses by which this host knows them.

    Where it takes requests becomes where its ports are published, nothing for those that are not.
    What it reaches within its own container stands in braces, as what only a proxy knows. Names
    stay as they are written. A container's logs are its own: none is told.

    Args:
        found: as its files have it.
        place: where it is; one in no container, and in this host's network, stays as it is.
    """
    if not (place.container or place.is_apart):
        return found
    reached = dict(place.reached)
    return replace(
        found,
        on_disk=None if found.on_disk is None else _routes(found.on_disk, place),
        loaded=None if found.loaded is None else _routes(found.loaded, place),
        logs=() if place.container else found.logs,
        together=() if place.container else found.together,
        local=tuple(replace(a, listen=_listen(a.listen, place)) for a in found.local),
        listens=tuple(
            dict.fromkeys(
                reached[port] if place.is_apart else address
                for address in found.listens
                for port in (address.rpartition(":")[2],)
                if not address.startswith("unix:") and (port in reached or not place.is_apart)
            )
        ),
    )


def _routes(routes: tuple[Route, ...], place: ProxyPlace) -> tuple[Route, ...]:
    return tuple(
        replace(
            route,
            listen=_listen(route.listen, place),
            upstream=_upstream(route.upstream, place),
        )
        for route in routes
    )


def _listen(address: str, place: ProxyPlace) -> str:
    if address.startswith("unix:"):
        return ""
    if not place.is_apart:
        return address
    return dict(place.reached).get(address.rpartition(":")[2], "")


def _upstream(address: str, place: ProxyPlace) -> str:
    if "{" in address:
        return address
    if address.startswith("unix:"):
        return "{" + address + "}" if place.container else address
    return (
        "{" + address + "}" if place.is_apart and is_local(address.rpartition(":")[0]) else address
    )
