"""The processes that write uvicorn's log."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from badgateway.dialects.tracebacks import Collector, Traceback
from badgateway.events import Line, WorkerEnd

_KEPT: Final = 256


@dataclass(slots=True)
class Writer:
    """What is known of one process that writes."""

    traceback: Collector = field(default_factory=Collector)
    spawned: bool = False
    serving: bool = False
    bound: bool = False
    parent: bool = False
    ended: bool = False
    last_words: str | None = None
    detail: str = ""
    lifespan: Traceback | None = None
    said: str = ""
    waited_for: int | None = None
    failed: int = 0
    starting: list[int] = field(default_factory=list)
    complete: int = 0
    started: bool = False
    finished: bool = False


class Departures:
    """Which workers left, and which of them at their request limit.

    The limit is said before the worker that reached it says that it finished. Those that nothing
    but their parent's end follows ended with it.
    """

    def __init__(self) -> None:
        self._limits = 0
        self._left: OrderedDict[tuple[str | None, int], bool] = OrderedDict()
        self._leaving = False

    def leaves(self, invocation: str | None, pid: int) -> None:
        """A worker said that it finished."""
        self._left[invocation, pid] = self._leaving = True
        while len(self._left) > _KEPT:
            self._left.popitem(last=False)

    def none_leaves(self) -> None:
        """Something else was said: who has left did so while its parent stayed."""
        if self._leaving:
            self._left = OrderedDict.fromkeys(self._left, False)
            self._leaving = False

    def left(self, invocation: str | None) -> list[tuple[int, bool]]:
        """Return who left, and whether nothing else followed; they are told once."""
        found = [(pid, last) for (of, pid), last in self._left.items() if of == invocation]
        for pid, _ in found:
            del self._left[invocation, pid]
        return found

    def limit_reached(self) -> None:
        """A worker said that its limit is reached."""
        self._limits += 1

    def was_limit(self) -> bool:
        """Whether a worker that finishes did so at its limit."""
        if not self._limits:
            return False
        self._limits -= 1
        return True


class Unnamed:
    """Ends of workers that could not boot; their parent says afterwards who they were."""

    def __init__(self) -> None:
        self._ends: deque[WorkerEnd] = deque()

    def add(self, end: WorkerEnd) -> tuple[WorkerEnd, ...]:
        """Remember an end; return the oldest one where there are too many."""
        self._ends.append(end)
        return (self._ends.popleft(),) if len(self._ends) > _KEPT else ()

    def named(self, pid: int) -> tuple[WorkerEnd, ...]:
        """Return the oldest end, which is that of a process."""
        return (replace(self._ends.popleft(), pid=pid),) if self._ends else ()

    def rest(self) -> tuple[WorkerEnd, ...]:
        """Return the ends whose process nobody has named."""
        ends = tuple(self._ends)
        self._ends.clear()
        return ends


class Writers:
    """What is known of the processes of one stream; by invocation, where one is named."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str | None, int | None], Writer] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str | None, int | None, Writer]]:
        for (invocation, pid), writer in self._known.items():
            yield invocation, pid, writer

    def __contains__(self, key: tuple[str | None, int | None]) -> bool:
        return key in self._known

    def parents(self) -> list[list[object]]:
        """Return who announced itself as a parent, as plain data."""
        return [[invocation, pid] for invocation, pid, writer in self if writer.parent]

    def recall(self, parents: Iterable[tuple[str | None, int]]) -> None:
        """Take up what ``parents`` returned."""
        for invocation, pid in parents:
            self.get(invocation, pid).parent = True

    def get(self, invocation: str | None, pid: int | None) -> Writer:
        """Return what is known of a process."""
        key = (invocation, pid)
        writer = self._known.get(key)
        if writer is None:
            writer = self._known[key] = Writer()
            if len(self._known) > _KEPT:
                self._forget()
        return writer

    def has_parent(self, line: Line) -> bool:
        """A parent process of this invocation has announced itself, and it is not the writer."""
        return any(
            invocation == line.invocation and writer.parent and pid != line.pid
            for invocation, pid, writer in self
        )

    def parent_known(self, line: Line) -> bool:
        """A parent process of this invocation has announced itself."""
        return any(
            invocation == line.invocation and writer.parent for invocation, _, writer in self
        )

    def completed(self, line: Line, writer: Writer) -> None:
        """Find whose startup is complete where lines do not tell their writer: once all are."""
        writer.complete += 1
        if line.pid is None and writer.complete == len(writer.starting):
            for pid in writer.starting:
                self.get(line.invocation, pid).serving = True
            writer.starting, writer.complete = [], 0

    def silent(self, line: Line) -> list[int]:
        """Return the workers that said nothing though their parent stops: they were gone."""
        gone = [
            (pid, worker)
            for invocation, pid, worker in self
            if invocation == line.invocation
            and worker.started
            and not (worker.finished or worker.ended)
        ]
        for _, worker in gone:
            worker.ended = True
        return [pid for pid, _ in gone if pid is not None]

    def _forget(self) -> None:
        """Drop what wrote longest ago: workers before parents, which write only once."""
        workers = (key for key, writer in self._known.items() if not writer.parent)
        oldest = next(workers, None)
        if len(self._known) > 2 * _KEPT or oldest is None:
            self._known.popitem(last=False)
        else:
            del self._known[oldest]
