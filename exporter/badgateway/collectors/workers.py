"""Servers and workers: what their logs say, joined with what the process table shows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from badgateway import vocabulary
from badgateway.collectors.workerends import WorkerEnds, reason_of
from badgateway.counters import Counters
from badgateway.events import BootFailure, ServerEnd, ServerReady, WorkerEnd
from badgateway.sources import proctree
from badgateway.sources.pidfds import Pidfds
from badgateway.sources.proctree import Family, Worker
from badgateway.topology.backends import Backend

_KEPT: Final = 100

WorkerEvent = WorkerEnd | ServerEnd | BootFailure | ServerReady


@dataclass(frozen=True, slots=True)
class Survey:
    """The servers' processes at one moment.

    Attributes:
        at: when the look began.
        families: backend → its server and workers; None where they cannot be seen.
        alive: those of the workers known before that still live and are no more their server's
            children.
    """

    at: float
    families: Mapping[str, Family | None]
    alive: frozenset[tuple[int, int]]


@dataclass(slots=True)
class _Known:
    """A backend's server and workers as they were last seen."""

    server: str
    master: Worker | None
    workers: dict[tuple[int, int], Worker]
    recalled: bool = False


class Workers:
    """Counts workers' and servers' ends and keeps them as evidence."""

    def __init__(self, counters: Counters, learnt: Mapping[str, Any] | None = None) -> None:
        """Begin with what ``memory``, ``families`` and ``ends`` returned in an earlier life."""
        self._counters = counters
        known = learnt or {}
        self.boot_failures: dict[str, deque[BootFailure]] = {}
        for name, failure in (known.get("boot_failures") or {}).items():
            try:
                failed = msgspec.convert(failure, BootFailure)
            except msgspec.ValidationError:
                continue  # another version wrote it
            self.boot_failures[name] = deque([failed], maxlen=_KEPT)
        self.server_ends: dict[str, deque[ServerEnd]] = {}
        self.ends = WorkerEnds(self._count, known.get("worker_ends"))
        self.ready: dict[str, float] = {}
        self.alive: Mapping[str, int] = {}
        """Backend → workers seen at the last look, where they can be seen."""
        self.orphans: dict[str, set[tuple[int, int]]] = {}
        """Backend → workers that live on without their server."""
        self._known = _recalled(known.get("families") or {})
        self._boot = proctree.boot_id()
        self._pidfds = Pidfds(self._ended)
        self._masters: dict[tuple[int, int], tuple[int, int]] = {}
        self._statuses: dict[tuple[int, int], tuple[float, int | None]] = {}
        self.changed = asyncio.Event()
        """Set once a worker has ended: it is time for the next look."""

    def declare(self, backend: Backend) -> None:
        """Let a backend's series exist at 0: its servers' words are being read."""
        self._declare_workers(backend)
        for reason in vocabulary.SERVER_END_REASONS:
            self._counters.declare("server_exits_total", (backend.name, backend.server, reason))

    def _declare_workers(self, backend: Backend) -> None:
        for reason in vocabulary.WORKER_END_REASONS:
            self._counters.declare("worker_recycles_total", (backend.name, backend.server, reason))

    def look(self, backends: Iterable[Backend], mains: Mapping[str, int]) -> Survey:
        """Look at each running backend's processes; may block, as ``/proc`` of a stuck one does.

        Args:
            backends: the backends.
            mains: backend → the first process of its service, of those that run.
        """
        at = time.time()
        families = {
            backend.name: proctree.family(mains[backend.name], backend.server, backend.workers)
            for backend in backends
            if mains.get(backend.name)
        }
        known = [identity for found in self._known.values() for identity in found.workers]
        known += [identity for found in self.orphans.values() for identity in found]
        alive = frozenset(i for i in known if proctree.started(i[0]) == i[1])
        return Survey(at, families, alive)

    def take_survey(self, survey: Survey, backends: Iterable[Backend]) -> None:
        """Conclude which workers were born and which ended since the last look."""
        self.changed.clear()
        for backend in backends:
            self._compare(backend, survey)
        for name in set(self._known) - {backend.name for backend in backends}:
            self._leave(self._known.pop(name))
            self.orphans.pop(name, None)
        self.alive = {
            name: len(family.workers) for name, family in survey.families.items() if family
        }
        recent = survey.at - 60
        self._statuses = {i: found for i, found in self._statuses.items() if found[0] > recent}

    def tick(self, settled: bool) -> bool:
        """Count what was held for long enough; tell whether there was any."""
        return self.ends.tick(_is_gone, settled)

    def close(self) -> None:
        """Watch no process any more."""
        self._pidfds.close()

    def memory(self) -> dict[str, Any]:
        """Each backend's last boot failure: the journal may not reach back to it for ever."""
        return {name: asdict(failures[-1]) for name, failures in self.boot_failures.items()}

    def families(self) -> dict[str, Any]:
        """The workers that were alive: those that are gone when the exporter is back have ended."""
        return {
            name: {
                "boot": self._boot,
                "server": known.server,
                "master": asdict(known.master) if known.master else None,
                "workers": [asdict(worker) for worker in known.workers.values()],
            }
            for name, known in self._known.items()
        }

    def take(self, backend: Backend, event: WorkerEvent, counted: bool) -> None:
        """Take what a backend's log says; ``counted`` False makes it evidence only."""
        name = backend.name
        if isinstance(event, BootFailure):
            kept = self.boot_failures.setdefault(name, deque(maxlen=_KEPT))
            if event not in kept:
                kept.append(event)
        elif isinstance(event, ServerReady):
            self.ready[name] = max(event.at, self.ready.get(name, 0.0))
        elif isinstance(event, WorkerEnd):
            self.ends.told(name, backend.server, event, counted)
        else:
            self.server_ends.setdefault(name, deque(maxlen=_KEPT)).append(event)
            if counted:
                self._counters.add("server_exits_total", (name, backend.server, event.reason))

    def _compare(self, backend: Backend, survey: Survey) -> None:
        name, family = backend.name, survey.families.get(backend.name)
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(backend.server, None, {})
        now = {} if family is None else {worker.identity: worker for worker in family.workers}
        if family is not None:
            now.pop(family.master.identity, None)  # one that serves alone is no worker
        for identity, worker in list(known.workers.items()):
            if identity in now:
                continue
            if self._pidfds.awaits(identity):
                continue  # its parent has not asked yet how it ended
            is_alive = identity in survey.alive
            if is_alive and family is None and not self._is_gone(name):
                continue  # not seen is not gone
            del known.workers[identity]
            at, status = self._statuses.pop(identity, (survey.at, None))
            if is_alive:
                reason = "orphaned"
                self.orphans.setdefault(name, set()).add(identity)
            else:
                status = self._pidfds.forget(identity) if status is None else status
                reason = reason_of(status)
            master = self._masters.pop(identity, None)
            if master is None and known.master is not None:
                master = known.master.identity
            self.ends.died(name, known.server, worker, at, reason, known.recalled, master)
        if now.keys() - known.workers.keys():
            self._counters.touch()  # who lives must be saved: only so is missed who died
        for identity, worker in now.items():
            known.workers[identity] = worker
            if family is not None:
                self._masters.setdefault(identity, family.master.identity)
            self._pidfds.watch(*identity)
        known.recalled = False
        if family is not None:
            if known.master is None:
                self._declare_workers(backend)
            known.server, known.master = backend.server, family.master
        left = {i for i in self.orphans.get(name, ()) if i in survey.alive}
        self.orphans[name] = left

    def _ended(self, identity: tuple[int, int], at: float, status: int | None) -> None:
        self._statuses[identity] = (at, status)
        self.changed.set()

    def _is_gone(self, name: str) -> bool:
        """Whether a backend's server has ended too."""
        known = self._known.get(name)
        master = known.master if known is not None else None
        return master is not None and _is_gone(master.identity)

    def _leave(self, known: _Known) -> None:
        for identity in known.workers:
            self._pidfds.forget(identity)
            self._masters.pop(identity, None)

    def _count(self, backend: str, server: str, reason: str) -> None:
        self._counters.add("worker_recycles_total", (backend, server, reason))


def _is_gone(identity: tuple[int, int]) -> bool:
    return proctree.started(identity[0]) != identity[1]


def _recalled(saved: Mapping[str, Any]) -> dict[str, _Known]:
    """The workers of an earlier life, if they are of this boot."""
    found = {}
    for name, family in saved.items():
        try:
            workers = msgspec.convert(family["workers"], list[Worker])
            master = msgspec.convert(family["master"], Worker | None)
            server, boot = str(family["server"]), family["boot"]
        except (msgspec.ValidationError, KeyError, TypeError):
            continue  # another version wrote it
        if boot == proctree.boot_id():
            found[name] = _Known(server, master, {w.identity: w for w in workers}, recalled=True)
    return found
