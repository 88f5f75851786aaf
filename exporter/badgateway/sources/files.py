"""Log files that grow: each is followed in a thread of its own, woken when it was written to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from badgateway.events import Batch
from badgateway.sources import Position, Stopped, ThreadedSource, log
from badgateway.sources.following import Follower
from badgateway.sources.progress import Progress
from badgateway.sources.waking import Watch

PAUSE_SECONDS: Final = 0.1
"""A busy file is read this often, not at every write."""

_FIRST_SECONDS: Final = 2.0
"""How long another file may take to be read up to now before this one's lines are counted, and how
long that then holds while this one has much to read."""

_NEAR_BYTES: Final = 1024 * 1024


class FileSource(ThreadedSource):
    """Follows one file."""

    RETRY_SECONDS = 1.0

    def __init__(
        self, name: str, path: Path, unit: str | None = None, born_late: bool = False
    ) -> None:
        """Follow a file.

        Args:
            name: the source's.
            path: the file; it may appear later.
            unit: the stream its lines are of.
            born_late: whether it is counted from its first byte when no position is known.
        """
        super().__init__(name)
        self._path = path
        self._unit = unit
        self._born_late = born_late
        self._wake = threading.Event()
        self._asked = self._answered = 0
        self._ordered = 0.0
        self.first: Callable[[], Iterable[FileSource]] = tuple
        """Files whose lines of before must be counted before this one's: an error log is written
        before the access log, and says why."""

    def stop(self) -> None:
        """End soon; does not wait."""
        super().stop()
        self._wake.set()

    def read(self, position: Position | None) -> None:
        """Read until stopped; see ``ThreadedSource.read``."""
        follower = Follower(
            self.name, self._path, position,
            unit=self._unit, born_late=self._born_late, status=self.status, alive=self.alive,
        )  # fmt: skip
        watch = Watch(self._path, self._wake)
        progress = Progress(time.monotonic())
        woken, changed, asked = True, True, self._asked
        try:
            watch.arm(follower.descriptors())
            for batch in follower.batches():
                self.alive()
                if self.stopping.is_set():
                    raise Stopped
                if batch is not None:
                    changed = True
                    self.deliver(batch)
                    if batch.data and batch.counted:
                        watch.grown(woken)
                    said = progress.after(len(batch.data), self.status.unread, time.monotonic())
                    if said:
                        log.info("%s: %s", self.name, said)
                    continue
                self._answered = asked
                woken = self._rest(watch)
                asked = self._asked  # before the look: what is written until now is seen by it
                if woken or changed:  # as above: what is written after it wakes again
                    watch.arm(follower.descriptors())
                    changed = False
        finally:
            watch.close()
            follower.close()

    def _rest(self, watch: Watch) -> bool:
        """Wait until there may be more to read; tell whether something said so."""
        with self.idle():
            watch.wait()
            woken = self._wake.is_set()
            if woken and self._asked == self._answered:
                self.stopping.wait(PAUSE_SECONDS)
            self._ordered = 0.0
        self._wake.clear()
        if self.stopping.is_set():
            raise Stopped
        return woken

    def deliver(self, batch: Batch) -> None:
        """Hand over a batch after those that must be counted before; see ``ThreadedSource``."""
        is_near = self.status.unread < _NEAR_BYTES  # what came meanwhile is ordered anew
        if (
            batch.counted
            and batch.data
            and (is_near or time.monotonic() - self._ordered > _FIRST_SECONDS)
        ):
            for other in self.first():
                other._reach_now(self)
            self._ordered = time.monotonic()
        super().deliver(batch)

    def _reach_now(self, asking: FileSource) -> None:
        """Wait until this file is read up to now, unless that cannot be or takes too long."""
        if self.now().up is not True:
            return
        self._asked = ticket = self._asked + 1
        deadline = time.monotonic() + _FIRST_SECONDS
        while self._answered < ticket and time.monotonic() < deadline:
            self._wake.set()
            asking.alive()
            if asking.stopping.wait(0.01):
                return
