"""What happened to units of containers, kept as evidence."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from badgateway.collectors.service_tracker import Exited, Started
from badgateway.collectors.services import Happening
from badgateway.events import BootFailure, ServerEnd

_JOIN_SECONDS: Final = 10.0
_KEPT: Final = 100
_REMEMBERED: Final = 20


@dataclass(slots=True)
class Record:
    """What is kept of one unit, oldest first."""

    happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=_KEPT))
    boot_failures: deque[BootFailure] = field(default_factory=lambda: deque(maxlen=_KEPT))
    server_ends: deque[ServerEnd] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_exit: tuple[float, str] | None = None

    def take(self, event: Started | Exited) -> str:
        """Keep a start or an end; return its reason, the unit's own log considered."""
        if isinstance(event, Exited):
            reason = self._refined(event)
            self.last_exit = (event.at, reason)
            self.happenings.append(Happening(event.at, "exit", reason))
            return reason
        reason = event.reason
        if event.automatic and self.last_exit is not None and reason != "start_limit":
            reason = self.last_exit[1]
        self.happenings.append(Happening(event.at, "start", reason, event.automatic))
        return reason

    def _refined(self, event: Exited) -> str:
        if event.reason not in ("exit_code", "unknown"):
            return event.reason
        if any(0 <= event.at - f.at <= _JOIN_SECONDS for f in self.boot_failures):
            return "boot_failure"
        usage = (end for end in self.server_ends if end.reason == "usage")
        if any(abs(event.at - end.at) <= _JOIN_SECONDS for end in usage):
            return "usage"
        return event.reason


class Records:
    """Unit → what is kept of it."""

    def __init__(self, learnt: Mapping[str, Any]) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._learnt = dict(learnt)
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

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter: each unit's last events."""
        return self._learnt | {
            name: [asdict(happening) for happening in list(record.happenings)[-_REMEMBERED:]]
            for name, record in self.units.items()
            if record.happenings
        }
