"""Where the proxies' routes lead, watched: names, sockets, and whose each site was before."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from badgateway.blocking import Blocking
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.sight import HostSight
from badgateway.sources import socketfiles
from badgateway.sources.names import Names
from badgateway.supervision import Supervisor
from badgateway.topology import ways
from badgateway.topology.backends import Backend
from badgateway.topology.destinations import destination, name_of
from badgateway.topology.discovery import Findings
from badgateway.topology.homes import Homes
from badgateway.topology.routes import Route, joined
from badgateway.topology.ways import Idle, Way, Ways

SOCKET_SECONDS: Final = 2.0
_ANSWERED: Final = ("listening", "remote")
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of the ways at one moment.

    Attributes:
        ways: application → its ways.
        deaf: proxy → addresses at which it should take requests and nobody listens.
        holders: proxy → address at which it should take requests → who listens there instead.
        idle: applications that listen and that no proxy leads to.
        lost: ways on which a request fails, and of which nobody knows whose they are.
    """

    ways: Mapping[str, Ways] = field(default_factory=dict)
    deaf: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    holders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    idle: tuple[Idle, ...] = ()
    lost: tuple[Way, ...] = ()


class RouteWatch:
    """Keeps what is needed to tell where routes lead; a ``topology.joining.Bearings``."""

    def __init__(self, supervisor: Supervisor, learnt: Mapping[str, Any] | None = None) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        known = learnt or {}
        self._supervisor = supervisor
        self._names = Names()
        self._homes = Homes(known.get("homes", ()))
        self._pinned = _recalled(known.get("pinned", ()))
        self._sockets: Mapping[str, str] = {}
        self._findings = Findings()
        self._sight = HostSight()
        self._wrong: frozenset[str] = frozenset()
        self._distinct: tuple[Route, ...] = ()
        self._named: Mapping[tuple[str, str], float] = {}
        self._watched = 0
        self._seen: object = None
        self._surveyed = Survey()
        self._broken: frozenset[str] = frozenset()
        self._is_judged = False

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter."""
        pinned = [(*key, at, list(found)) for key, (at, found) in self._pinned.items()]
        return {"homes": self._homes.memory(), "pinned": pinned}

    # -- bearings

    def stands_for(self, upstream: str) -> Iterator[str]:
        """Yield the addresses that a name leads to, in the place of ``upstream``."""
        name, port = name_of(upstream), upstream.rpartition(":")[2]
        for address in self._sight.resolved(name).addresses if name else ():
            yield joined(address, port)

    def holder(self, proxy: str, upstream: str) -> str:
        """Return the unit that listens where a proxy leads; empty where nobody can tell."""
        return "" if proxy in blind(self._findings) else self._sight.owner(upstream)

    def is_broken(self, route: Route) -> bool:
        """Tell whether a request sent there fails, as far as can be seen."""
        return destination(route, self._sight).is_broken

    def homes(self, proxy: str, site: str) -> Collection[str]:
        """Return the applications that a site led to while that was right."""
        return self._homes.of(proxy, site)

    # -- watching

    async def run(self) -> None:
        """Look names and sockets up until cancelled."""
        disk = Blocking("looking at unix sockets", SOCKET_SECONDS)
        names = asyncio.create_task(self._names.run())
        try:
            while True:
                with self._supervisor.timed("routes"):
                    self._sockets = await disk.call(self._look_at_sockets, self._findings)
                await asyncio.sleep(SOCKET_SECONDS)
        finally:
            names.cancel()
            await asyncio.gather(names, return_exceptions=True)

    def watch(self, findings: Findings) -> None:
        """Look at what these proxies lead to from now on."""
        self._findings, self._watched = findings, self._watched + 1
        different = {(route.upstream, route.resolvers): route for route in _routes(findings)}
        self._distinct = tuple(different.values())
        upstreams = {route.upstream for route in self._distinct}
        self._names.want(name for upstream in upstreams if (name := name_of(upstream)))
        self._named = {
            (proxy, route.upstream): answer.loaded_at
            for proxy, answer in findings.answers.items()
            for route in answer.routes
            if not route.dynamic and name_of(route.upstream)
        }

    def survey(self, listeners: Listeners | None, failing: Collection[str], now: float) -> Survey:
        """Return what is known of the ways now.

        Args:
            listeners: who listens; None when that is not known.
            failing: backends that fail.
            now: seconds since the epoch.
        """
        findings = self._findings
        self._sight = sight = HostSight(
            listeners, self._names.found, self._sockets, self._names.servers,
            findings.bridges,
        )  # fmt: skip
        self._pin()
        pinned = {key: addresses for key, (_, addresses) in self._pinned.items()}
        seen = (
            self._watched, self._homes.turns, pinned, dict(sight.names), sight.servers,
            self._sockets, None if listeners is None else (listeners.here, listeners.shape),
        )  # fmt: skip
        if seen != self._seen:  # mostly nothing has changed since a second ago
            self._seen, self._is_judged = seen, False
            self._surveyed = self._look(findings, listeners, pinned)
            self._broken = frozenset(
                way.route.upstream
                for each in self._surveyed.ways.values()
                for way in each.loaded
                if way.destination.state not in _ANSWERED
            )
        self._homes.learn(findings.paths, failing, now, self._broken)
        return self._surveyed

    def _look(self, findings: Findings, listeners: Listeners | None, pinned: ways.Pinned) -> Survey:
        found = ways.find(
            findings.paths, findings.answers, self._homes, self._sight, blind(findings), pinned
        )
        deaf, holders = _doors(findings, listeners) if listeners is not None else ({}, {})
        unnamed = {b.name for b in findings.paths.backends if not b.manager and b.launch is None}
        lost = tuple(way for name in sorted(unnamed & set(found)) for way in found[name].broken)
        idle = _idle(findings.paths.backends, listeners)
        return Survey(found, deaf, holders, idle, lost)

    def has_turned(self) -> bool:
        """Tell whether other routes lead nowhere, or names elsewhere, than when last asked."""
        turned = self._names.changed.is_set()
        self._names.changed.clear()
        if not self._is_judged:
            self._is_judged = True
            wrong = frozenset(route.upstream for route in self._distinct if self.is_broken(route))
            turned, self._wrong = turned or wrong != self._wrong, wrong
        return turned

    def _look_at_sockets(self, findings: Findings) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for place in findings.places:
            answer = findings.answers.get(place.name)
            if answer is None or place.name in blind(findings):
                continue
            routes = itertools.chain(answer.routes, answer.on_disk or ())
            paths = {r.upstream.removeprefix(_UNIX) for r in routes if r.upstream[:5] == _UNIX}
            is_nginx = place.kind == "nginx"
            who = socketfiles.connecting(place.pid, is_nginx) if paths and place.pid else None
            found |= socketfiles.look(paths, who)
        return found

    def _pin(self) -> None:
        """Note what the names of loaded routes led to when they were loaded."""
        for gone in self._pinned.keys() - self._named.keys():
            del self._pinned[gone]
        for (proxy, upstream), loaded in self._named.items():
            addresses = self._sight.resolved(name_of(upstream)).addresses
            known = self._pinned.get((proxy, upstream))
            if addresses and (known is None or known[0] != loaded):
                self._pinned[proxy, upstream] = (loaded, addresses)


def blind(findings: Findings) -> frozenset[str]:
    """Return the proxies that see another network than this host's."""
    return frozenset(place.name for place in findings.places if place.is_apart)


