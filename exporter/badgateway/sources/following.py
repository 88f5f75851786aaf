"""Following one log by its name: over rotation, truncation, absence, and restarts of the exporter.

``Follower.batches`` is the whole of it, one step for each value: it waits for nothing and knows no
threads. It reads what is open; when names or contents have changed it looks which file is which
(``generations``), tells what is gone, and reads what is new. It begins with such a look, so that a
start after an absence is nothing else than a change that was long ago. All that must outlive it is
in the ``Ledger``, whose position goes with every batch.

A file that was replaced is read on beside the one that has the name now: a writer that is told to
reopen its log (nginx by USR1) still writes to the old one until it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from badgateway.events import Batch
from badgateway.sources import STALE_SECONDS, Position, Status
from badgateway.sources.family import SHORT_GAP, Family
from badgateway.sources.ledger import Known, Ledger
from badgateway.sources.naming import Name
from badgateway.sources.openlog import CutError, OpenLog
from badgateway.sources.packedlog import DamagedError, PackedLog
from badgateway.sources.starting import evidence, first_marks

_FAR_BYTES: Final = 16 * 1024 * 1024

Steps: TypeAlias = Generator[Batch | None, None, None]


class Follower:
    """Reads one log, one batch for each step."""

    def __init__(
        self,
        name: str,
        path: Path,
        position: Position | None,
        *,
        unit: str | None = None,
        born_late: bool = False,
        status: Status | None = None,
        alive: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin.

        Args:
            name: the source's.
            path: the file, or a symbolic link to it.
            position: that of the last batch that was counted, None for a first start.
            unit: the stream the lines are of.
            born_late: whether a file without a position is counted from its first byte, because
                it was not there before.
            status: where to tell what is known of the source.
            alive: called at least every few seconds while a step takes its time.
            clock: the time, seconds since the epoch.
        """
        self.status = status or Status()
        self._source, self._path, self._unit = name, path, unit
        self._is_first, self._born_late = position is None, born_late
        self._clock = clock
        self._ledger = Ledger(position or {}, path, clock())
        # how long something lasts does not depend on a clock that is set
        self._steady = time.monotonic if clock is time.time else clock
        self._name = Name(name, path, self.status, self._steady)
        self._files = Family(self._name, self._ledger, self._steady, alive)
        self._fresh = True
        if clock() - self._ledger.at > STALE_SECONDS:
            self._ledger.behind = True

    def descriptors(self) -> list[int]:
        """Return those of the files that may still grow."""
        opened = (known.log for known in self._files.all())
        return [log.descriptor for log in opened if isinstance(log, OpenLog)]

    def close(self) -> None:
        """Let all files go."""
        for known in self._files.all():
            known.close()

    def batches(self) -> Iterator[Batch | None]:
        """Yield what there is to count, in order, and None when there is nothing at the moment.

        It never ends.

        Raises:
            OSError: the file system fails; begin anew with another follower, at the position of
                the last batch that was counted.
        """
        yield from self._begin()
        while True:
            for known in self._files.all():
                yield from self._drain(known)
            if (yield from self._look()):
                continue
            is_up_to_date = self._ledger.behind and self._name.is_there
            if is_up_to_date:
                self._ledger.behind = False
            if self._files.let_go() or is_up_to_date:
                yield self._batch(b"")
            self.status.unread = self._unread()
            yield None

    # the start

    def _begin(self) -> Steps:
        # a file that may not be read now is not another: which is which is asked when it may
        while (current := self._name.opened()) is None and not self._name.is_gone:
            yield None
        if not self._is_first and current is not None:
            current.close()
        if self._is_first:
            now = self._steady()
            marks = first_marks(self._path, current, self._born_late)
            self._ledger.files = [Known(mark, path, now) for mark, path in marks]
            if current is not None:
                self._files.current = self._ledger.files[-1]
                self._files.current.log = current
        yield from self._identify()
        self._ledger.behind = self._ledger.behind or self._unread() > _FAR_BYTES
        for data in evidence(self._ledger.files):
            yield self._batch(data, counted=False)
        if self._name.is_there or self._files.gap:
            yield self._batch(b"")
        elif self._is_first:
            # saved, lest it be taken for a file of before if we are killed
            yield Batch(self._source, (), False, self._ledger.position(self._clock()))

    # reading

    def _drain(self, known: Known) -> Steps:
        """Read a file as far as it goes now."""
        if known.waits and not self._files.open(known):
            return
        while known.log is not None and not known.is_cut:
            packed = isinstance(known.log, PackedLog)
            try:
                # what has no end in a compressed file will never have one
                data = known.log.take(final=packed)
            except DamagedError as error:
                self._files.gap = str(error)
                continue
            except CutError:
                known.is_cut = self._files.must_look = True
                return
            known.refresh()
            if data is not None:
                known.since = self._steady()
                yield self._batch(data)
                continue
            if packed:
                if known.log.offset < known.least:
                    self._files.gap = SHORT_GAP
                known.mark = known.mark | {
                    "complete": True, "packed": True, "passed": not known.log.offset,
                }  # fmt: skip
                known.close()
            return

    def _look(self) -> Generator[Batch | None, None, bool]:
        """Look whether names or contents have changed; tell whether there is more to read."""
        current = self._files.current
        log = current.log if current else None
        self._name.look(log if isinstance(log, OpenLog) else None)
        return self._files.has_changed() and (yield from self._identify())

    def _identify(self) -> Generator[Batch | None, None, bool]:
        found = self._files.identify()
        if found is None:
            return False
        for known in found.deleted:
            yield from self._drain(known)
        has_more = self._files.adopt(found)
        if has_more or self._files.gap:
            yield self._batch(b"")
        return has_more

    def _batch(self, data: bytes, counted: bool = True) -> Batch:
        now = self._clock()
        if self._name.is_late:
            self._ledger.behind, self._name.is_late = True, False
        if data:
            self.status.last_event = now
            if counted and self._ledger.behind:
                self.status.behind()
        gap, fresh = self._files.gap if counted else "", self._fresh
        if counted:
            self._files.gap = ""
        self._fresh = False
        self.status.unread = self._unread()
        position = self._ledger.position(now) if counted else None
        return Batch(self._source, (), counted, position, gap, fresh, data, now, self._unit)

    def _unread(self) -> int:
        """Return the bytes not read yet; half a line that was left in an old file is none."""
        current = self._files.current
        return sum(k.unread for k in self._ledger.files if k is current or not k.is_complete)
