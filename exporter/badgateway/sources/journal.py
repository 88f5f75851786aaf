"""The systemd journal (systemd-python over libsystemd; journald 247 and later).

Only entries of the watched units are read: what their processes wrote (``_SYSTEMD_UNIT``) and what
PID 1 wrote about them (``UNIT``). Fields that begin with an underscore are journald's own and
cannot be forged by the writer.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from badgateway.events import LINE_LIMIT, Batch, Line
from badgateway.sources import (
    EVIDENCE_SECONDS,
    STALE_SECONDS,
    Position,
    Stopped,
    ThreadedSource,
    log,
)

_BATCH: Final = 500
_EVIDENCE_ENTRIES: Final = 10_000
_LINES_MISSED: Final = "a596d6fe7bfa4994828e72309e95d61e"
_DIRECTORIES: Final = ("/run/log/journal", "/var/log/journal")
_OVERLAP: Final = 30.0
_CUT_KEPT: Final = 10_000
_MANAGER_FIELDS: Final = (
    "MESSAGE_ID", "EXIT_CODE", "EXIT_STATUS", "JOB_TYPE", "JOB_RESULT", "COMMAND",
    "UNIT_RESULT", "N_RESTARTS", "CODE_FUNC",
)  # fmt: skip
WAIT_SECONDS: Final = 1.0


def _seconds(microseconds: int) -> float:
    return microseconds / 1e6


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


KERNEL: Final = "kernel"
"""Stands for a unit: the kernel's own messages."""

_CONVERTERS: Final = {"__REALTIME_TIMESTAMP": _seconds, "MESSAGE_ID": _text}


class JournalSource(ThreadedSource):
    """Reads the journal of a changing set of units."""

    def __init__(self, name: str = "journal") -> None:
        super().__init__(name)
        self._units: frozenset[str] = frozenset()
        self._since: float | None = None
        self._changed = threading.Event()
        self._cut = CutLines()

    def watch(self, units: Iterable[str], since: float | None = None) -> None:
        """Read these units from now on.

        Args:
            units: unit names, such as ``api.service``.
            since: read evidence from this time on if it is earlier than usual; the start of the
                last run of a unit that is down.
        """
        wanted = frozenset(units)
        if since is not None:
            self._since = since if self._since is None else min(self._since, since)
        if wanted != self._units:
            self._units = wanted
            self._changed.set()

    def read(self, position: Position | None) -> None:
        """Read until stopped; see ``ThreadedSource.read``."""
        try:
            from systemd import journal
        except ImportError:
            if self.status.lost(
                "the systemd bindings are not installed: install badgateway-exporter[journal]"
            ):
                log.warning("%s: %s", self.name, self.status.problem)
            return
        problem = unreadable()
        if problem:
            if self.status.lost(problem):
                log.warning("%s: %s", self.name, problem)
            return
        while not self.stopping.is_set():
            self.alive()
            units = self._units
            self._changed.clear()
            if not units:
                self._changed.wait(WAIT_SECONDS)
                continue
            reader = journal.Reader(converters=_CONVERTERS)
            try:
                _match(reader, units)
                position = self._follow(reader, position)
            finally:
                reader.close()
        raise Stopped

    def _follow(self, reader: Any, position: Position | None) -> Position | None:
        """Deliver entries until the set of units changes or the exporter stops."""
        start = _Start.at(position, self._since, _oldest(), _earliest(reader))
        reader.seek_realtime(start.begin)
        counting, gap, fresh = False, "", True
        self.status.ok()
        while not self.stopping.is_set():
            self.alive()
            lines: list[Line] = []
            drained = True
            for entry in _entries(reader, _BATCH):
                drained = False
                at = float(entry["__REALTIME_TIMESTAMP"])
                if not counting and start.passed(at):
                    self._deliver(lines, None, fresh=fresh)
                    lines, counting, fresh = [], True, False
                    gap = start.gap
                if self._cut.is_rest(entry):
                    pass
                elif entry.get("_TRANSPORT") == "driver":
                    if counting and entry.get("MESSAGE_ID") == _LINES_MISSED:
                        gap = "the journal suppressed messages of a service"
                else:
                    lines.extend(_lines(entry, at, self.name))
                position = {"cursor": str(entry["__CURSOR"]), "at": at} if counting else position
                if not counting and entry["__CURSOR"] == start.cursor:
                    self._deliver(lines, None, fresh=fresh)
                    self._deliver([], position)
                    lines, counting, fresh = [], True, False
            if not drained:
                self._deliver(lines, position if counting else None, gap=gap, fresh=fresh)
                gap, fresh = "", False
                continue
            if not counting:
                # everything that was there is evidence: count from here on
                counting = True
                position = position or {"cursor": "", "at": start.now}
                self._deliver([], position, gap=start.gap, fresh=fresh)
                fresh = False
            if self._changed.is_set():
                break
            reader.wait(WAIT_SECONDS)
        return position

    def _deliver(
        self, lines: list[Line], position: Position | None, gap: str = "", fresh: bool = False
    ) -> None:
        """Hand over a batch; without a position it is evidence and not counted."""
        counted = position is not None
        if lines:
            self.status.last_event = lines[-1].at
            if counted and time.time() - lines[0].at > STALE_SECONDS:
                self.status.behind()
        self.deliver(Batch(self.name, tuple(lines), counted, position, gap=gap, fresh=fresh))


