"""The ways of each application: where its sites lead, where they would lead after a reload.

Pure: what the proxies have loaded and what their files say, seen with a ``Sight``.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.destinations import Destination, Resolved, Sight, destination, name_of
from badgateway.topology.homes import Homes, Site
from badgateway.topology.joining import ByPort
from badgateway.topology.proxies.place import ProxyFound
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
        before: the address at which the site led to its application while that was right; the same
            as now where that has moved, empty where it is not known.
    """

    proxy: str
    destination: Destination
    was: tuple[Route, ...] = ()
    moved: tuple[str, ...] = ()
    moved_since: float = 0.0
    is_missed: bool = False
    before: str = ""

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


@dataclass(frozen=True, slots=True)
class Idle:
    """An application that listens and that no proxy leads to.

    Attributes:
        backend: its name.
        address: the first at which it listens.
    """

    backend: str
    address: str


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
    known = _Known(paths.backends)
    owned = [
        (backend.name, path.proxy, path.route)
        for backend in paths.backends
        for path in backend.paths
        if path.proxy not in blind
    ]
    now = _ways([(proxy, route) for _, proxy, route in owned], known, sight, pinned)
    loaded: dict[str, list[Way]] = {}
    for (name, proxy, route), way in zip(owned, now, strict=True):
        before = homes.led(proxy, route.site, name) if way.destination.is_broken else ""
        loaded.setdefault(name, []).append(replace(way, before=before) if before else way)
    after = {
        proxy: _After(found, _ways([(proxy, route) for route in found.on_disk or ()], known, sight))
        for proxy, found in answers.items()
        if proxy not in blind and _pends(found)
    }
    leading: dict[Site, list[Way]] = {}
    for way in now:
        leading.setdefault((way.proxy, way.route.site), []).append(way)
    return {
        backend.name: Ways(
            tuple(loaded.get(backend.name, ())),
            _given_away(backend, leading, homes),
            tuple(
                way
                for proxy, coming in after.items()
                for way in _missing(backend, proxy, coming, known)
            ),
        )
        for backend in paths.backends
    }


class _Known(ByPort):
    """The applications, by name and by port."""

    def __init__(self, backends: Collection[Backend]) -> None:
        super().__init__(backends)
        self._names = {backend.name: backend for backend in backends}

    def serves_others(self, name: str, site: str) -> bool:
        """Whether an application has other sites already: one without may be a successor."""
        found = self._names.get(name)
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

    def asks(self, servers: Collection[str]) -> bool:
        return self.now.asks(servers)


def _ways(
    routes: Iterable[tuple[str, Route]],
    known: _Known,
    sight: Sight,
    pinned: Pinned = MappingProxyType({}),
) -> tuple[Way, ...]:
    seen, judged = [], dict[Hashable, Destination]()
    for proxy, route in routes:
        held = None if route.dynamic else pinned.get((proxy, route.upstream))
        then = sight if held is None else _Then(sight, held)
        key = (route.upstream, route.resolvers, held)
        if key not in judged:
            judged[key] = destination(route, then, known.at(route.upstream))
        to = replace(judged[key], route=route)
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


def _given_away(
    backend: Backend, leading: Mapping[Site, Iterable[Way]], homes: Homes
) -> tuple[Way, ...]:
    """The ways of sites that were a backend's own, and of which none leads there any more."""
    kept = {(path.proxy, path.route.site) for path in backend.paths}
    lost = homes.at_home(backend.name) - kept
    return tuple(
        replace(way, before=homes.led(way.proxy, way.route.site, backend.name))
        for site in sorted(lost)
        for way in leading.get(site, ())
        if way.destination.backend != backend.name
    )


class _After:
    """What a proxy would do after a reload."""

    def __init__(self, found: ProxyFound, ways: Iterable[Way]) -> None:
        self.before, self.there = frozenset(found.loaded or ()), frozenset(found.on_disk or ())
        self._sites: dict[str, list[Way]] = {}
        for way in ways:
            self._sites.setdefault(way.route.site, []).append(way)

    def of(self, site: str) -> Collection[Way]:
        """Return the ways of a site."""
        return self._sites.get(site, ())


def _pends(found: ProxyFound) -> bool:
    """Whether a reload would bring something else than is loaded."""
    known = found.loaded is not None and found.on_disk is not None
    return known and not (found.digest and found.digest == found.loaded_digest)


def _missing(backend: Backend, proxy: str, after: _After, known: _Known) -> Iterable[Way]:
    """The ways that a reload would bring for a backend's sites, and on which it is missed."""
    own: dict[str, list[Route]] = {}
    for path in backend.paths:
        if path.proxy == proxy:
            own.setdefault(path.route.site, []).append(path.route)
    for site, routes in own.items():
        ways = after.of(site)
        was = tuple(route for route in routes if route not in after.there)
        kept = any(way.destination.backend == backend.name for way in ways)
        for way in ways:
            if way.route in after.before or way.route.backup:
                continue
            other = way.destination.backend
            taken = not kept and other != backend.name and known.serves_others(other, site)
            if way.is_missed or taken:
                yield replace(way, was=was)
