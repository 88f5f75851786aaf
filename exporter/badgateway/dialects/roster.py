"""Who is whose worker: the processes that a server's own lines name.

Where the transport tells who writes, only the master speaks of others. Where it does not, as in a
file, only processes whose birth the log has seen can end, unless the log begins after the start.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from badgateway.events import Line

_RUNS_KEPT: Final = 8
_WORKERS_KEPT: Final = 1024
_ENDED_KEPT: Final = 256


@dataclass(slots=True)
class _Run:
    """One run of a server.

    Attributes:
        master: its process, once it said so.
        numbers: a worker's number or name → its process, of those that live.
        leaving: a worker's number → the process that was asked to make room for another.
        ended: processes whose end was told.
        seen: whether the run's beginning was seen.
    """

    master: int | None = None
    numbers: OrderedDict[str, int] = field(default_factory=OrderedDict)
    leaving: dict[str, int] = field(default_factory=dict)
    ended: OrderedDict[int, None] = field(default_factory=OrderedDict)
    seen: bool = False


class Roster:
    """The workers of one stream's servers; by invocation, where the transport names one."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str | None, _Run] = OrderedDict()

    def memory(self) -> dict[str, Any]:
        """Return what to remember, as plain data."""
        return {
            "runs": [
                [invocation, run.master, list(run.numbers.items())]
                for invocation, run in self._runs.items()
                if run.master is not None or run.numbers
            ]
        }

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        for invocation, master, numbers in remembered.get("runs", ()):
            run = self._run_of(invocation)
            run.master, run.seen = master, True
            for number, pid in numbers:
                run.numbers[number] = pid

    def forget(self, line: Line) -> None:
        """Forget the workers: the server starts anew."""
        run = self._run(line)
        ended = run.ended
        self._runs[line.invocation] = _Run(seen=True, ended=ended)

    def master_is(self, line: Line, pid: int) -> None:
        """Remember who the master is."""
        run = self._run(line)
        run.master, run.seen = pid, True

    def born(self, line: Line, number: str, pid: int) -> None:
        """Remember a worker's birth."""
        run = self._run(line)
        run.numbers[number] = pid
        run.numbers.move_to_end(number)
        run.ended.pop(pid, None)
        while len(run.numbers) > _WORKERS_KEPT:
            run.numbers.popitem(last=False)

    def pid(self, line: Line, number: str | None) -> int | None:
        """Return the process that lives under a number."""
        return self._run(line).numbers.get(number or "")

    def serves(self, line: Line) -> bool:
        """Whether workers of the run at hand are known to live."""
        return bool(self._run(line).numbers)

    def begun(self, line: Line) -> bool:
        """Whether the run's beginning was seen."""
        return self._run(line).seen

    def numbers(self, line: Line) -> tuple[str, ...]:
        """Return the numbers of the workers that are known to live."""
        return tuple(self._run(line).numbers)

    def leaves(self, line: Line, number: str) -> None:
        """A worker will make room for another of its number."""
        run = self._run(line)
        if number in run.numbers:
            run.leaving[number] = run.numbers[number]

    def is_leaving(self, line: Line, number: str) -> bool:
        """Whether a worker of the number is making room."""
        return number in self._run(line).leaving

    def left(self, line: Line, number: str) -> int | None:
        """Return the process that made room, which does so no more."""
        return self._run(line).leaving.pop(number, None)

    def alive(self, line: Line) -> tuple[int, ...]:
        """Return the processes that are known to live, the oldest first."""
        return tuple(self._run(line).numbers.values())

    def may_speak(self, line: Line) -> bool:
        """Whether the writer can be the master."""
        run = self._run(line)
        if line.pid is None:
            return True
        if run.master is not None:
            return line.pid == run.master
        return line.pid not in run.numbers.values()

    def end(self, line: Line, pid: int, known: bool = False) -> bool:
        """Remember a worker's end; False when it is no worker, or its end was told before.

        Args:
            line: the line that tells of it.
            pid: its process.
            known: whether it is known to be a worker, though not by a number any more.
        """
        run = self._run(line)
        if pid in run.ended:
            return False
        alive = [number for number, living in run.numbers.items() if living == pid]
        if not (alive or known) and run.seen and run.numbers:
            return False
        for number in alive:
            del run.numbers[number]
        run.ended[pid] = None
        while len(run.ended) > _ENDED_KEPT:
            run.ended.popitem(last=False)
        return True

    def _run(self, line: Line) -> _Run:
        return self._run_of(line.invocation)

    def _run_of(self, invocation: str | None) -> _Run:
        run = self._runs.get(invocation)
        if run is None:
            run = self._runs[invocation] = _Run()
            while len(self._runs) > _RUNS_KEPT:
                self._runs.popitem(last=False)
        return run