class CutLines:
    """Knows which entries are the middle of a line that journald cut.

    It cuts what a process writes at ``LineMax=`` (journald.conf(5)) and says so in ``_LINE_BREAK``.
    The middle must not be taken for a line: who sent it chose where it begins.
    """

    def __init__(self) -> None:
        self._cut: set[object] = set()

    def is_rest(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether an entry goes on with the line of the one before of the same stream."""
        stream = entry.get("_STREAM_ID")
        if stream is None:
            return False
        rest = stream in self._cut
        if entry.get("_LINE_BREAK") != "line-max":
            self._cut.discard(stream)
        elif len(self._cut) < _CUT_KEPT:
            self._cut.add(stream)
        return rest


@dataclass(frozen=True, slots=True)
class _Start:
    """Where reading begins and where counting begins."""

    now: float
    begin: float
    cursor: str
    counted_until: float
    gap: str = ""
    """Why something may be lost between what was counted and what there is to read."""

    @classmethod
    def at(
        cls, position: Position | None, since: float | None, oldest: float, earliest: float
    ) -> _Start:
        now = time.time()
        begin = now - EVIDENCE_SECONDS
        if since is not None:
            begin = min(begin, since)
        begin = max(begin, earliest)
        if position is None:
            return cls(now, begin, "", now)
        until = float(position["at"])
        gap = "the journal no longer reaches back to what was read last" if oldest > until else ""
        return cls(now, min(begin, until - _OVERLAP), str(position["cursor"]), until, gap)

    def passed(self, at: float) -> bool:
        """Tell whether an entry of this time lies behind what was counted."""
        return at > self.counted_until


def _earliest(reader: Any) -> float:
    """Return the time of the last entry but ``_EVIDENCE_ENTRIES``: evidence begins there."""
    reader.seek_tail()
    entry = reader.get_previous(_EVIDENCE_ENTRIES)
    return float(entry["__REALTIME_TIMESTAMP"]) if entry else 0.0


def _oldest() -> float:
    """Return the time of the oldest entry that can be read, 0 when there is none."""
    from systemd import journal

    reader = journal.Reader(converters=_CONVERTERS)
    try:
        reader.seek_head()
        entry = reader.get_next()
        return float(entry["__REALTIME_TIMESTAMP"]) if entry else 0.0
    finally:
        reader.close()


def unreadable() -> str:
    """Return why the system's journal cannot be read, or an empty string."""
    found = False
    for directory in _DIRECTORIES:
        for file in Path(directory).glob("*/system.journal"):
            found = True
            if os.access(file, os.R_OK):
                return ""
    if found:
        return (
            "no permission to read the journal: add the exporter's user to the group "
            "systemd-journal"
        )
    return "no journal found: journald does not run here, or its directories cannot be listed"


def _match(reader: Any, units: frozenset[str]) -> None:
    if KERNEL in units:
        reader.add_match(_TRANSPORT="kernel")
        reader.add_disjunction()
    for unit in sorted(units):
        reader.add_match(_SYSTEMD_UNIT=unit)
    reader.add_disjunction()
    reader.add_match(_PID="1")
    for unit in sorted(units):
        reader.add_match(UNIT=unit)
    reader.add_disjunction()
    # what journald itself says of a unit: that it dropped messages of it
    reader.add_match(_TRANSPORT="driver")
    for unit in sorted(units):
        reader.add_match(OBJECT_SYSTEMD_UNIT=unit)


def _entries(reader: Any, limit: int) -> Iterator[dict[str, Any]]:
    for _ in range(limit):
        entry = reader.get_next()
        if not entry:
            return
        yield entry


def _lines(entry: dict[str, Any], at: float, source: str) -> Iterator[Line]:
    # a writer may give the field several times, and no text at all
    given = entry.get("MESSAGE", "")
    messages = given if isinstance(given, list) else [given]
    message = "\n".join(
        part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
        for part in messages
    )
    pid = entry.get("_PID")
    manager: dict[str, str] | None = None
    unit = entry.get("_SYSTEMD_UNIT")
    invocation = entry.get("_SYSTEMD_INVOCATION_ID")
    if entry.get("_TRANSPORT") == "kernel":
        unit, pid = KERNEL, None
    elif pid == 1 and entry.get("UNIT"):
        unit = entry["UNIT"]
        invocation = entry.get("INVOCATION_ID")
        manager = {name: str(entry[name]) for name in _MANAGER_FIELDS if name in entry}
    for text in message.split("\n"):
        yield Line(
            at,
            text[:LINE_LIMIT],
            source,
            unit,
            pid if isinstance(pid, int) else None,
            str(invocation) if invocation else None,
            manager,
        )
