"""The ways of each application: where its sites lead, where they would lead after a reload.

Pure: what the proxies have loaded and what their files say, seen with a ``Sight``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.destinations import Destination, Resolved, Sight, destination, name_of
from badgateway.topology.homes import Homes
from badgateway.topology.proxyplace import ProxyFound
from badgateway.topology.routes import Route

Pinned: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Way:
    """A site of a proxy, and where a request for it is led.

    Attributes:
        proxy: the proxy's name.
        destination: where it leads.
        was: the addresses that the site led to before, of those that hold no more.
        moved: what its name leads to now, where the proxy still uses what it led to before.
        moved_since: since when that is so, seconds since the epoch.
        is_missed: whether a request fails there although another place would have answered.
    """

    proxy: str
    destination: Destination
    was: tuple[Route, ...] = ()
    moved: tuple[str, ...] = ()
    moved_since: float = 0.0
    is_missed: bool = False

    @property
    def route(self) -> Route:
        """The route."""
        return self.destination.route


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of one application.

    Attributes:
        loaded: those that lead to it, or to nobody in its place.
        given_away: those of sites that were its own and lead to another application.
        coming: those of its sites that a reload would bring, and that miss it.
    """

    loaded: tuple[Way, ...] = ()
    given_away: tuple[Way, ...] = ()
    coming: tuple[Way, ...] = ()

    @property
    def broken(self) -> tuple[Way, ...]:
        """Ways on which a request fails, as far as can be seen."""
        return tuple(way for way in self.loaded if way.is_missed)


NONE: Final = Ways()


def find(
    paths: PathMap,
    answers: Mapping[str, ProxyFound],
    homes: Homes,
    sight: Sight,
    blind: Collection[str] = (),
    pinned: Pinned = MappingProxyType({}),
) -> Mapping[str, Ways]:
    """Return application → its ways.

    Args:
        paths: the path map, as loaded.
        answers: what each proxy serves.
        homes: where sites were at home.
        sight: what can be seen of this host.
        blind: proxies that see another network than this host's: of theirs nothing is told.
        pinned: proxy and upstream → the addresses its name led to when that was loaded.
    """
    known = _ByPort(paths.backends)
    owned = [
        (backend.name, path.proxy, path.route)
        for backend in paths.backends
        for path in backend.paths
        if path.proxy not in blind
    ]
    now = _ways([(proxy, route) for _, proxy, route in owned], known, sight, pinned)
    loaded: dict[str, list[Way]] = {}
    for (name, _, _), way in zip(owned, now, strict=True):
        loaded.setdefault(name, []).append(way)
    after = {
        proxy: _ways([(proxy, route) for route in found.on_disk or ()], known, sight)
        for proxy, found in answers.items()
        if proxy not in blind and _pends(found)
    }
    return {
        backend.name: Ways(
            tuple(loaded.get(backend.name, ())),
            _given_away(backend, now, homes),
            tuple(
                way
                for proxy, ways in after.items()
                for way in _missing(backend, proxy, ways, answers[proxy], known)
            ),
        )
        for backend in paths.backends
    }


class _ByPort:
    """Applications by the ports at which they may be reached."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self.backends = {backend.name: backend for backend in backends}
        self._found: dict[str, list[Backend]] = {}
        for backend in self.backends.values():
            ports = {a.rpartition(":")[2] for a in (*backend.listens, *backend.aliases)}
            for port in ports:
                self._found.setdefault(port, []).append(backend)

    def at(self, upstream: str) -> Collection[Backend]:
        return self._found.get(upstream.rpartition(":")[2], ())

    def serves_others(self, name: str, site: str) -> bool:
        """Whether an application has other sites already: one without may be a successor."""
        found = self.backends.get(name)
        return found is not None and any(path.route.site != site for path in found.paths)


@dataclass(frozen=True, slots=True)
class _Then:
    """What was seen of names when a proxy loaded them; all else as it is now."""

    now: Sight
    addresses: tuple[str, ...]

    def listens(self, address: str) -> bool | None:
        return self.now.listens(address)

    def owner(self, address: str) -> str:
        return self.now.owner(address)

    def resolved(self, name: str) -> Resolved:
        return Resolved(self.addresses, True)

    def socket(self, path: str) -> str:
        return self.now.socket(path)

    def is_here(self, address: str) -> bool:
        return self.now.is_here(address)


def _ways(
    routes: Iterable[tuple[str, Route]],
    known: _ByPort,
    sight: Sight,
    pinned: Pinned = MappingProxyType({}),
) -> tuple[Way, ...]:
    seen = []
    for proxy, route in routes:
        held = pinned.get((proxy, route.upstream))
        then = sight if held is None or route.dynamic else _Then(sight, held)
        to = destination(route, then, known.at(route.upstream))
        moved = sight.resolved(name_of(route.upstream)) if then is not sight else Resolved()
        if not moved.addresses or set(moved.addresses) & set(to.addresses):
            moved = Resolved()
        seen.append(Way(proxy, to, moved=moved.addresses, moved_since=moved.since))
    answering = {_group(way) for way in seen if way.route.group and not way.destination.is_broken}
    # another member of a group takes what one does not
    return tuple(
        replace(way, is_missed=way.destination.is_broken and _group(way) not in answering)
        for way in seen
    )


def _group(way: Way) -> tuple[str, str, str]:
    return way.proxy, way.route.site, way.route.group


def _given_away(backend: Backend, now: Iterable[Way], homes: Homes) -> tuple[Way, ...]:
    """The ways of sites that were a backend's own, and of which none leads there any more."""
    kept = {(path.proxy, path.route.site) for path in backend.paths}
    lost = homes.at_home(backend.name) - kept
    return tuple(
        way
        for way in now
        if (way.proxy, way.route.site) in lost and way.destination.backend != backend.name
    )


def _pends(found: ProxyFound) -> bool:
    """Whether a reload would bring something else than is loaded."""
    known = found.loaded is not None and found.on_disk is not None
    return known and not (found.digest and found.digest == found.loaded_digest)


def _missing(
    backend: Backend, proxy: str, after: Collection[Way], found: ProxyFound, known: _ByPort
) -> Iterable[Way]:
    """The ways that a reload would bring for a backend's sites, and on which it is missed."""
    own = [path.route for path in backend.paths if path.proxy == proxy]
    before, there = set(found.loaded or ()), set(found.on_disk or ())
    for site in dict.fromkeys(route.site for route in own):
        ways = [way for way in after if way.route.site == site]
        was = tuple(route for route in own if route.site == site and route not in there)
        kept = any(way.destination.backend == backend.name for way in ways)
        for way in ways:
            if way.route in before or way.route.backup:
                continue
            other = way.destination.backend
            taken = not kept and other != backend.name and known.serves_others(other, site)
            if way.is_missed or taken:
                yield replace(way, was=was)
