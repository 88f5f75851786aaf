"""The processes that write uvicorn's log."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from badgateway.dialects.tracebacks import Collector, Traceback
from badgateway.events import Line

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
    """Which worker left at its request limit, where lines do not tell their writer.

    The limit is said before the worker that reached it says that it finished.
    """

    def __init__(self) -> None:
        self._limits = 0

    def limit_reached(self) -> None:
        """A worker said that its limit is reached."""
        self._limits += 1

    def was_limit(self) -> bool:
        """Whether a worker that finishes did so at its limit."""
        if not self._limits:
            return False
        self._limits -= 1
        return True


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
