"""Log files that grow: each is followed in a thread of its own, woken when it was written to."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from badgateway.sources import Position, Stopped, ThreadedSource, log
from badgateway.sources.following import Follower
from badgateway.sources.progress import Progress
from badgateway.sources.waking import Watch

PAUSE_SECONDS: Final = 0.1
"""A busy file is read this often, not at every write."""


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
        woken, changed = True, True
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
                woken = self._rest(watch)
                if woken or changed:  # before the look: what is written after it wakes again
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
            if woken:
                self.stopping.wait(PAUSE_SECONDS)
        self._wake.clear()
        if self.stopping.is_set():
            raise Stopped
        return woken
