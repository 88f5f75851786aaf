"""Gunicorn's workers: when and why each of them ended, told once.

A worker that leaves by itself (``Worker exiting``, announced by nobody) is held back for a moment:
from 21 on the master says its exit code next. Without one somebody asked it to end; but 20.1 never
says a code, and uvicorn's worker recycled without a word before uvicorn 0.31.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from badgateway.dialects import gunicorn_words as words
from badgateway.dialects.gunicorn_masters import Master, Masters
from badgateway.dialects.lastwords import LastWords
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Collector
from badgateway.events import Event, Line, WorkerEnd
from badgateway.redaction import redacted

_SERVER: Final = "gunicorn"
_PROCESSES_KEPT: Final = 512
_HOLD: Final = 3.0
"""Seconds after which the master would have said an exit code; the log has whole seconds."""
_TOGETHER: Final = 1.0
"""Seconds within which a manager asks a master and its workers to end."""
_RELOADS: Final = 3.0
"""Seconds within which a worker that reloads is gone."""


@dataclass(slots=True)
class Process:
    """What is known of one process; times are those of the log itself."""

    traceback: Collector = field(default_factory=Collector)
    booted: float | None = None
    failing: bool = False
    ended: bool = False
    left: bool = False
    uvicorn: bool = False
    reason: str | None = None
    reason_at: float = 0.0


@dataclass(slots=True)
class _Leaving:
    """A worker that said good-bye.

    Attributes:
        line: its words.
        at: when, by the log's own time.
        master: its master.
        replaced: whether another one was started since.
    """

    line: Line
    at: float
    master: Master | None
    replaced: bool = False


class Workers:
    """The processes of one stream, and what became of them."""

    def __init__(self, masters: Masters, last_words: LastWords) -> None:
        self.now = 0.0
        """The log's own time."""
        self.informed: str | None = ""
        """The invocation that was last seen to log what is no warning."""
        self.bare = 0
        """How many workers without a name said that they cannot load the application."""
        self._masters, self._words = masters, last_words
        self._processes: OrderedDict[tuple[str | None, int | None], Process] = OrderedDict()
        self._leaving: OrderedDict[tuple[str | None, int], _Leaving] = OrderedDict()

    def remember(self) -> None:
        """Take up the workers that the masters are remembered to have."""
        for invocation, master in self._masters:
            for pid, at in master.workers.items():
                self._processes[invocation, pid] = Process(booted=at)

    def get(self, line: Line, pid: int | None) -> Process:
        """Return what is known of a process of the line's invocation."""
        key = (line.invocation, pid)
        process = self._processes.get(key)
        if process is None:
            process = self._processes[key] = Process()
            while len(self._processes) > _PROCESSES_KEPT:
                self._processes.popitem(last=False)
        return process

    def told_of(
        self, line: Line, master: Master, pattern: re.Pattern[str], told: re.Match[str], text: str
    ) -> tuple[Event, ...]:
        """What a master says of one of its workers."""
        pid = int(told[1])
        process = self.get(line, pid)
        strange = master.births and process.booted is None and not process.ended
        if pid in (1, master.pid) or strange:
            return ()  # it never had such a worker
        if pattern is words.TIMEOUT:
            return self.ended(line, pid, "timeout", text)
        phase = _phase(master, process, self.now)
        if pattern is not words.EXITED:
            reason = words.killed(told[2])
            if reason == "external_term":
                # a master that halts over a worker that could not boot ends the others
                reason = phase or ("stop" if master.halting else reason)
                if reason == "external_term" and not self._begun(master):
                    return self._hold(line, pid, process, master)
            elif reason == "sigkill" and self._words.proves_oom(line):
                reason = "oom"
            elif reason == "sigkill" and master.phase in ("stop", "upgrade"):
                reason = "stop_timeout"
            return self.ended(line, pid, reason, text)
        code = int(told[2])
        if code in words.BOOT_CODES:
            master.halting = True
            return self.ended(line, pid, "boot_failure", text)
        # 1 is what is left of a SIGABRT that gunicorn handled, and of any sys.exit(1)
        reason = "unknown" if not code or (code == 1 and process.left) else "exit_code"
        return self.ended(line, pid, phase or reason, text)

    def unheard(self, line: Line, master: Master, of: str = "") -> tuple[Event, ...]:
        """The ends of those that said nothing though their master ends."""
        silent = list(master.silent(self.now))
        if of:
            silent = [(silent[0][0] if len(silent) == 1 else None, of)] if silent else []
            if master.halting:
                return ()  # the one that could not boot was told
        detail = "gone without a word"
        events: list[Event] = []
        for pid, reason in silent:
            if pid is not None:
                self.get(line, pid).ended = True
            events.append(WorkerEnd(line.at, _SERVER, reason, pid, detail))
        return tuple(events)

    def born(self, line: Line, pid: int) -> tuple[Event, ...]:
        """A worker boots; return the ends that this gives away."""
        master = self._masters.latest(line.invocation)
        process = self.get(line, pid)
        process.booted, process.ended, process.failing = self.now, False, False
        process.left, process.reason = False, None
        if master is None:
            return ()
        events: list[Event] = []
        if master.phase is None:  # it takes the place of one that left, whatever follows
            for left in self._leaving.values():
                if left.master is master and not left.replaced:
                    left.replaced = True
                    break
        for gone in master.born(pid, self.now):
            if gone is not None:
                self.get(line, gone).ended = True
            detail = f"gone without a word: {pid} was started in its place"
            events.append(WorkerEnd(line.at, _SERVER, "unknown", gone, detail))
        return tuple(events)

    def exiting(self, line: Line, pid: int, process: Process, text: str) -> tuple[Event, ...]:
        """A worker says good-bye."""
        process.left = True
        master = self._masters.of_worker(line.invocation, pid)
        if self.bare and line.pid is None and not process.failing:
            self.bare, process.failing = self.bare - 1, True
        if process.failing:
            if master is not None:
                master.halting = True
            return self.ended(line, pid, "boot_failure", text)
        reason = process.reason or _phase(master, process, self.now)
        if reason is not None:
            return self.ended(line, pid, reason, text)
        if process.ended:
            return ()
        if master is not None:
            master.ended(pid, self.now)
            if not master.tells_codes:
                return self.ended(line, pid, "stop" if master.halting else "unknown", text)
        return self._hold(line, pid, process, master)

    def _hold(
        self, line: Line, pid: int, process: Process, master: Master | None
    ) -> tuple[Event, ...]:
        if not process.ended:
            self._leaving[line.invocation, pid] = _Leaving(line, self.now, master)
        return ()

    @staticmethod
    def _begun(master: Master) -> bool:
        """Whether enough of a master was seen to know that nobody asked it for anything."""
        return master.version is not None or master.births

    def late(self, line: Line, own: float | None) -> tuple[Event, ...]:
        """Return the ends of those that left so long ago that no exit code will follow."""
        if not self._leaving:
            return ()
        late = [
            key
            for key, left in self._leaving.items()
            if line.at - left.line.at >= _HOLD or (own is not None and own - left.at >= _HOLD)
        ]
        return self._all(late)

    def _left(self, key: tuple[str | None, int]) -> tuple[Event, ...]:
        left = self._leaving.pop(key)
        line, master = left.line, left.master
        process = self.get(line, key[1])
        text = line.text if (prefix := words.PREFIX.match(line.text)) is None else prefix[3]
        reason = "unknown" if process.uvicorn else "external_term"
        if master is not None and not self._begun(master) and self.informed != line.invocation:
            reason = "unknown"  # its level hides what it would say of a stop
        if master is not None and master.halting:
            reason = "stop"
        reason = _phase(master, process, self.now) or reason
        return self.ended(line, key[1], reason, text)

    def ended(self, line: Line, pid: int, reason: str, text: str) -> tuple[Event, ...]:
        """Return a worker's end; nothing when it was told before."""
        process = self.get(line, pid)
        self._leaving.pop((line.invocation, pid), None)
        master = self._masters.of_worker(line.invocation, pid)
        if master is not None:
            master.ended(pid, self.now)
        if process.ended:
            return ()
        process.ended = True
        if process.failing and reason not in ("timeout", "oom"):
            reason = "boot_failure"
        elif process.reason == "reload" and self.now - process.reason_at > _RELOADS:
            pass  # uvicorn's worker does not follow its reloader
        elif process.reason is not None and reason in ("exit_code", "stop", "external_term"):
            reason = process.reason
        if master is not None and reason == "scale_down":
            master.removing -= 1
        return (WorkerEnd(line.at, _SERVER, reason, pid, redacted(text)[:MESSAGE_KEPT]),)

    def rest(self) -> tuple[Event, ...]:
        """Return what was held back: nothing more is written."""
        return self._all(list(self._leaving))

    def halted(self, master: Master) -> tuple[Event, ...]:
        """The ends of those that left before a master said that it halts over one of them."""
        held = [key for key, left in self._leaving.items() if left.master in (master, None)]
        master.halting = True
        if len(held) == 1:
            self._processes[held[0]].failing = True
        return self._all(held)

    def enters(self, line: Line, master: Master, phase: str | None) -> tuple[Event, ...]:
        """A master was asked for something: what its workers' ends mean changes."""
        before = [
            key
            for key, left in self._leaving.items()
            if left.replaced or self.now - left.at >= _TOGETHER
        ]
        held = self._all(before)
        master.enters(phase, self.now)
        return (*held, *self.rest())

    def _all(self, keys: Iterable[tuple[str | None, int]]) -> tuple[Event, ...]:
        return tuple(event for key in keys for event in self._left(key))


def _phase(master: Master | None, process: Process, now: float) -> str | None:
    """What the end of one of a master's workers means now."""
    if master is None or (master.phase == "scale_down" and master.removing < 1):
        return None
    if master.phase == "reload" and process.booted is not None:
        # the new ones stay; of those born in the reload's second only the first to go are old
        lived = max(0.0, now - master.phase_at) if process.booted == master.phase_at else 0.0
        if process.booted > master.phase_at or lived > _RELOADS:
            return None
    return "reload" if master.phase == "upgrade" else master.phase
