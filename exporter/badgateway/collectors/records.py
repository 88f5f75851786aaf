"""What happened to units, of systemd or of containers, kept as evidence; and why they ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from badgateway.collectors.service_tracker import Exited
from badgateway.events import BootFailure, ServerEnd

_JOIN_SECONDS: Final = 10.0
_KEPT: Final = 100
_REMEMBERED: Final = 20


@dataclass(frozen=True, slots=True)
class Happening:
    """A start or an end, as evidence."""

    at: float
    what: str
    reason: str
    automatic: bool = False


@dataclass(slots=True)
class Record:
    """What is kept of one unit, oldest first."""

    happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=_KEPT))
    boot_failures: deque[BootFailure] = field(default_factory=lambda: deque(maxlen=_KEPT))
    server_ends: deque[ServerEnd] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_exit: tuple[float, str] | None = None

    def explain(self, event: BootFailure | ServerEnd) -> None:
        """Keep what the unit's own log says of an end."""
        if isinstance(event, BootFailure):
            self.boot_failures.append(event)
        else:
            self.server_ends.append(event)

    def ended(self, at: float, reason: str) -> None:
        """Keep an end."""
        self.last_exit = (at, reason)
        self.happenings.append(Happening(at, "exit", reason))

    def started(self, at: float, reason: str, automatic: bool) -> str:
        """Keep a start; return its reason: that of the end before, if nobody ordered it."""
        if automatic and self.last_exit is not None and reason != "start_limit":
            reason = self.last_exit[1]
        self.happenings.append(Happening(at, "start", reason, automatic))
        return reason

    def logged_reason(self, event: Exited) -> str:
        """Return why the unit ended as its own log says; empty where that does not."""
        for failure in reversed(self.boot_failures):
            if event.invocation and failure.invocation:
                same = failure.invocation == event.invocation
            else:
                same = 0 <= event.at - failure.at <= _JOIN_SECONDS
            if same:
                return "boot_failure"
        usage = (end for end in self.server_ends if end.reason == "usage")
        return "usage" if any(abs(event.at - end.at) <= _JOIN_SECONDS for end in usage) else ""


class Records:
    """Unit → what is kept of it."""

    def __init__(self, learnt: Mapping[str, Any] | None = None) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._learnt = dict(learnt or {})
        self.units: dict[str, Record] = {}

    def of(self, name: str) -> Record:
        """Return a unit's record; it is made if there is none."""
        record = self.units.get(name)
        if record is None:
            record = self.units[name] = Record()
            try:
                remembered = msgspec.convert(self._learnt.get(name, []), list[Happening])
            except msgspec.ValidationError:
                return record  # another version wrote it
            record.happenings.extend(remembered)
            ends = [happening for happening in remembered if happening.what == "exit"]
            if ends:
                record.last_exit = (ends[-1].at, ends[-1].reason)
        return record

    def happenings(self, name: str) -> tuple[Happening, ...]:
        """A unit's last starts and ends, oldest first."""
        record = self.units.get(name)
        return tuple(record.happenings) if record is not None else ()

    def last_exits(self) -> dict[str, tuple[float, str]]:
        """Unit → when it last ended, and why."""
        return {n: record.last_exit for n, record in self.units.items() if record.last_exit}

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter: each unit's last events."""
        return self._learnt | {
            name: [asdict(happening) for happening in list(record.happenings)[-_REMEMBERED:]]
            for name, record in self.units.items()
            if record.happenings
        }