def _routes(findings: Findings) -> Iterator[Route]:
    unseen = blind(findings)
    for proxy, answer in findings.answers.items():
        if proxy not in unseen:
            yield from answer.routes
            yield from answer.on_disk or ()


def _doors(
    findings: Findings, listeners: Listeners
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, str]]]:
    """Where proxies should take requests and nobody listens; who listens where they should."""
    deaf: dict[str, tuple[str, ...]] = {}
    holders: dict[str, dict[str, str]] = {}
    unseen = blind(findings)
    for place in findings.places:
        answer = findings.answers.get(place.name)
        if answer is None or place.name in unseen or not place.unit:
            continue
        deaf[place.name] = tuple(a for a in answer.listens if listeners.at(a) is False)
        owners = {address: listeners.owner(address) for address in answer.listens}
        holders[place.name] = {
            a: owner for a, owner in owners.items() if owner not in ("", place.unit)
        }
    return deaf, holders


def _idle(backends: Iterable[Backend], listeners: Listeners | None) -> tuple[Idle, ...]:
    """Applications that listen and that no proxy leads to."""
    if listeners is None:
        return ()
    return tuple(
        Idle(backend.name, backend.listens[0])
        for backend in backends
        if backend.launch is not None
        and not backend.paths
        and backend.listens
        and listeners.at(backend.listens[0])
    )


def _recalled(
    saved: Iterable[Any],
) -> dict[tuple[str, str], tuple[float, tuple[str, ...]]]:
    found = {}
    for item in saved:
        try:
            proxy, upstream, at, addresses = item
            found[str(proxy), str(upstream)] = (float(at), tuple(map(str, addresses)))
        except (TypeError, ValueError):
            continue  # another version wrote it
    return found
