"""gunicorn's masters and their workers, as the log names them.

A worker can end without a word (``os._exit(0)`` in every version, any exit code in 20.1). It is
missed when another one boots although none had left, and when its master stops.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from badgateway.events import Line

_KEPT: Final = 8
_WORKERS_KEPT: Final = 1024
_CALM: Final = 3.0
"""Seconds without a birth after which as many workers live as were asked for."""
_WAITED: Final = 1.5
"""Seconds that a stopping master waits for nobody: times in the log are whole seconds."""
_TOLD_CODES: Final = 21
"""The first version that logs a worker's exit code."""


@dataclass(slots=True)
class Master:
    """One master process.

    Attributes:
        version: its major version; None when its start was not seen.
        phase: what the ends of its workers mean now; None when they are nobody's wish.
        phase_at: since when.
        halting: a worker could not boot: the master ends the others.
        upgrading: it was asked to start a successor.
        predecessor: the master whose successor it is.
        second: it calls itself the second one.
        asked: the line that says that it was asked to end.
        over: its end was told.
        workers: the processes that were born and have not ended → when they were born.
        births: whether any of its workers' births was seen.
        missing: how many of ``workers`` are known to have gone without a word.
        target: how many workers are wanted, once that is known.
        crowd: how many workers lived after the last birth.
        calm_since: when the number of workers last changed for another reason than an end.
        removing: how many workers have still to go because fewer were asked for.
    """

    pid: int
    version: int | None = None
    phase: str | None = None
    phase_at: float = 0.0
    halting: bool = False
    upgrading: bool = False
    predecessor: Master | None = None
    successor: Master | None = None
    second: bool = False
    asked: Line | None = None
    over: bool = False
    workers: OrderedDict[int, float] = field(default_factory=OrderedDict)
    births: bool = False
    missing: int = 0
    target: int | None = None
    crowd: int = 0
    calm_since: float = 0.0
    removing: int = 0

    @property
    def tells_codes(self) -> bool:
        """Whether it would log a worker's exit code."""
        return self.version is None or self.version >= _TOLD_CODES

    @property
    def is_replaced(self) -> bool:
        """Whether a successor serves in its place."""
        return self.successor is not None and not self.successor.over

    def enters(self, phase: str | None, at: float) -> None:
        """A signal was handled: the number of workers may change."""
        self.phase, self.phase_at = phase, at
        self.removing = self.removing + 1 if phase == "scale_down" else 0
        self.target, self.calm_since = None, at

    def born(self, pid: int, at: float) -> tuple[int | None, ...]:
        """Remember a birth.

        Returns:
            Those that must have gone without a word; None for one of which nobody knows which.
        """
        if self.target is None:
            if at - self.calm_since >= _CALM and self.phase is None and not self.upgrading:
                self.target = self.crowd
            else:
                self.calm_since = at
        self.workers[pid], self.births = at, True
        self.crowd = len(self.workers) - self.missing
        while len(self.workers) > _WORKERS_KEPT:
            self.workers.popitem(last=False)
        gone: list[int | None] = []
        while self.target and len(self.workers) - self.missing > self.target:
            if self.target == 1 and not self.missing:
                gone.append(self.workers.popitem(last=False)[0])
            else:
                self.missing += 1
                gone.append(None)
        return tuple(gone)

    def ended(self, pid: int, at: float) -> None:
        """Remember an end that was told."""
        if self.workers.pop(pid, None) is not None:
            self.missing = min(self.missing, len(self.workers))

    def silent(self, at: float) -> Iterator[tuple[int | None, str]]:
        """Yield who has not said a word though the master is stopping, and why that is."""
        waited = at - self.phase_at >= _WAITED
        left = list(self.workers)
        if self.missing:
            unnamed: list[int | None] = [None] * (len(left) - self.missing)
        else:
            unnamed = list(left)
        for pid in unnamed:
            yield pid, "stop_timeout" if waited and self.phase == "stop" else "unknown"
        self.workers.clear()
        self.missing = 0


class Masters:
    """The masters of one stream; by invocation, where the transport names one."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str | None, int], Master] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str | None, Master]]:
        for (invocation, _), master in self._known.items():
            yield invocation, master

    def get(self, invocation: str | None, pid: int | None) -> Master | None:
        """Return the master that a process is."""
        return self._known.get((invocation, pid)) if pid is not None else None

    def begin(self, invocation: str | None, pid: int, at: float, version: int | None) -> Master:
        """A master starts, or is first heard of."""
        before = self.latest(invocation)
        master = Master(pid, version, calm_since=at)
        if before is not None and before.upgrading and not before.over and before.pid != pid:
            master.predecessor, before.successor = before, master
        self._known.pop((invocation, pid), None)
        self._known[invocation, pid] = master
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return master

    def latest(self, invocation: str | None) -> Master | None:
        """Return the master that began last."""
        found = (m for (of, _), m in reversed(self._known.items()) if of == invocation)
        return next(found, None)

    def of_worker(self, invocation: str | None, pid: int) -> Master | None:
        """Return the master of a worker, or the only one that it can have."""
        mine = [m for of, m in self if of == invocation]
        for master in mine:
            if pid in master.workers:
                return master
        alive = [master for master in mine if not master.over]
        return alive[0] if len(alive) == 1 else None

    def any_alive(self, invocation: str | None) -> bool:
        """Whether a master is known that has not ended."""
        return any(of == invocation and not master.over for of, master in self)

    def remembered(self) -> list[list[object]]:
        """Return who is whose, as plain data."""
        return [
            [invocation, master.pid, master.version, master.target, list(master.workers.items())]
            for invocation, master in self
            if not master.over
        ]

    def recall(
        self,
        remembered: Iterable[
            tuple[str | None, int, int | None, int | None, list[tuple[int, float]]]
        ],
    ) -> None:
        """Take up what ``remembered`` returned."""
        for invocation, pid, version, target, workers in remembered:
            master = self.begin(invocation, pid, 0.0, version)
            master.target = target
            master.workers.update((worker, at) for worker, at in workers)
            master.births = bool(workers)
