"""What is on this host: units, processes and proxies brought together into the path map.

Looks anew every few seconds, but asks systemd only about units it has not seen yet. What was found
while things were healthy is remembered: a unit that is gone and an admin API that is off do not
take the path map with them.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from dbus_fast.errors import DBusError

from badgateway import config as settings
from badgateway.blocking import Blocking, HungError
from badgateway.sources import globs, log
from badgateway.sources.docker import Docker
from badgateway.sources.systemd_bus import Properties, SystemdBus
from badgateway.topology import configured, memory, processes, units
from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.containers import bridges
from badgateway.topology.containers.bridges import Bridges
from badgateway.topology.containers.discovery import ContainerBackends
from badgateway.topology.joining import Bearings, ByPort, Neighbours, join, leads_to
from badgateway.topology.proxies.asking import Proxies
from badgateway.topology.proxies.finding import ProxyFinder
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route

FILES: Final = "files"
"""Name of the source that the files are which units, commands and proxies name."""
_SKIPPED: Final = ("systemd-", "dbus", "getty@", "user@", "user-runtime-dir@", "session-")
Loaded = Callable[[ProxyPlace, ProxyFound, float], Awaitable[ProxyFound]]


@dataclass(frozen=True, slots=True)
class Findings:
    """One look at the host.

    Attributes:
        paths: the path map.
        on_disk: the path map as the proxies' files would have it after a reload.
        places: the proxies found.
        answers: proxy name → what it serves.
        problems: source name → why it cannot be read; empty when it can.
        expanded: pattern of log files → the files that fit it now.
        missing: log files that others may stand for, and that are not there yet.
        bridges: the networks of this host's containers; none while their daemon is away.
    """

    paths: PathMap = field(default_factory=PathMap)
    on_disk: PathMap = field(default_factory=PathMap)
    places: tuple[ProxyPlace, ...] = ()
    answers: Mapping[str, ProxyFound] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    expanded: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    bridges: Bridges = field(default_factory=Bridges)


class Discovery:
    """Finds backends and proxies, and remembers them."""

    def __init__(
        self,
        config: settings.Config,
        bus: SystemdBus,
        learnt: Mapping[str, Any],
        unit_seen: Callable[[str, str, Properties], None],
        docker: Docker,
        bearings: Bearings | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Begin.

        Args:
            config: what is said of backends and proxies.
            bus: systemd.
            learnt: what ``memory`` returned in an earlier life.
            unit_seen: called with a backend's name, its unit and the unit's properties as soon as
                they were read, before any later change is told.
            docker: the container daemon.
            bearings: what helps to tell whose a route is.
            loaded: returns what was found at a place at a time, with what is loaded there.
        """
        self._loaded = loaded
        self._bearings = bearings
        self._containers = ContainerBackends(docker, learnt.get("containers", ()))
        self._config = config
        self._unit_seen = unit_seen
        self._bus = bus
        self._disk = Blocking("reading what units and proxies are configured with", 5.0)
        self._asking = Proxies()
        self._finder = ProxyFinder()
        self._places: Mapping[str, ProxyPlace] = {}
        self._expanded: dict[str, tuple[Path, ...]] = {}
        self._seen_logs: set[str] = set()
        self._hung = ""
        self._laid: dict[str, Backend] = {}
        self._told: dict[str, ProxyFound] = {}
        self._applications: dict[str, Backend] = {}
        self._proxies: dict[str, ProxyPlace] = {}
        self._seen: set[str] = set()
        self._gone: set[str] = set()
        self._units: set[str] = set(learnt.get("units", ()))
        self._listens: dict[str, tuple[str, ...]] = {
            unit: tuple(addresses) for unit, addresses in learnt.get("listens", {}).items()
        }
        self._routes: dict[str, tuple[Route, ...]] = {
            name: msgspec.convert(routes, tuple[Route, ...])
            for name, routes in learnt.get("routes", {}).items()
        }
        self._admins: dict[str, str] = dict(learnt.get("admins", {}))
        self._remembered = {
            backend.unit: backend for backend in memory.backends(learnt.get("backends", ()))
        }

    def reconfigure(self, config: settings.Config) -> None:
        """Look by another configuration from the next look on."""
        self._config = config
        self.forget_units()

    def expect(self, units: Iterable[str]) -> None:
        """Ask about these units too: systemd lists none that neither runs nor is wanted."""
        self._units |= set(units)

    def forget_units(self) -> None:
        """Ask about every unit anew: systemd has read its unit files again."""
        self._seen.clear()

    def forget_unit(self, name: str) -> None:
        """Ask about a unit anew: it runs another process, perhaps with another command line."""
        self._seen.discard(name)

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter."""
        return {
            "units": sorted(self._units),
            "listens": {unit: list(addresses) for unit, addresses in self._listens.items()},
            "routes": {
                name: [{slot: getattr(route, slot) for slot in Route.__slots__} for route in routes]
                for name, routes in self._routes.items()
            },
            "admins": dict(self._admins),
            "backends": [memory.document(backend) for backend in self._remembered.values()],
            "containers": self._containers.memory(),
        }

    async def look(self) -> Findings:
        """Look at the host once. Never raises; problems are part of the answer."""
        applications: dict[str, Backend] = {}
        self._hung = ""
        if self._config.discovery.enabled or any(b.unit for b in self._config.backends):
            await self._look_at_units()
            applications = dict(self._applications)
            if not self._config.discovery.enabled:
                named = {backend.unit for backend in self._config.backends}
                applications = {n: a for n, a in applications.items() if a.unit in named}
        if self._config.discovery.enabled and not self._bus.status.up:
            remembered = {b.name: b for b in self._remembered.values()}
            applications = remembered | applications
        try:
            await self._containers.look(self._disk)
            if self._config.discovery.enabled:
                applications = applications | self._containers.applications(applications)
            applications = self._laid = await self._disk.call(
                configured.backends,
                self._config.backends,
                applications,
                frozenset(self._units),
                self._containers.named,
            )
        except HungError as error:
            self._unread(error)
            applications = applications | self._laid
        if self._config.discovery.enabled and not self._bus.status.up:
            applications = applications | await self._look_at_processes(applications)
        places = configured.places(
            self._config.proxies, await self._find_proxies(), self._config.discovery.enabled
        )
        answers = {place.name: await self._ask(place) for place in places}
        await self._expand(answers.values())
        wrong = self._containers.unread or self._left_out()
        problems: dict[str, str] = {FILES: self._hung or wrong}
        for found in answers.values():
            for source, problem in found.problems.items():
                problems[source] = problems.get(source) or problem
        routes: list[tuple[str, Sequence[Route]]] = []
        on_disk: list[tuple[str, Sequence[Route]]] = []
        for name, found in answers.items():
            if found.loaded is not None or found.on_disk is not None:
                self._routes[name] = found.routes
            if found.admin:
                self._admins[name] = found.admin
            routes.append((name, self._routes.get(name, ())))
            on_disk.append((name, found.on_disk or ()))
        near = bridges.neighbours(self._containers.here)
        neighbours = {p.name: near.get(p.container, ()) for p in places if p.is_apart}
        if self._config.discovery.enabled:
            led_to = self._led_to(applications, (*routes, *on_disk), neighbours)
            applications = applications | led_to
        paths = join(applications.values(), routes, self._bearings, neighbours)
        return Findings(
            self._without_forsaken(paths),
            join(applications.values(), on_disk, self._bearings, neighbours),
            places,
            answers,
            problems,
            self._expanded,
            frozenset(_alike(answers.values()) - self._seen_logs),
            self._containers.bridges(),
        )

    def _led_to(
        self,
        known: Mapping[str, Backend],
        routes: Sequence[tuple[str, Sequence[Route]]],
        neighbours: Neighbours,
    ) -> dict[str, Backend]:
        """The containers of other programs that a proxy leads to."""
        led = {(proxy, route.upstream) for proxy, given in routes for route in given}
        owned = {b.unit for b in known.values() if b.manager == "docker"}
        at = ByPort(known.values())
        free = {
            (proxy, upstream)
            for proxy, upstream in led
            if not any(leads_to(proxy, upstream, b, neighbours) for b in at.at(upstream))
        }
        return {
            backend.name: backend
            for backend in self._containers.others()
            if backend.unit not in owned
            and backend.name not in known
            and any(leads_to(*route, backend, neighbours) for route in free)
        }

    async def _expand(self, answers: Collection[ProxyFound]) -> None:
        """Find the log files that patterns stand for."""
        owned = [owner.logs for owner in self._config.backends]
        owned += [owner.logs for owner in self._config.proxies]
        named = [log.file for logs in owned for log in logs if log.file]
        named += [log.path for found in answers for log in found.logs or ()]
        alike = _alike(answers)
        patterns = set(filter(globs.is_pattern, named))
        try:
            self._expanded = {
                pattern: tuple(await self._disk.call(globs.expand, pattern))
                for pattern in sorted(patterns)
            }
            self._seen_logs |= await self._disk.call(_present, alike - self._seen_logs)
        except HungError as error:
            self._unread(error)

    def _left_out(self) -> str:
        """Which pattern stands for more log files than are read; empty when none does."""
        full = (pattern for pattern, files in self._expanded.items() if len(files) >= globs.LIMIT)
        return "".join(
            f"{pattern}: only the first {globs.LIMIT} files by name are read"
            for pattern in itertools.islice(full, 1)
        )

    def is_current(self, place: ProxyPlace) -> bool:
        """Tell whether what was read last of a proxy's files still holds; may block."""
        return self._asking.is_current(place)

    async def _ask(self, place: ProxyPlace) -> ProxyFound:
        """Return what a proxy serves; what it last told where nothing tells now."""
        at = time.time()
        found = await self._asking.look(
            place, self._disk, self._config.discovery.run_proxy_adapter,
            self._admins.get(place.name, ""),
        )  # fmt: skip
        is_silent = found.loaded is None and found.on_disk is None
        if self._loaded is not None:
            found = await self._loaded(place, found, at)
        last = self._told.get(place.name)
        if last is not None and is_silent:
            return replace(found, logs=last.logs, together=last.together)
        self._told[place.name] = found
        return found

    def _unread(self, error: HungError) -> None:
        self._hung = str(error)
        log.warning("%s: %s", FILES, error)

    def _without_forsaken(self, paths: PathMap) -> PathMap:
        """Leave out applications whose unit is gone and that nobody asks for any more."""
        configured = {backend.name for backend in self._config.backends}
        forsaken = {
            backend.name: backend.unit
            for backend in paths.backends
            if backend.unit in self._gone and not backend.paths and backend.name not in configured
        }
        gone = [
            backend
            for backend in paths.backends
            if self._containers.is_gone(backend)
            and not backend.paths
            and backend.name not in configured
        ]
        self._containers.forsake(gone)
        for name, unit in forsaken.items():
            self._applications.pop(name, None)
            for kept in (self._remembered, self._listens):
                kept.pop(unit, None)
            self._units.discard(unit)
        left_out = {*forsaken, *(backend.name for backend in gone)}
        return PathMap(tuple(b for b in paths.backends if b.name not in left_out))

    async def _look_at_units(self) -> None:
        try:
            names = set(await self._bus.units()) | self._units
        except (OSError, DBusError, TimeoutError):
            return  # the bus' own status says why
        wanted = {backend.unit for backend in self._config.backends if backend.unit}
        wanted |= {proxy.unit for proxy in self._config.proxies if proxy.unit}
        if not self._config.discovery.enabled:
            names = wanted
        for name in sorted((names | wanted) - self._seen):
            # marked before it is asked: what is forgotten meanwhile is asked about again
            self._seen.add(name)
            if name not in wanted and name.startswith(_SKIPPED):
                continue
            try:
                properties = await self._bus.properties(name)
                listens = self._listens.get(name, ())
                # reads what the command line names: an environment file, a script, the settings
                application = await self._disk.call(units.application, name, properties, listens)
                if application is not None:
                    properties = await self._bus.properties(name)  # those of now
            except HungError as error:
                self._unread(error)
                self._seen.discard(name)  # what it runs is not known
                continue
            except (DBusError, TimeoutError) as error:
                log.debug("unit %s: %s", name, error)
                continue
            except OSError:
                self._seen.discard(name)
                return
            self._sort(name, properties, name in wanted, application)

    def _sort(
        self, name: str, properties: Properties, wanted: bool, application: Backend | None
    ) -> None:
        """Keep a unit if it is an application or a proxy."""
        proxy = units.proxy(name, properties)
        self._gone.discard(name)
        if application is None and proxy is None and units.is_gone(properties):
            # its file was removed: what ran there is still what clients ask for
            application = self._remembered.get(name)
            if application is not None:
                self._gone.add(name)
        if application is None and proxy is None and not wanted:
            self._units.discard(name)
            self._bus.unwatch(name)
            self._applications.pop(name.removesuffix(".service"), None)
            self._remembered.pop(name, None)
            return
        self._units.add(name)
        given = next((b.name for b in self._config.backends if b.unit == name), None)
        if given or application is not None:
            self._unit_seen(given or name.removesuffix(".service"), name, properties)
        if application is not None:
            self._applications[application.name] = application
            self._remembered[name] = application
            if application.listens:
                self._listens[name] = application.listens
        if proxy is not None:
            self._proxies[proxy.name] = proxy

    async def _find_proxies(self) -> Mapping[str, ProxyPlace]:
        """Return the proxies of this host, by name: units, other processes, and containers."""
        try:
            self._places = await self._disk.call(
                self._finder.look, dict(self._proxies), self._containers.here
            )
        except HungError as error:
            self._unread(error)
        except OSError as error:
            log.debug("processes: %s", error)
        return {**self._proxies, **self._places}

    async def _look_at_processes(self, known: Mapping[str, Backend]) -> dict[str, Backend]:
        """Find servers that are none of the known applications."""
        found: dict[str, Backend] = {}
        taken = {address for backend in known.values() for address in backend.listens}
        launches = [backend.launch for backend in known.values() if backend.launch is not None]
        try:
            servers = await self._disk.call(processes.servers)
        except OSError as error:
            log.debug("processes: %s", error)
            return found
        for server in servers:
            address = server.launch.listen[0] if server.launch.listen else ""
            name = address or f"{server.launch.server}"
            is_known = any(processes.runs(server.launch, launch) for launch in launches)
            named = known.get(name)
            if named is not None and named.launch is None and not named.manager:
                found[name] = units.completed(named, server.launch)
            elif address not in taken and not is_known:
                found[name] = units.backend(name, server.launch, manager="process")
        return found


def _alike(answers: Iterable[ProxyFound]) -> set[str]:
    """The logs that hold the same requests as another."""
    places = [place for found in answers for place in found.together if len(place.paths) > 1]
    return {path for place in places for path in place.paths}


def _present(paths: Iterable[str]) -> set[str]:
    # one that was there and is not is being rotated; a pattern is there as far as anyone knows
    return {p for p in paths if globs.is_pattern(p) or os.path.exists(p)}
