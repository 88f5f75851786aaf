"""The running exporter: sources, collectors and diagnosis wired together.

Everything but reading runs in one event loop, so counting needs no locks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from badgateway import config as settings
from badgateway import state, useragent
from badgateway.collectors import listeners as listening
from badgateway.collectors.dependencies import Dependencies
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.probes import Probes, Target
from badgateway.collectors.processes import Processes
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.services import Services
from badgateway.collectors.targets import probe_targets
from badgateway.collectors.workers import Workers
from badgateway.committer import Committer
from badgateway.conclusions import Collectors, Conclusions, Surroundings
from badgateway.counters import Counters, Snapshot
from badgateway.events import Batch, BootFailure, Event, ServerEnd
from badgateway.sources import Status
from badgateway.sources.systemd_bus import SystemdBus, UnitChange
from badgateway.streams import Streams
from badgateway.topology.backends import PathMap
from badgateway.topology.discovery import Discovery, Findings

REMEMBER_SECONDS: Final = 2.0
DIAGNOSE_SECONDS: Final = 1.0
LISTEN_SECONDS: Final = 2.0
TOKENS_KEPT: Final = 8

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
        self.workers = Workers(self.counters, memory.get("workers"))
        self.probes = Probes(
            self.counters, self.token, config.probes.interval, config.probes.timeout
        )
        self.dependencies = Dependencies(storage, memory.get("dependencies", {}))
        self.processes = Processes(self.counters)
        self.conclusions = Conclusions(
            Collectors(
                self.probes, self.services, self.processes, self.workers, self.proxies,
                self.dependencies,
            ),
            memory.get("outages"),
        )  # fmt: skip
        self.bus = SystemdBus(self._unit_changed, self._bus_connected, self._units_reloaded)
        self.discovery = Discovery(
            config, self.bus, memory.get("topology", {}), self.services.watch
        )
        self.streams = Streams(
            config,
            self.counters,
            self._batch_read,
            self._declare,
            self._positions,
            memory.get("streams"),
        )
        self.committer = Committer(self.counters, checkpoint, self._document)
        self.findings = Findings()
        self.listeners: Listeners | None = None
        self.runs: dict[str, tuple[bool, float, float]] = {}
        self._remembered: dict[str, msgspec.Raw] = {}
        self._remembered_at = -REMEMBER_SECONDS
        self._stopping = False
        self._targets: frozenset[Target] = frozenset()
        self._main_pids: dict[str, int] = {}
        self._looking = asyncio.Lock()
        self._discovered = asyncio.Event()
        self._look_again = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        if checkpoint and checkpoint.problem:
            log.error("%s", checkpoint.problem)
            self.counters.add("source_gaps_total", ("checkpoint",))

    # -- life

    async def start(self) -> None:
        """Begin to watch; returns at once."""
        self._spawn(self.bus.run())
        self._spawn(self._discover())
        self._spawn(self._diagnose())
        self._spawn(self._listen())
        self._spawn(self.committer.run(self.services.tick))
        self.dependencies.start()

    async def stop(self) -> None:
        """End everything and write a last checkpoint."""
        self._stopping = True
        self.streams.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self.probes.stop(), self.dependencies.stop())
        self.committer.close()

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
            probed = self._targets <= probes.keys() and all(
                s.failures != 1 for s in probes.values()
            )
            scanned = all(
                self.dependencies.report(b.name) is not None
                for b in self.paths.backends
                if b.launch and b.project
            )
            if probed and scanned and self.streams.settled:
                break
        self.conclusions.draw(self._surroundings(), patient=False)

    @property
    def paths(self) -> PathMap:
        """The path map."""
        return self.findings.paths

    def statuses(self) -> dict[str, Status]:
        """Source → what is known of it."""
        found = {SystemdBus.NAME: self.bus.status, **self.streams.statuses()}
        for name, problem in self.findings.problems.items():
            found[name] = Status(up=not problem, problem=problem)
        return found

    # -- what comes in

    def _batch_read(self, batch: Batch, events: list[tuple[str, Event]]) -> None:
        """Count a batch's events together with the position that it reaches."""
        for owner, event in events:
            self._take(owner, event, batch.counted, batch.source)
        if batch.gap:
            log.warning("%s: %s; events may have been lost", batch.source, batch.gap)
            self.counters.add("source_gaps_total", (batch.source,))
        if batch.position is not None:
            if dict(batch.position) != self._positions.get(batch.source):
                self.counters.touch()
            self._positions[batch.source] = dict(batch.position)

    def _take(self, owner: str, event: Event, counted: bool, source: str) -> None:
        kind, _, name = owner.partition(":")
        if kind == "proxy":
            self.proxies.take(name, event, counted, source)  # type: ignore[arg-type]
            return
        backend = self.paths.by_name(name)
        if backend is None:
            return
        self.workers.take(backend, event, counted)  # type: ignore[arg-type]
        if isinstance(event, BootFailure | ServerEnd):
            self.services.explain(backend.unit, event)

    def _unit_changed(self, change: UnitChange) -> None:
        self.services.change(change.unit, change.properties)
        self.bus.status.last_event = time.time()
        pid = int(change.properties.get("MainPID") or 0)
        if pid and pid != self._main_pids.get(change.unit):
            self._main_pids[change.unit] = pid
            self.discovery.forget_unit(change.unit)

    async def _bus_connected(self) -> None:
        self.bus.status.ok()
        self.counters.declare("source_gaps_total", (SystemdBus.NAME,))
        self.services.deaf()
        self.discovery.forget_units()
        await self._look()

    def _units_reloaded(self) -> None:
        self.discovery.forget_units()
        self._look_again.set()

    # -- what runs

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report)
        self._tasks.append(task)

    async def _discover(self) -> None:
        await asyncio.sleep(0.2)  # give the bus its chance: with it one look is enough
        while True:
            with self._timed("discovery"):
                await self._look()
            self._look_again.clear()
            try:
                await asyncio.wait_for(
                    self._look_again.wait(), timeout=self.config.discovery.interval
                )
            except TimeoutError:
                pass

    async def _look(self) -> None:
        async with self._looking:
            findings = await self.discovery.look()
            self.findings = findings
        self.dependencies.watch(findings.paths.backends)
        self.processes.watch(findings.paths.backends)
        if self.config.probes.enabled:
            self._targets = frozenset(probe_targets(self.config, findings.paths))
            self.probes.watch(self._targets)
            self.probes.pause(self._asleep())
        self.streams.watch(findings, self._down_since())
        self.proxies.watch(findings.paths, findings.on_disk, self.streams.doubled)
        self._declare()
        self._discovered.set()

    def _declare(self) -> None:
        """Let series exist whose source is being read and whose labels are known."""
        heard = self.streams.heard
        for backend in self.paths.backends:
            if backend.name in heard:
                self.workers.declare(backend)
        for paths in (self.findings.on_disk, self.paths):
            self.proxies.declare(paths, self.streams.errors_heard, self.streams.access_heard)

    def _asleep(self) -> set[str]:
        """Backends that a socket would wake: probing them directly would do that."""
        states = self.services.states()
        return {
            b.name
            for b in self.paths.backends
            if b.unit in states
            and states[b.unit].triggered_by_socket
            and states[b.unit].active != "active"
        }

    def _down_since(self) -> float | None:
        """The earliest start of a unit that is down: its last words explain it."""
        begun = [s.started - 5 for s in self.services.states().values() if s.down and s.started]
        return min(begun) if begun else None

    async def _listen(self) -> None:
        while True:
            with self._timed("listeners"):
                self.listeners = await asyncio.to_thread(listening.read)
                self.processes.count(await asyncio.to_thread(self.processes.look))
            await asyncio.sleep(LISTEN_SECONDS)

    async def _diagnose(self) -> None:
        await self._discovered.wait()
        while True:
            with self._timed("diagnosis"):
                self.conclusions.draw(self._surroundings())
            await asyncio.sleep(DIAGNOSE_SECONDS)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            self.paths,
            self._targets,
            self.listeners,
            bool(self.bus.status.up),
            self.streams.settled,
            {name: s.problem for name, s in self.statuses().items() if s.up is False},
        )

    # -- what is kept

    def _document(self, snapshot: Snapshot) -> state.Document:
        now = time.monotonic()
        if now - self._remembered_at > REMEMBER_SECONDS or self._stopping:
            self._remembered_at, self._remembered = now, self._memory()
        return state.document(
            snapshot,
            {**self._positions, SystemdBus.NAME: self.services.positions()},
            {"proxies": self.proxies.memory(), **self._remembered},
        )

    def _memory(self) -> dict[str, msgspec.Raw]:
        """What was learnt, encoded: unlike positions it need not be of the counters' moment."""
        learnt = {
            "tokens": self._tokens,
            "services": self.services.memory(),
            "workers": self.workers.memory(),
            "streams": self.streams.memory(),
            "outages": self.conclusions.memory(),
            "topology": self.discovery.memory(),
            "dependencies": self.dependencies.memory(),
        }
        return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in learnt.items()}

    def _timed(self, collector: str) -> _Timed:
        return _Timed(self.runs, collector)


class _Timed:
    """Notes how long a collector ran and whether it succeeded; failures are logged, not raised."""

    def __init__(self, runs: dict[str, tuple[bool, float, float]], name: str) -> None:
        self._runs, self._name, self._begun = runs, name, 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> bool:
        if kind is not None and not issubclass(kind, Exception):
            return False
        before = self._runs.get(self._name)
        self._runs[self._name] = (kind is None, time.monotonic() - self._begun, time.time())
        if error is not None and (before is None or before[0]):
            log.error("%s failed: %r", self._name, error, exc_info=error)
        return True


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("a task ended: %r", task.exception(), exc_info=task.exception())
