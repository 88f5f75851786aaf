"""The running exporter: sources, collectors and diagnosis wired together.

Everything but reading runs in one event loop, so counting needs no locks. The committer makes what
was counted durable several times a second and only then shows it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from badgateway import config as settings
from badgateway import state, useragent
from badgateway.collectors import listeners as listening
from badgateway.collectors import processes as process_states
from badgateway.collectors.dependencies import Dependencies
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.probes import Probes
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.services import Services
from badgateway.collectors.targets import probe_targets
from badgateway.collectors.workers import Workers
from badgateway.counters import Counters
from badgateway.diagnosis import risks, rules
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound, Verdict
from badgateway.events import Batch, BootFailure, Event, ServerEnd
from badgateway.sources import Status
from badgateway.sources.systemd_bus import SystemdBus, UnitChange
from badgateway.streams import Streams
from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.discovery import Discovery, Findings

COMMIT_SECONDS: Final = 0.2
DIAGNOSE_SECONDS: Final = 0.5
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
        self.started = time.time()
        self.counters = Counters()
        self.durable = storage is not None
        self.configured = time.time()
        self._checkpoint = state.Checkpoint(storage) if storage else None
        loaded = self._checkpoint.load() if self._checkpoint else None
        document = loaded or state.Document()
        self.counters.restore(document.snapshot())
        memory = document.memory
        self._positions: dict[str, dict[str, Any]] = dict(document.positions)
        self.token = useragent.new_token()
        self._tokens = [*memory.get("tokens", [])[-TOKENS_KEPT + 1 :], self.token]
        self.proxies = Proxies(self.counters, self._tokens)
        self.services = Services(self.counters, self._positions.get(SystemdBus.NAME))
        self.workers = Workers(self.counters)
        self.probes = Probes(
            self.counters, self.token, config.probes.interval, config.probes.timeout
        )
        self.dependencies = Dependencies(storage, memory.get("dependencies", {}))
        self.processes = process_states.Processes(self.counters)
        self.bus = SystemdBus(self._unit_changed, self._bus_connected, self._units_reloaded)
        self.discovery = Discovery(
            config, self.bus, memory.get("topology", {}), self.services.watch
        )
        self.streams = Streams(config, self.counters, self._batch_read, self._positions)
        self.findings = Findings()
        self.listeners = Listeners()
        self.verdicts: dict[str, Verdict] = {}
        self.risks: dict[str, tuple[RiskFound, ...]] = {}
        self.evidence: dict[str, Evidence] = {}
        self.runs: dict[str, tuple[bool, float, float]] = {}
        self._discovered = asyncio.Event()
        self._look_again = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        if self._checkpoint and self._checkpoint.problem:
            log.error("%s", self._checkpoint.problem)
            self.counters.add("source_gaps_total", ("checkpoint",))

    # -- life

    async def start(self) -> None:
        """Begin to watch; returns at once."""
        self._spawn(self.bus.run())
        self._spawn(self._discover())
        self._spawn(self._diagnose())
        self._spawn(self._listen())
        self._spawn(self._commit())
        self.dependencies.start()

    async def stop(self) -> None:
        """End everything and write a last checkpoint."""
        self.streams.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self.probes.stop(), self.dependencies.stop())
        if self._checkpoint is not None:
            self._save_now()
            self._checkpoint.close()

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
        targets = probe_targets(self.config, self.paths)
        while time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            probes = self.probes.states.values()
            # one failed probe may be chance
            probed = len(probes) >= len(targets) and all(s.failures != 1 for s in probes)
            scanned = all(
                self.dependencies.report(b.name) is not None
                for b in self.paths.backends
                if b.launch and b.project
            )
            if probed and scanned and self.streams.settled:
                break
        self._conclude()

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
            self._take(owner, event, batch.counted)
        if batch.gap:
            log.warning("%s: %s; events may have been lost", batch.source, batch.gap)
            self.counters.add("source_gaps_total", (batch.source,))
        if batch.position is not None:
            if dict(batch.position) != self._positions.get(batch.source):
                self.counters.dirty = True
            self._positions[batch.source] = dict(batch.position)

    def _take(self, owner: str, event: Event, counted: bool) -> None:
        kind, _, name = owner.partition(":")
        if kind == "proxy":
            self.proxies.take(name, event, counted)  # type: ignore[arg-type]
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

    async def _bus_connected(self) -> None:
        self.bus.status.ok()
        self.counters.declare("source_gaps_total", (SystemdBus.NAME,))
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
        findings = await self.discovery.look()
        self.findings = findings
        self.proxies.watch(findings.on_disk)
        self.proxies.watch(findings.paths)
        for backend in findings.paths.backends:
            if backend.launch is not None:
                self.workers.watch(backend)
        self.dependencies.watch(findings.paths.backends)
        self.processes.watch(findings.paths.backends)
        if self.config.probes.enabled:
            self.probes.watch(frozenset(probe_targets(self.config, findings.paths)))
            self.probes.pause(self._asleep())
        self.streams.watch(findings, self._down_since())
        self._discovered.set()

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
                self._conclude()
            await asyncio.sleep(DIAGNOSE_SECONDS)

    def _conclude(self) -> None:
        # what systemd no longer tells is not known any more
        states = self.services.states() if self.bus.status.up else {}
        problems = {name: s.problem for name, s in self.statuses().items() if s.up is False}
        for backend in self.paths.backends:
            found = self._evidence(backend, states, problems)
            self.evidence[backend.name] = found
            verdict = rules.diagnose(found)
            before = self.verdicts.get(backend.name)
            if before is None or before.cause != verdict.cause:
                log.info(
                    "diagnosis of %s: %s%s", backend.name, verdict.cause,
                    f": {verdict.summary}" if verdict.cause != "none" else "",
                )  # fmt: skip
            elif before.since and verdict.since:
                # a failure goes back to its first sign, also after that sign has scrolled away
                verdict = _since(verdict, min(before.since, verdict.since))
            self.verdicts[backend.name] = verdict
            self.risks[backend.name] = risks.find(found)
            if verdict.cause == "none" and found.answered and found.service is not None:
                self.dependencies.runs_since(backend.name, found.service.started)
        for gone in set(self.verdicts) - {b.name for b in self.paths.backends}:
            del self.verdicts[gone], self.risks[gone], self.evidence[gone]

    def _evidence(
        self, backend: Backend, states: Mapping[str, Any], problems: Mapping[str, str]
    ) -> Evidence:
        name = backend.name
        process = self.processes.state(name)
        return Evidence(
            backend=backend,
            now=time.time(),
            probes=tuple(
                sorted(
                    (s for t, s in self.probes.states.items() if t.backend == name),
                    key=lambda s: (s.target.vantage, s.target.name),
                )
            ),
            service=states.get(backend.unit) or process,
            listening=listening.any_listening(self.listeners, backend.upstreams),
            boot_failures=tuple(self.workers.boot_failures.get(name, ())),
            worker_ends=tuple(self.workers.worker_ends.get(name, ())),
            happenings=self.services.happenings(backend.unit),
            failures=tuple(self.proxies.failures.get(name, ())),
            ready=self.workers.ready.get(name, 0.0),
            next_start=self.dependencies.report(name),
            remembered=self.dependencies.remembered(name),
            drift_since=self.dependencies.since(name),
            sources=problems,
        )

    # -- what is kept

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            self.services.tick()
            if not self.counters.dirty:
                continue
            snapshot = self.counters.snapshot()
            if self._checkpoint is None:
                self.counters.publish(snapshot)
                continue
            document = self._document(snapshot)
            try:
                await asyncio.to_thread(self._checkpoint.save, document)
            except OSError as error:
                if self.durable:
                    log.error("the checkpoint cannot be written: %s; counters stand still", error)
                self.durable = False
                self.counters.dirty = True
                await asyncio.sleep(1)
                continue
            self.durable = True
            self.counters.publish(snapshot)

    def _save_now(self) -> None:
        assert self._checkpoint is not None
        snapshot = self.counters.snapshot()
        try:
            self._checkpoint.save(self._document(snapshot))
        except OSError as error:
            log.error("the last checkpoint could not be written: %s", error)

    def _document(self, snapshot: dict[str, Any]) -> state.Document:
        return state.document(
            snapshot,
            {**self._positions, SystemdBus.NAME: self.services.positions()},
            {
                "tokens": self._tokens,
                "topology": self.discovery.memory(),
                "dependencies": self.dependencies.memory(),
            },
        )

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


def _since(verdict: Verdict, since: float) -> Verdict:
    return replace(verdict, since=since)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("a task ended: %r", task.exception(), exc_info=task.exception())
