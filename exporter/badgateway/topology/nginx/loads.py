"""When an nginx last took up its configuration, concluded from its processes.

nginx tells nobody. A master reads its files when it starts, and again when it is told to reload; a
worker never reads them. On a reload it starts new workers, waits 100 ms and then tells the old ones
to quit (``ngx_master_process_cycle``, nginx 1.18 to 1.29): these end with status 0, after the new
ones were started, or live on as ``worker process is shutting down`` while they are busy. A worker
that crashed is replaced after its end, and its successor has what the master had. A reload that
fails replaces nobody.

Pure: what was seen goes in, conclusions come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

Identity = tuple[int, int]
"""A pid and when that process was started, in clock ticks since the boot."""

EARLIER_SECONDS: Final = 0.05
"""How much earlier than an old worker's end a new one must have been started to be its reload's:
half of what nginx waits, as ends are noticed late and starts are told in ticks of 10 ms."""

_BIRTH_SECONDS: Final = 5.0
"""How soon after its own start a master has started its first workers: names are looked up while it
reads its files."""


@dataclass(frozen=True, slots=True)
class NginxWorker:
    """One worker process.

    Attributes:
        identity: which process it is.
        started: when it was started, seconds since the epoch.
        leaving: whether it has been told to quit and finishes what it began.
    """

    identity: Identity
    started: float
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The processes of one nginx at one moment.

    Attributes:
        master: its first process.
        started: when that was started, seconds since the epoch.
        workers: its workers, those that are leaving too.
        alone: whether it runs without workers (``master_process off``), so that nothing shows a
            reload.
    """

    master: Identity
    started: float
    workers: tuple[NginxWorker, ...] = ()
    alone: bool = False

    @property
    def working(self) -> tuple[NginxWorker, ...]:
        """The workers that take new connections, oldest first."""
        stay = (worker for worker in self.workers if not worker.leaving)
        return tuple(sorted(stay, key=lambda worker: (worker.started, worker.identity)))


@dataclass(frozen=True, slots=True)
class End:
    """The end of a process.

    Attributes:
        at: when it was noticed, seconds since the epoch.
        status: its wait status; None where the kernel does not tell.
    """

    at: float
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """The workers that have what was loaded last.

    Attributes:
        master: their master.
        workers: who they are.
        loaded_at: when the configuration was taken up, seconds since the epoch; as far as that is
            known.
        floor: when it was taken up at the earliest; the same where ``loaded_at`` is certain.
    """

    master: Identity
    workers: frozenset[Identity]
    loaded_at: float
    floor: float

    @property
    def certain(self) -> bool:
        """Whether it is known when the configuration was taken up."""
        return self.floor == self.loaded_at


def begin(seen: Seen) -> Generation:
    """Return what is to be said of an nginx that was not watched before.

    Workers as old as their master show that nothing was loaded since. Younger ones may be a
    reload's, or the successors of some that crashed.
    """
    working = seen.working
    workers = frozenset(worker.identity for worker in working)
    oldest = min((worker.started for worker in working), default=seen.started)
    if seen.alone:
        return Generation(seen.master, workers, 0.0, seen.started)
    together = oldest - seen.started < _BIRTH_SECONDS
    return Generation(seen.master, workers, seen.started if together else oldest, seen.started)


def follow(known: Generation, seen: Seen, ends: Mapping[Identity, End]) -> Generation:
    """Return the generation after another look.

    Args:
        known: the generation so far.
        seen: the processes now.
        ends: how processes that are gone ended, as far as that was told.
    """
    if known.master != seen.master:
        working = frozenset(worker.identity for worker in seen.working)
        return Generation(seen.master, working, seen.started, seen.started)
    if seen.alone:
        return replace(known, loaded_at=0.0)
    if not known.workers:
        return begin(seen) if seen.workers else known
    here = {worker.identity: worker for worker in seen.workers}
    lost = [i for i in known.workers if i not in here or here[i].leaving]
    fresh = [worker for worker in seen.working if worker.identity not in known.workers]
    if not lost or not fresh:
        return known
    gone = [identity for identity in lost if identity not in here]
    told = len(gone) < len(lost) or any(_was_told(ends.get(i), fresh) for i in gone)
    if len(lost) == len(known.workers):
        workers = frozenset(worker.identity for worker in fresh)
        if told:
            return Generation(seen.master, workers, fresh[0].started, fresh[0].started)
        if any(identity not in ends for identity in gone):  # out of sight
            return Generation(seen.master, workers, fresh[0].started, known.floor)
    return replace(known, workers=_succeeded(known.workers, gone, fresh, ends))


def misses(known: Generation, seen: Seen) -> frozenset[Identity]:
    """Return the workers of a generation whose end must be told before it can be judged."""
    here = {worker.identity for worker in seen.workers}
    return known.workers - here if known.master == seen.master else frozenset()


def _was_told(end: End | None, fresh: Iterable[NginxWorker]) -> bool:
    """Whether a worker ended because its master told it to, as its successor was there already."""
    if end is None or end.status:
        return False
    return any(worker.started <= end.at - EARLIER_SECONDS for worker in fresh)


def _succeeded(
    workers: frozenset[Identity],
    gone: Iterable[Identity],
    fresh: Iterable[NginxWorker],
    ends: Mapping[Identity, End],
) -> frozenset[Identity]:
    """The workers after each that crashed was replaced by the next that was started."""
    waiting = list(fresh)
    found = set(workers)
    for identity in sorted(gone, key=lambda each: ends[each].at if each in ends else 0.0):
        at = ends[identity].at if identity in ends else 0.0
        heir = next((w for w in waiting if w.started >= at - EARLIER_SECONDS), None)
        if heir is not None:
            waiting.remove(heir)
            found.discard(identity)
            found.add(heir.identity)
    return frozenset(found)
