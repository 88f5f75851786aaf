"""Services: starts, ends and states of the watched systemd units.

D-Bus tells that a unit ended and how; only its log tells that it was the application that did not
load. An end is therefore held for ``HOLD_SECONDS`` so that the log can speak, and then counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from badgateway import vocabulary
from badgateway.collectors.propagation import Propagation, bonds
from badgateway.collectors.records import Happening, Record, Records
from badgateway.collectors.service_tracker import (
    Exited,
    Known,
    ServiceState,
    ServiceTracker,
    Started,
)
from badgateway.counters import Counters
from badgateway.events import BootFailure, KilledOnOrder, ServerEnd, Starved
from badgateway.sources.proctree import boot_id
from badgateway.sources.systemd_bus import SystemdBus
from badgateway.topology.backends import Backend

HOLD_SECONDS: Final = 0.4
MISSED_HOLD_SECONDS: Final = 3.0
"""For ends of a time when nobody looked: their log is only being read."""
_KEPT: Final = 100
_KILLED_AS: Final = frozenset(
    ("signal", "core_dump", "exit_code", "clean_exit", "stop_timeout", "unknown")
)
_ORDERED: Final = ("manual", "propagated", "killed")
_KILL_SECONDS: Final = 95.0
"""How long a service may take to end after a signal that somebody had sent to it."""
_STARVED_SECONDS: Final = 5.0
_CLOCK_SECONDS: Final = 0.5


@dataclass(slots=True)
class _Unit:
    backend: str
    tracker: ServiceTracker
    record: Record
    held: deque[tuple[float, list[Started | Exited], dict[str, Any]]] = field(default_factory=deque)
    saved: dict[str, Any] | None = None
    kills: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    starved: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    live: bool = False


class Services:
    """Counts what happens to units and keeps it as evidence."""

    def __init__(
        self,
        counters: Counters,
        known: Mapping[str, Any] | None = None,
        learnt: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with what ``positions`` and ``memory`` said at the last checkpoint."""
        self._counters = counters
        self._known = dict(known or {})
        self._records = Records(learnt)
        self._units: dict[str, _Unit] = {}
        self._boot = boot_id()
        self._propagation = Propagation()

    def watch(self, backend: str, name: str, properties: Mapping[str, Any]) -> None:
        """Follow a unit.

        Args:
            backend: name of the backend it runs.
            name: the unit.
            properties: all its properties, as they are now.
        """
        unit = self._units.get(name)
        if unit is None:
            known = self._known.get(name)
            tracker = ServiceTracker(self._boot, Known(**known) if known else None)
            unit = self._units[name] = _Unit(backend, tracker, self._records.of(name))
        unit.backend = backend
        for reason in vocabulary.SERVICE_REASONS:  # a reload may give it another backend's name
            labels = (backend, "systemd", name, reason)
            self._counters.declare("service_restarts_total", labels)
            self._counters.declare("service_exits_total", labels)
        if unit.live:
            # signals tell everything, and may already have told what came after these
            unit.tracker.refresh(properties)
            return
        unit.live = True
        self._hold(unit, unit.tracker.look(properties))

    def deaf(self) -> None:
        """Note that changes may have gone untold: each unit is looked at before it is followed."""
        for unit in self._units.values():
            unit.live = False

    def change(self, name: str, properties: Mapping[str, Any]) -> None:
        """Take changed properties of a unit."""
        self._propagation.change(name, properties, time.time())
        unit = self._units.get(name)
        if unit is not None and unit.live:
            self._hold(unit, unit.tracker.change(properties))

    def bonds(self) -> frozenset[str]:
        """Return the units whose stop or restart a followed one follows."""
        found = (bonds(unit.tracker.properties) for unit in self._units.values())
        return frozenset().union(*found)

    def job(self, name: str, result: str) -> None:
        """Take a job of any unit: new with an empty result, else over."""
        unit, now = self._units.get(name), time.time()
        if not result:
            self._propagation.job(name, now, followed=unit is not None)
        if unit is not None and unit.live:
            self._hold(unit, unit.tracker.job(result, now))

    def told(self, name: str, event: KilledOnOrder | Starved) -> None:
        """Take what systemd's own log says of a unit and its properties do not."""
        unit = self._units.get(name)
        if unit is not None:
            (unit.kills if isinstance(event, KilledOnOrder) else unit.starved).append(event.at)

    def explain(self, name: str | None, event: BootFailure | ServerEnd) -> None:
        """Take what the unit's own log says of an end."""
        unit = self._units.get(name or "")
        if unit is not None:
            unit.record.explain(event)

    def tick(self) -> bool:
        """Count the held events whose time has come; tell whether there were any."""
        now = time.monotonic()
        counted = False
        for name, unit in self._units.items():
            while unit.held and unit.held[0][0] <= now:
                _, events, known = unit.held.popleft()
                for event in events:
                    self._count(name, unit, event)
                unit.saved = known
                counted = True
        return counted

    def positions(self) -> dict[str, Any]:
        """What a checkpoint must hold: up to where each unit's life has been counted."""
        return self._known | {name: unit.saved for name, unit in self._units.items() if unit.saved}

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter: each unit's last events."""
        return self._records.memory()

    def states(self) -> dict[str, ServiceState]:
        """Unit → its state now."""
        return {name: unit.tracker.state for name, unit in self._units.items()}

    def asleep(self, backends: Iterable[Backend]) -> set[str]:
        """Return the backends that a socket would wake."""
        states = self.states()
        return {b.name for b in backends if b.unit in states and states[b.unit].asleep}

    def down_since(self) -> float | None:
        """Return the earliest start of a unit that is down: its last words explain it."""
        begun = [s.started - 5 for s in self.states().values() if s.down and s.started]
        return min(begun) if begun else None

    def main_pids(self) -> dict[str, int]:
        """Unit → its main process, of the units that run."""
        return {unit: s.main_pid for unit, s in self.states().items() if s.active == "active"}

    def happenings(self, name: str) -> tuple[Happening, ...]:
        """A unit's last starts and ends, oldest first."""
        return self._records.happenings(name)

    def last_exits(self) -> dict[str, tuple[float, str]]:
        """Unit → when it last ended, and why."""
        return self._records.last_exits()

    def _hold(self, unit: _Unit, happened: list[Started | Exited]) -> None:
        """Keep what happened, with the position that is reached once it is counted."""
        assert unit.tracker.known is not None
        known = asdict(unit.tracker.known)
        if happened:
            missed = any(event.missed for event in happened)
            wait = MISSED_HOLD_SECONDS if missed else HOLD_SECONDS
            unit.held.append((time.monotonic() + wait, happened, known))
        elif not unit.held:
            unit.saved = known

    def _count(self, name: str, unit: _Unit, event: Started | Exited) -> None:
        if isinstance(event, Started) and event.missed and event.reason == "manual":
            # systemd's own counter was set back: there may have been more
            self._counters.add("source_gaps_total", (SystemdBus.NAME,))
        reason = event.reason
        if reason == "manual" and self._propagation.led(
            name, bonds(unit.tracker.properties), event.at
        ):
            reason = "propagated"
        record = unit.record
        if isinstance(event, Exited):
            reason = self._refined(unit, event, reason)
            record.ended(event.at, reason)
            self._counters.add("service_exits_total", (unit.backend, "systemd", name, reason))
            return
        automatic = event.automatic
        if reason == "manual" and _woken(unit):
            reason, automatic = record.last_exit[1] if record.last_exit else reason, True
        reason = record.started(event.at, reason, automatic)
        self._counters.add("service_restarts_total", (unit.backend, "systemd", name, reason))

    def _refined(self, unit: _Unit, event: Exited, reason: str) -> str:
        """Why a unit ended, its log asked too."""
        if reason in _KILLED_AS and any(
            -_CLOCK_SECONDS <= event.at - kill <= _KILL_SECONDS for kill in unit.kills
        ):
            unit.kills.clear()
            return "killed"
        if reason == "signal" and any(abs(event.at - at) < _STARVED_SECONDS for at in unit.starved):
            return "oom"  # with OOMPolicy=continue it is not the unit's result
        if reason != "exit_code" and not (event.missed and reason == "unknown"):
            return reason
        return unit.record.logged_reason(event) or reason


def _woken(unit: _Unit) -> bool:
    """Whether a start that systemd did not plan is a socket's: nobody had stopped the unit."""
    ended = unit.record.last_exit[1] if unit.record.last_exit else "manual"
    return unit.tracker.state.triggered_by_socket and ended not in _ORDERED
