"""One death, one event: what logs, the process table and the kernel tell of one worker's end.

A log says why, the process table says that and how, a kernel's line proves lack of memory; each may
come first, and some never come. What does not yet say why is held for ``HOLD_SECONDS`` so that the
others can speak. What is held is part of the checkpoint: a log's line whose position is saved is
counted even if the exporter is killed meanwhile.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from badgateway.events import WorkerEnd
from badgateway.sources.proctree import Worker, clock

HOLD_SECONDS: Final = 3.0
SILENT_SECONDS: Final = 8.0
"""How long an end that nobody explains is held: gunicorn's words on it may themselves be held."""
JOIN_SECONDS: Final = 60.0
"""How far apart a log and the process table may tell of one end."""
REMEMBERED_SECONDS: Final = 15 * 60.0
_KEPT: Final = 200
_PROOF_SECONDS: Final = 5.0
_SKEW_SECONDS: Final = 2.0
_GUESSED_SECONDS: Final = (-3.0, 10.0)
"""How long after a worker's end another one is born in its place; the look may have been late."""
_VAGUE: Final = frozenset(("sigkill", "unknown"))
"""Reasons that another source may know better."""
_PLAIN: Final = frozenset(("unknown", "external_term", "signal"))
"""What the process table says of workers that end with their server."""
_SILENT: Final = frozenset(("unknown", "exit_code", "boot_failure", "signal", "external_term"))
"""Ends that a server may not log, as the process table tells them."""
_BOOT_CODES: Final = (3, 4)
_FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
_POLITE: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@dataclass(slots=True)
class _End:
    """One worker's end, as far as known.

    Attributes:
        pids: by which it was known: this host's and its own.
        at: when it ended.
        born: when it was started; 0 when not known.
        told: whether a log told of it.
        seen: whether the process table did.
        counted: whether it is in the counters.
        missed: whether it ended while nobody looked.
        guessed: whether the log only missed a worker, and this may be the one.
        master: its server's pid and start, where known.
    """

    backend: str
    server: str
    reason: str
    pids: list[int]
    at: float
    born: float = 0.0
    detail: str = ""
    told: bool = False
    seen: bool = False
    counted: bool = False
    missed: bool = False
    guessed: bool = False
    master: tuple[int, int] | None = None
    due: float = field(default=0.0)

    @property
    def is_nameless(self) -> bool:
        """Whether a log told of it without saying which worker it was, and nobody else has."""
        return self.told and not self.seen and self.pids == [0]

    def is_missed_at(self, at: float) -> bool:
        """Whether a log that missed a worker at a moment may mean this end."""
        early, late = _GUESSED_SECONDS
        return self.missed or early <= at - self.at <= late

    def is_of(self, pid: int | None, at: float) -> bool:
        """Whether what was told of a pid at a moment is about this end."""
        if pid is None or pid not in self.pids:
            return False
        if self.born and at < self.born - _SKEW_SECONDS:
            return False  # another process had the number before
        return self.missed or abs(at - self.at) < JOIN_SECONDS


