"""Applications and proxies' routes brought together: whose a route is.

Pure: applications, routes and what helps to tell them apart come in, ``PathMap`` goes out.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol, TypeAlias

from badgateway.topology.backends import Backend, PathMap, ProxyPath
from badgateway.topology.routes import Route, is_name

Neighbours: TypeAlias = Mapping[str, Container[str]]


class Bearings(Protocol):
    """What helps to tell whose a route is, beside its address."""

    def stands_for(self, upstream: str) -> Iterable[str]:
        """Yield the addresses that a name leads to, in the place of ``upstream``."""

    def holder(self, proxy: str, upstream: str) -> str:
        """Return the unit that listens where a proxy leads; empty where nobody can tell."""

    def is_broken(self, route: Route) -> bool:
        """Tell whether a request sent there fails, as far as can be seen."""

    def homes(self, proxy: str, site: str) -> Collection[str]:
        """Return the applications that a site led to while that was right."""


def join(
    applications: Iterable[Backend],
    proxies: Iterable[tuple[str, Sequence[Route]]],
    bearings: Bearings | None = None,
    neighbours: Neighbours = MappingProxyType({}),
) -> PathMap:
    """Bring applications and proxies' routes together by address.

    A route that leads nowhere belongs to the application that its site led to before, if that is
    one, and nothing of the site leads there any more. Any other route whose upstream nothing was
    found for becomes a backend of its own, named by the address: it may run elsewhere.

    Args:
        applications: those known.
        proxies: each proxy's name, and its routes.
        bearings: what helps beside the address.
        neighbours: as ``leads_to`` has them.
    """
    backends = {backend.name: backend for backend in applications}
    at = ByPort(backends.values())
    units = {backend.unit: backend for backend in backends.values() if backend.unit}
    found: dict[str, dict[ProxyPath, None]] = {name: {} for name in backends}
    strangers: list[tuple[str, Route]] = []
    broken: list[tuple[str, Route]] = []
    for proxy, routes in proxies:
        for route in routes:
            owner = _owner(at, proxy, route, bearings, neighbours)
            if owner is None and bearings is not None:
                # such as one that was just given another port, and still holds the former
                owner = units.get(bearings.holder(proxy, route.upstream))
            if owner is not None:
                found[owner.name][ProxyPath(proxy, route)] = None
            elif bearings is not None and bearings.is_broken(route):
                broken.append((proxy, route))
            else:
                strangers.append((proxy, route))
    for proxy, route in strangers:
        owner = backends.setdefault(route.upstream, _unnamed(route))
        found.setdefault(owner.name, {})[ProxyPath(proxy, route)] = None
    led = {(path.proxy, path.route.site, name) for name, paths in found.items() for path in paths}
    for proxy, route in broken:
        assert bearings is not None
        home = _home(backends, proxy, route, bearings.homes(proxy, route.site), led)
        owner = home or backends.get(route.upstream) or _unnamed(route)
        backends.setdefault(owner.name, owner)
        path = ProxyPath(proxy, route, astray=home is not None)
        found.setdefault(owner.name, {})[path] = None
    return PathMap(
        tuple(
            replace(backend, paths=tuple(dict.fromkeys((*backend.paths, *found.get(name, ())))))
            for name, backend in sorted(backends.items())
        )
    )


class ByPort:
    """Applications by the ports, or sockets, at which they may be reached."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        """Find them by their addresses, in this order."""
        self._found: dict[str, list[Backend]] = {}
        for backend in backends:
            ports = {a.rpartition(":")[2] for a in (*backend.listens, *backend.aliases)}
            for port in ports:
                self._found.setdefault(port, []).append(backend)

    def at(self, upstream: str) -> Sequence[Backend]:
        """Return those that an address may lead to: its port is one of theirs."""
        return self._found.get(upstream.rpartition(":")[2], ())


def leads_to(proxy: str, upstream: str, backend: Backend, neighbours: Neighbours) -> bool:
    """Tell whether a proxy's upstream is an application's address.

    The name of a container, or of its service, holds in its own networks: others may be called so.

    Args:
        proxy: the proxy's name.
        upstream: the address.
        backend: the application.
        neighbours: proxy in a container → the units of the containers that share a network with
            it.
    """
    near = neighbours.get(proxy)
    is_free = near is None or backend.unit in near or not is_name(upstream.rpartition(":")[0])
    return is_free and backend.listens_at(upstream)


def _owner(
    at: ByPort, proxy: str, route: Route, bearings: Bearings | None, neighbours: Neighbours
) -> Backend | None:
    """The application that listens where a route leads."""
    known = at.at(route.upstream)
    if not known:
        return None  # a name leads to the same port
    further = bearings.stands_for(route.upstream) if bearings is not None else ()
    for address in (route.upstream, *further):
        for backend in known:
            if leads_to(proxy, address, backend, neighbours):
                return backend
    return None


def _home(
    backends: Mapping[str, Backend],
    proxy: str,
    route: Route,
    homes: Iterable[str],
    led: Container[tuple[str, str, str]],
) -> Backend | None:
    """The application whose site a route that leads nowhere is; None where that is not clear."""
    lost = {}
    for name in homes:
        if name != route.upstream:
            home = _named(backends, name)
            if home is not None and (proxy, route.site, home.name) not in led:
                lost[home.name] = home
    return next(iter(lost.values())) if len(lost) == 1 else None


def _named(backends: Mapping[str, Backend], name: str) -> Backend | None:
    """The application of a name, which may have been its address before it was known better."""
    if name in backends:
        return backends[name]
    if ":" not in name:
        return None
    # one that has no name but its address is known as long as something leads there
    listens = (backend for backend in backends.values() if backend.listens_at(name))
    return next(listens, Backend(name, listens=(name,)))


def _unnamed(route: Route) -> Backend:
    """What is known of an application by its address alone."""
    return Backend(route.upstream, listens=(route.upstream,))
