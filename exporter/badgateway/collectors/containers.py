"""Containers: starts, ends and states of the watched units of Docker.

Like ``Services``, but for containers. What happened is held for a moment, so that a later event
and the container's own log can say why, and is then counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from badgateway import vocabulary
from badgateway.collectors.container_happenings import (
    Amended,
    Happened,
    Missed,
    OutOfMemory,
    Told,
)
from badgateway.collectors.container_ledger import Held, Ledger
from badgateway.collectors.container_states import state_of, unit_state
from badgateway.collectors.container_tracker import ContainerTracker
from badgateway.collectors.records import Happening, Records
from badgateway.collectors.service_tracker import Exited, ServiceState
from badgateway.counters import Counters
from badgateway.events import BootFailure, ServerEnd
from badgateway.sources.proctree import boot_id

MANAGER: Final = "docker"
LOG_SECONDS: Final = 1.5
"""How long the log of a unit that is new may take to be read."""


class Containers:
    """Counts what happens to containers and keeps it as evidence; a ``docker.Listener``."""

    def __init__(
        self,
        counters: Counters,
        known: Mapping[str, Any] | None = None,
        learnt: Mapping[str, Any] | None = None,
        changed: Callable[[], None] = lambda: None,
        boot: str = "",
    ) -> None:
        """Begin.

        Args:
            counters: where starts and ends are counted.
            known: what ``positions`` said at the last checkpoint.
            learnt: what ``memory`` said then.
            changed: called when something may run elsewhere or otherwise than before.
            boot: the host's boot; of now if not given.
        """
        self._counters, self._changed = counters, changed
        self._records = Records(learnt)
        self._tracker = ContainerTracker(boot or boot_id())
        self._ledger = Ledger(self._tracker, known or {})
        self._backends: dict[str, str] = {}
        self._watched_at = float("-inf")
        self._watched: dict[str, float] = {}
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._is_listed = False
        self.out_of_memory: Callable[[str, float], None] = lambda backend, at: None
        """Called with a backend and the time when the kernel killed a process of its container."""
        self._first = not self._ledger.begun

    # -- as a listener

    @property
    def newest(self) -> int:
        """Time of the newest event taken, nanoseconds since the epoch; 0 for none."""
        return self._tracker.newest

    @property
    def begun(self) -> float:
        """When a daemon was first listened to, also in an earlier life; seconds, 0 for never."""
        return self._ledger.begun

    def connected(self, another: bool, at: int) -> None:
        """Note a new connection to the daemon; see ``docker.Listener``."""
        self._documents.clear()
        self._is_listed = False
        self._ledger.begin(at / 1e9)
        if another:
            self._tracker.daemon_returned(at)

    def event(self, event: Mapping[str, Any], counted: bool) -> bool:
        """Take an event; return whether it is new."""
        identifier = str((event.get("Actor") or {}).get("ID", ""))
        before = self._until(identifier)
        told = self._tracker.event(event)
        for amended in [one for one in told if isinstance(one, Amended)]:
            self._ledger.amend(amended)
        told = [one for one in told if not isinstance(one, Amended)]
        self._ledger.hold(identifier, told, counted)
        return self._until(identifier) > before

    def described(self, document: Mapping[str, Any]) -> None:
        """Take a container's description: what no event told follows from it."""
        identifier = str(document.get("Id", ""))
        self._documents[identifier] = document
        self._ledger.hold(identifier, self._tracker.look(document), not self._first)

    def vanished(self, identifier: str) -> None:
        """Note that a container is there no more; its end is told by its events."""
        self._documents.pop(identifier, None)

    def listed(self, identifiers: frozenset[str]) -> None:
        """Take the ids of all containers there are."""
        self._is_listed = True
        for gone in self._documents.keys() - identifiers:
            del self._documents[gone]
        told = self._tracker.look_for_absent(identifiers)
        self._ledger.hold_the_gone()
        if told:
            self._ledger.hold("", told, not self._first)
        if self._first:
            self._first = False
            self._declare()

    def leaving(self) -> None:
        """Note that the daemon is going down: what was stopped a moment ago was so by it."""
        self._ledger.amend_ordered("daemon_restart")

    def changed(self) -> None:
        """Note that something may run elsewhere or otherwise."""
        self._changed()

    # -- as a collector

    def watch(self, units: Mapping[str, str]) -> None:
        """Count for exactly these units from now on.

        Args:
            units: unit → name of the backend it runs.
        """
        self._backends = dict(units)
        for unit in units:
            self._records.of(unit)
        self._watched_at = now = time.monotonic()
        self._watched = {unit: self._watched.get(unit, now) for unit in units}
        self._declare()

    def _declare(self) -> None:
        """Let series exist once it is known from where on they count."""
        for unit, backend in self._backends.items() if not self._first else ():
            for reason in vocabulary.SERVICE_REASONS:
                labels = (backend, MANAGER, unit, reason)
                self._counters.declare("service_restarts_total", labels)
                self._counters.declare("service_exits_total", labels)

    def explain(self, name: str, event: BootFailure | ServerEnd) -> None:
        """Take what a unit's own log says of an end."""
        self._records.of(name).explain(event)

    def tick(self) -> bool:
        """Count what was held long enough; tell whether there was any."""
        counted = False
        for held in self._ledger.due(self._is_sorted):
            for one in held.told:
                self._take(one, held.counted)
            counted = True
        if counted:
            self._counters.touch()
        return counted

    def positions(self) -> dict[str, Any]:
        """What a checkpoint must hold: up to where each container's life has been counted."""
        return self._ledger.saved

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter: each unit's last events."""
        return self._records.memory()

    def states(self) -> dict[str, ServiceState]:
        """Unit → its state now: that of the best of its replicas."""
        found = {
            unit: unit_state([self._with_reason(document) for document in documents])
            for unit, documents in self._by_unit().items()
        }
        absent = self._backends.keys() - found.keys() if self._is_listed else ()
        return found | {unit: ServiceState(active="not_found") for unit in absent}

    def happenings(self, name: str) -> tuple[Happening, ...]:
        """A unit's last starts and ends, oldest first."""
        return self._records.happenings(name)

    def last_exits(self) -> dict[str, tuple[float, str]]:
        """Unit → when it last ended, and why."""
        return self._records.last_exits()

    def down_since(self) -> float | None:
        """Return the earliest start of a watched unit that is down: its last words explain it."""
        begun = [
            state.started - 5
            for unit, state in self.states().items()
            if unit in self._backends and state.down and state.started
        ]
        return min(begun) if begun else None

    # -- within

    def _is_sorted(self, held: Held) -> bool:
        """Whether it is known whose a container is: that is found out at the next look."""
        named = {one.unit for one in held.told if not isinstance(one, Amended)}
        if named <= self._watched.keys():
            # its log is read since then, and may tell why
            begun = max((self._watched[unit] for unit in named), default=0.0)
            return time.monotonic() - begun >= LOG_SECONDS
        return held.arrived <= self._watched_at

    def _take(self, one: Told, counted: bool) -> None:
        if isinstance(one, Amended):
            return
        backend, record = self._backends.get(one.unit), self._records.of(one.unit)
        if isinstance(one, OutOfMemory):
            if backend is not None:
                self.out_of_memory(backend, one.at)
        elif isinstance(one, Missed):
            if counted and backend is not None:
                self._counters.add("source_gaps_total", (MANAGER,))
        elif isinstance(one, Happened):
            event, reason = one.event, one.event.reason
            if isinstance(event, Exited):
                metric = "service_exits_total"
                if reason in ("exit_code", "unknown"):
                    reason = record.logged_reason(event) or reason
                record.ended(event.at, reason)
            else:
                metric = "service_restarts_total"
                reason = record.started(event.at, reason, event.automatic)
            if counted and backend is not None:
                self._counters.add(metric, (backend, MANAGER, one.unit, reason))

    def _until(self, identifier: str) -> int:
        life = self._tracker.lives.get(identifier)
        return life.until if life is not None else 0

    def _with_reason(self, document: Mapping[str, Any]) -> ServiceState:
        life = self._tracker.lives.get(str(document.get("Id", "")))
        return state_of(document, life.reason if life is not None else "")

    def _by_unit(self) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        for identifier, document in self._documents.items():
            life = self._tracker.lives.get(identifier)
            if life is not None:
                found.setdefault(life.unit, []).append(document)
        return found
