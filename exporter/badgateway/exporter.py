"""The running exporter: sources, collectors and diagnosis wired together.

Everything but reading runs in one event loop, so counting needs no locks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Final

from badgateway import config as settings
from badgateway import state, useragent
from badgateway.announcements import FOLDER, Announcements
from badgateway.collectors.arrivals import Arrivals
from badgateway.collectors.dependencies import Dependencies
from badgateway.collectors.probes import Probes
from badgateway.collectors.processes import Processes
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.services import Services
from badgateway.collectors.workers import Workers
from badgateway.committer import Committer
from badgateway.conclusions import Collectors, Conclusions, Surroundings
from badgateway.containerwatch import ContainerWatch
from badgateway.counters import Counters
from badgateway.hostwatch import HostWatch
from badgateway.intake import Intake
from badgateway.probing import Probing
from badgateway.proxywatch import ProxyWatch
from badgateway.recollection import Recollection
from badgateway.retention import Present, Retention
from badgateway.routewatch import RouteWatch, Survey
from badgateway.sources import Status
from badgateway.sources.docker import Docker
from badgateway.sources.systemd_bus import SystemdBus, UnitChange
from badgateway.streams import Streams
from badgateway.supervision import Supervisor
from badgateway.topology.backends import PathMap
from badgateway.topology.discovery import Discovery, Findings

DIAGNOSE_SECONDS: Final = 1.0
RECONFIGURE_SECONDS: Final = 5.0
STRANGE_SECONDS: Final = 2.0
TOKENS_KEPT: Final = 8
CHECKPOINT: Final = "checkpoint"

log = logging.getLogger("badgateway")


class Exporter:
    """Watches one host until stopped."""

    def __init__(self, config: settings.Config, storage: Path | None) -> None:
        """Take up the last checkpoint.

        Args:
            config: what to watch.
            storage: state directory; None to keep nothing, for a single look.

        Raises:
            state.LockedError: another exporter uses ``storage``.
            state.StateError: ``storage`` cannot be written.
        """
        self.config = config
        self.started = self.configured = time.time()
        self.is_configured_as_asked = True
        self.counters = Counters()
        checkpoint = state.Checkpoint(storage) if storage else None
        loaded = checkpoint.load() if checkpoint else None
        document = loaded or state.Document()
        self.counters.restore(document.snapshot())
        memory = document.memory
        self._positions: dict[str, dict[str, Any]] = dict(document.positions)
        self.token = useragent.new_token()
        self._tokens = [*memory.get("tokens", [])[-TOKENS_KEPT + 1 :], self.token]
        self.proxies = Proxies(self.counters, self._tokens, memory.get("proxies"))
        self.services = Services(
            self.counters, self._positions.get(SystemdBus.NAME), memory.get("services")
        )
        self.workers = Workers(self.counters, memory)
        self.probes = Probes(
            self.counters, self.token, config.probes.interval, config.probes.timeout
        )
        self.dependencies = Dependencies(storage, memory.get("dependencies", {}))
        self.processes = Processes(self.counters)
        self.announcements = Announcements(storage / FOLDER if storage else None)
        self._look_again = asyncio.Event()
        self.docker = ContainerWatch(
            config, self.counters, self._positions.get(Docker.NAME), memory.get("containers"),
            self._look_again.set,
        )  # fmt: skip
        self.supervisor = Supervisor()
        self.arrivals = Arrivals(
            self.supervisor, lambda: self.paths.backends, self.probes.ports, self._tokens
        )
        self.conclusions = Conclusions(
            Collectors(
                self.probes, self.services, self.processes, self.workers, self.proxies,
                self.dependencies, self.announcements, self.docker.collector, self.arrivals,
            ),
            memory.get("outages"),
        )  # fmt: skip
        self.bus = SystemdBus(
            self._unit_changed, self._bus_connected, self._units_reloaded,
            lambda job: self.services.job(job.unit, job.result),
        )  # fmt: skip
        self.routes = RouteWatch(self.supervisor, memory.get("routes"))
        self.survey = Survey()
        self.probing = Probing(self.probes, self.proxies, self.conclusions.has_answered)
        self.proxywatch = ProxyWatch(
            self.supervisor, self._look_again.set,
            lambda place: self.discovery.is_current(place), memory.get("proxywatch"),
            self.counters.touch,
        )  # fmt: skip
        self.discovery = Discovery(
            config, self.bus, memory.get("topology", {}), self.services.watch, self.docker.daemon,
            self.routes, self.proxywatch.apply,
        )  # fmt: skip
        self.intake = Intake(
            self.counters, self._positions, self.proxies, self.workers, self.services,
            self.docker.collector, self.arrivals,
        )  # fmt: skip
        self.streams = Streams(
            config,
            self.counters,
            self.intake.take,
            self._declare,
            self.proxies.expects,
            self.intake.is_strange,
            self._look_for_the_strange,
            self._positions,
            memory,
            lambda answers: self.proxies.crowded(answers=answers),
            self.docker.daemon,
        )
        self.docker.woken = self.streams.wake
        self.docker.collector.out_of_memory = self._out_of_memory
        self.retention = Retention(self.counters, memory.get("retention"))
        self._recollection = Recollection(
            lambda: {
                **self._positions,
                SystemdBus.NAME: self.services.positions(),
                Docker.NAME: self.docker.collector.positions(),
            },
            {
                "proxies": self.proxies.memory,
                "files": self.streams.files,
                "worker_ends": self.workers.ends.memory,
                "families": self.workers.families,
            },
            {
                "tokens": lambda: self._tokens,
                "services": self.services.memory,
                "containers": self.docker.collector.memory,
                "boot_failures": self.workers.memory,
                "streams": self.streams.memory,
                "patterns": self.streams.patterns,
                "outages": self.conclusions.memory,
                "topology": self.discovery.memory,
                "routes": self.routes.memory,
                "proxywatch": self.proxywatch.memory,
                "dependencies": self.dependencies.memory,
                "retention": self.retention.memory,
            },
        )
        self.committer = Committer(self.counters, checkpoint, self._recollection.document)
        self.findings = Findings()
        self.host = HostWatch(
            self.supervisor, self.processes, self.workers, lambda: self.paths, self._running_units
        )
        self._main_pids: dict[str, int] = {}
        self._stopping = False
        self._looked = 0.0
        self._looking = asyncio.Lock()
        self._looks: set[asyncio.Task[None]] = set()
        self._discovered = asyncio.Event()
        if checkpoint and checkpoint.problem:
            log.error("the last checkpoint is not taken up: %s", checkpoint.problem)
            self.counters.add("source_gaps_total", (CHECKPOINT,))

    # -- life

    async def start(self) -> None:
        """Begin to watch; returns at once."""
        for name, work in (
            ("systemd", self.bus.run),
            ("docker", self.docker.daemon.run),
            ("discovery", self._discover),
            ("diagnosis", self._diagnose),
            ("listeners", self.host.watch_listeners),
            ("routes", self.routes.run),
            ("proxies", self.proxywatch.run),
            ("arrivals", self.arrivals.run),
            ("workers", self._watch_workers),
            ("dependencies", self.dependencies.run),
            ("announcements", self.announcements.run),
        ):
            self.supervisor.spawn(name, work)
        self.supervisor.spawn("checkpoint", lambda: self.committer.run(self._count_held))

    async def stop(self) -> None:
        """End everything and write a last checkpoint."""
        self._stopping = True
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, self.supervisor.stop(), return_exceptions=True)
        self.streams.stop()
        await self.probes.stop()
        self._recollection.expire()
        await self.committer.close()

    async def reconfigure(self, config: settings.Config) -> None:
        """Watch by another configuration; what it does not change goes on undisturbed."""
        if self._stopping:
            return
        self.config = config
        self.discovery.reconfigure(config)
        self.docker.reconfigure(config)
        self.streams.reconfigure(config)
        self.probes.reconfigure(config.probes.interval, config.probes.timeout)
        self.configured = time.time()
        looking = asyncio.create_task(self._look_timed())
        self._looks.add(looking)
        looking.add_done_callback(self._looks.discard)
        # a host slow to answer is looked at all the same
        await asyncio.wait((looking,), timeout=RECONFIGURE_SECONDS)

    async def ready(self) -> None:
        """Wait until the host has been looked at once."""
        await self._discovered.wait()

    @property
    def is_ready(self) -> bool:
        """Whether the host has been looked at once."""
        return self._discovered.is_set()

    async def settle(self, seconds: float) -> None:
        """Wait until there is evidence on every backend, for a single look at the host."""
        await self.ready()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            probes = self.probes.states
            # one failed probe may be chance
            probed = self.probing.targets <= probes.keys() and all(
                s.failures != 1 for s in probes.values()
            )
            scanned = all(
                self.dependencies.report(b.name) is not None
                for b in self.paths.backends
                if b.launch and b.project
            )
            if probed and scanned and self.streams.settled:
                break
        self._survey()
        self.conclusions.draw(self._surroundings(), patient=False)

    @property
    def paths(self) -> PathMap:
        """The path map."""
        return self.findings.paths

    def statuses(self) -> dict[str, Status]:
        """Source → what is known of it."""
        found = {SystemdBus.NAME: self.bus.status, **self.docker.statuses()}
        found |= self.streams.statuses()
        for name, problem in self.findings.problems.items():
            found[name] = Status(up=not problem, problem=problem)
        return found

    # -- what comes in

    def _unit_changed(self, change: UnitChange) -> None:
        self.services.change(change.unit, change.properties)
        self.bus.status.last_event = time.time()
        pid = int(change.properties.get("MainPID") or 0)
        if pid and pid != self._main_pids.get(change.unit):
            self._main_pids[change.unit] = pid
            self.discovery.forget_unit(change.unit)
            if self.proxywatch.concerns(change.unit):
                self._look_again.set()

    async def _bus_connected(self) -> None:
        self.bus.status.ok()
        self.counters.declare("source_gaps_total", (SystemdBus.NAME,))
        self.services.deaf()
        self.discovery.forget_units()
        await self._look_timed()

    def _units_reloaded(self) -> None:
        self.discovery.forget_units()
        self._look_again.set()

    # -- what runs

    async def _discover(self) -> None:
        await asyncio.sleep(0.2)  # give the bus its chance: with it one look is enough
        await self.docker.ready()
        while True:
            self._look_again.clear()  # what is told while it looks is looked at again
            await self._look_timed()
            try:
                async with asyncio.timeout(self.config.discovery.interval):
                    await self._look_again.wait()
            except TimeoutError:
                pass

    async def _look_for_the_strange(self) -> None:
        """Look at the host because something was told that is not known, and not too often."""
        if time.monotonic() - self._looked >= STRANGE_SECONDS and self.is_ready:
            self._looked = time.monotonic()
            looking = asyncio.create_task(self._look_timed())
            self._looks.add(looking)
            looking.add_done_callback(self._looks.discard)
            await asyncio.wait((looking,), timeout=STRANGE_SECONDS)

    async def _look_timed(self) -> None:
        with self.supervisor.timed("discovery"):
            await self._look()

    async def _look(self) -> None:
        async with self._looking:
            config, findings = self.config, await self.discovery.look()
            while config is not self.config:  # reloaded meanwhile: that is half of each
                config, findings = self.config, await self.discovery.look()
            self.findings, self.intake.paths = findings, findings.paths
        self.routes.watch(findings)
        self.proxywatch.watch(findings.places, findings.answers, config.discovery.run_proxy_adapter)
        self.dependencies.watch(findings.paths.backends)
        self.processes.watch(findings.paths.backends)
        self.probing.aim(self.config, findings)
        self.probes.pause(self.services.asleep(self.paths.backends))
        self.docker.watch(findings.paths)
        self.bus.also(self.services.bonds())
        down = (self.services.down_since(), self.docker.collector.down_since())
        self.streams.watch(findings, min((at for at in down if at is not None), default=None))
        self._declare()
        self.retention.look(
            Present(
                (findings.paths, findings.on_disk),
                frozenset(place.name for place in findings.places),
                self.probing.targets,
                frozenset((*self.statuses(), CHECKPOINT)),
            )
        )
        self._discovered.set()

    def _watch_proxies(self) -> None:
        self.proxies.watch(
            self.findings.paths, self.findings.on_disk, self.streams.doubled,
            self.streams.told_by_errors,
        )  # fmt: skip

    def _declare(self) -> None:
        """Let series exist whose source is being read and whose labels are known."""
        self._watch_proxies()
        heard = self.streams.heard
        for backend in self.paths.backends:
            if backend.name in heard:
                self.workers.declare(backend)
        for paths in (self.findings.on_disk, self.paths):
            self.proxies.declare(paths, self.streams.errors_heard, self.streams.access_heard)

    async def _watch_workers(self) -> None:
        await self._discovered.wait()  # before that nobody's workers are known
        await self.host.watch_workers()

    def _out_of_memory(self, backend: str, at: float) -> None:
        self.workers.ends.proof(at, "oom", backend)

    def _running_units(self) -> dict[str, int]:
        return self.services.main_pids() if self.bus.status.up else {}

    def _count_held(self) -> None:
        self.services.tick()
        self.docker.collector.tick()
        self.workers.tick(self.streams.settled)

    async def _diagnose(self) -> None:
        await self._discovered.wait()
        while True:
            self.streams.tell_hung()
            self.streams.tell_held()
            self.proxies.pass_time(DIAGNOSE_SECONDS, self.streams.behind)
            with self.supervisor.timed("diagnosis"):
                self._survey()
                self.conclusions.draw(self._surroundings())
            await asyncio.sleep(DIAGNOSE_SECONDS)

    def _survey(self) -> None:
        failing = self.conclusions.failing
        self.survey = self.routes.survey(self.host.listeners, failing, time.time())
        # before the logs have been read nobody knows who is asked for
        heard = self.streams.errors_heard if self.streams.settled else self.findings.answers
        is_stale = self.probing.has_turned(self.config, self.paths, self.survey, heard)
        if self.routes.has_turned() or is_stale:
            self._look_again.set()  # whose a route is depends on what is seen where it leads

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            self.paths,
            self.probing.targets,
            self.host.listeners,
            bool(self.bus.status.up),
            self.docker.up,
            self.host.memory,
            self.streams.settled,
            {name: s.problem for name, s in self.statuses().items() if s.up is False},
            self.survey,
            self.proxywatch.states,
        )
