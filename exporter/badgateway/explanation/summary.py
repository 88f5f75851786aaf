"""What a story amounts to: how often each thing happened, when, and where it says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from badgateway.explanation.record import Record, one_line
from badgateway.explanation.same import Entry, Told5xx

_UPSTREAMS_KEPT: Final = 200
_EXAMPLE: Final = 240


@dataclass(slots=True)
class Row:
    """Everything of one type and reason.

    Attributes:
        first: the earliest time, in seconds since the epoch; 0 where none is known.
        place: ``file:line`` of the example.
    """

    type: str
    reason: str
    count: int = 0
    masked: int = 0
    first: float = 0.0
    last: float = 0.0
    upstreams: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    example: str = ""
    place: str = ""


class Summary:
    """Counts records as they come."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self.unexplained: Counter[tuple[str, bool]] = Counter()
        """(dialect, whether its line tells of upstreams) → 5xx that nothing explains."""
        self.coarse: Counter[str] = Counter()
        """Dialect → failures whose reason is coarser than that proxy could tell."""
        self.dialects: set[str] = set()

    def add(self, entry: Entry, record: Record) -> None:
        """Take one event."""
        reason = record.reason if isinstance(record.reason, str) else record.exception
        row = self._rows.setdefault((record.type, reason), Row(record.type, reason))
        row.count += 1
        row.masked += record.masked
        at = entry.told.event.at
        if at:
            row.first = min(row.first or at, at)
            row.last = max(row.last, at)
        if isinstance(record.upstream, str) and len(row.upstreams) < _UPSTREAMS_KEPT:
            row.upstreams[record.upstream] += 1
        if isinstance(record.status, int):
            row.statuses[record.status] += 1
        if not row.example:
            place = f"{one_line(record.file)}:{record.line}"
            row.example, row.place = _example(entry, record), place
        self.dialects.add(record.dialect)
        if isinstance(entry.happened, Told5xx) and entry.happened.reason == "unknown":
            self.unexplained[record.dialect, entry.happened.tells] += 1
        elif record.reason in ("connect_failed", "upstream_closed"):
            self.coarse[record.dialect] += 1

    def rows(self) -> list[Row]:
        """Return the rows, failures before what may have caused them, the most frequent first."""
        kinds = ("upstream_failure", "boot_failure", "server_end", "worker_end", "client_abort")
        return sorted(self._rows.values(), key=lambda row: (kinds.index(row.type), -row.count))


def _example(entry: Entry, record: Record) -> str:
    """Return the line as an example: the program's words, or what was asked and answered."""
    if record.detail:
        return one_line(record.detail, _EXAMPLE)
    if not entry.told.text.startswith("{"):
        return one_line(entry.told.text, _EXAMPLE)
    status = f" → {entry.status}" if entry.status is not None else ""
    return one_line(f"{record.request}{status}", _EXAMPLE)