class WorkerEnds:
    """Counts each worker's end once."""

    def __init__(
        self, count: Callable[[str, str, str], None], learnt: Mapping[str, Any] | None = None
    ) -> None:
        """Begin.

        Args:
            count: takes backend, server and reason of an end that is certain.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._count = count
        self._ends: dict[str, deque[_End]] = {}
        self._proofs: deque[tuple[float, str, str, int | None]] = deque(maxlen=_KEPT)
        for name, ends in (learnt or {}).items():
            try:
                known = msgspec.convert(ends, list[_End])
            except msgspec.ValidationError:
                continue  # another version wrote it
            for end in known:
                end.due = time.monotonic() + HOLD_SECONDS
            self._ends[name] = deque(known, maxlen=_KEPT)

    def memory(self) -> dict[str, Any]:
        """What must be of the counters' moment: what is held, and what a late line may repeat."""
        oldest = time.time() - REMEMBERED_SECONDS
        kept = {
            name: [asdict(end) for end in ends if not end.counted or end.at > oldest]
            for name, ends in self._ends.items()
        }
        return {name: ends for name, ends in kept.items() if ends}

    def of(self, backend: str) -> tuple[WorkerEnd, ...]:
        """Return a backend's last ends in the order of their times; vague ones once they are
        counted."""
        ends = (end for end in self._ends.get(backend, ()) if end.counted or end.told)
        return tuple(
            sorted(
                (WorkerEnd(e.at, e.server, e.reason, e.pids[0], e.detail) for e in ends),
                key=lambda end: end.at,
            )
        )

    def told(self, backend: str, server: str, event: WorkerEnd, counted: bool) -> None:
        """Take what a log says; ``counted`` False makes it evidence of what was counted before."""
        ends = self._ends.setdefault(backend, deque(maxlen=_KEPT))
        if event.pid is None:
            known = _unexplained(ends, event.at)
        else:
            known = next((end for end in reversed(ends) if end.is_of(event.pid, event.at)), None)
            if known is not None and known.guessed:
                # it is told by its name: the nameless one is another
                known.told = known.guessed = False
                self._guess(ends, known, event.at)
        if known is not None and (not known.told or known.at == event.at):
            known.guessed = event.pid is None
            known.told, known.detail = True, event.detail or known.detail
            if event.reason != "unknown" and (not known.counted or known.reason in _VAGUE):
                known.reason = self._proved(known, event.reason)
            known.at = min(known.at, event.at)
        else:
            pids = [] if event.pid is None else [event.pid]
            known = _End(
                backend, server, event.reason, pids or [0], event.at, detail=event.detail,
                told=True, counted=not counted, due=time.monotonic() + HOLD_SECONDS,
            )  # fmt: skip
            known.reason = self._proved(known, event.reason)
            self._append(ends, known)
        if not known.counted and known.reason not in _VAGUE:
            self._settle(known)

    def died(
        self,
        backend: str,
        server: str,
        worker: Worker,
        at: float,
        reason: str,
        missed: bool = False,
        master: tuple[int, int] | None = None,
    ) -> None:
        """Take what the process table says.

        Args:
            backend: whose worker it was.
            server: its server.
            worker: the process.
            at: when it ended, or was found to have ended.
            reason: what ``reason_of`` its status says, or ``orphaned``.
            missed: whether it ended while nobody looked.
            master: its server's pid and start.
        """
        ends = self._ends.setdefault(backend, deque(maxlen=_KEPT))
        born = clock(worker.start)
        found = _End(
            backend, server, reason, [worker.pid, worker.inside], at, born, seen=True,
            missed=missed, master=master, due=time.monotonic() + HOLD_SECONDS,
        )  # fmt: skip
        for end in reversed(ends):
            same = any(found.is_of(pid, end.at) for pid in end.pids)
            if same and not end.seen:
                end.seen, end.born = True, born
                end.pids = list(dict.fromkeys((*end.pids, *found.pids)))
                if end.reason == "unknown" and not end.counted:
                    end.reason = self._proved(end, reason)
                return
        found.reason = self._proved(found, reason)
        nameless = next((e for e in ends if e.is_nameless and found.is_missed_at(e.at)), None)
        if nameless is not None and reason in _SILENT:
            nameless.seen = nameless.guessed = True
            nameless.pids, nameless.born, nameless.master = found.pids, born, master
            if not nameless.counted:
                nameless.reason, nameless.at = found.reason, at
            return
        if found.reason == "unknown":
            found.due += SILENT_SECONDS - HOLD_SECONDS
        self._append(ends, found)

    def proof(self, at: float, reason: str, backend: str = "", pid: int | None = None) -> None:
        """Take a proof that a worker was killed for ``oom`` or died of a ``segfault``.

        Args:
            at: when it happened.
            reason: which of the two.
            backend: whose worker it was; empty where only its pid is known.
            pid: the process; None where only the backend is known.
        """
        self._proofs.append((at, reason, backend, pid))
        for ends in self._ends.values():
            for end in ends:
                if not end.counted:
                    end.reason = self._proved(end, end.reason)

    def tick(self, gone: Callable[[tuple[int, int]], bool], settled: bool) -> bool:
        """Count what was held for long enough; tell whether there was any.

        Args:
            gone: tells of a server's pid and start whether it has ended.
            settled: whether the logs have been read up to now: what ended while nobody looked
                waits for that.
        """
        now, any_counted = time.monotonic(), False
        for ends in self._ends.values():
            for end in ends:
                if end.counted or now < end.due or (end.missed and not settled):
                    continue
                if not end.told and end.master is not None and gone(end.master):
                    end.reason = "stop" if end.reason in _PLAIN else end.reason
                    end.reason = "stop_timeout" if end.reason == "sigkill" else end.reason
                self._settle(end)
                any_counted = True
        return any_counted

    def _guess(self, ends: deque[_End], named: _End, at: float) -> None:
        """A log missed a worker, and it was not the one that it seemed to be."""
        other = _unexplained(ends, at, named)
        if other is not None:
            other.told = other.guessed = True
            return
        due = time.monotonic() + HOLD_SECONDS
        end = _End(named.backend, named.server, "unknown", [0], at, told=True, due=due)
        self._append(ends, end)

    def _settle(self, end: _End) -> None:
        end.counted = True
        self._count(end.backend, end.server, end.reason)

    def _append(self, ends: deque[_End], end: _End) -> None:
        if len(ends) == _KEPT and not ends[0].counted:
            self._settle(ends[0])  # it would fall out uncounted
        ends.append(end)

    def _proved(self, end: _End, reason: str) -> str:
        """The reason, with what the kernel said of it."""
        if reason not in ("sigkill", "unknown", "signal"):
            return reason
        for at, proved, backend, pid in self._proofs:
            if abs(at - end.at) > _PROOF_SECONDS:
                continue
            if pid in end.pids or (pid is None and backend == end.backend and reason == "sigkill"):
                return proved
        return reason


def _unexplained(ends: Iterable[_End], at: float, but: _End | None = None) -> _End | None:
    """The oldest end that the process table shows and no log has explained."""
    return next(
        (
            end
            for end in ends
            if end.seen and not end.told and end is not but and end.is_missed_at(at)
            and end.reason in _SILENT
        ),
        None,
    )  # fmt: skip


def reason_of(status: int | None) -> str:
    """Return what a wait status says of a worker's end, of ``vocabulary.WORKER_END_REASONS``.

    Args:
        status: as wait(2) gives it; None when it is not known.
    """
    if status is None:
        return "unknown"
    status &= 0xFF7F  # without the mark of a core dump
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return "sigkill"
        if number in _POLITE:
            return "external_term"
        return "segfault" if number in _FAULTS else "signal"
    code = os.WEXITSTATUS(status)
    if code in _BOOT_CODES:
        return "boot_failure"
    return "exit_code" if code else "unknown"
