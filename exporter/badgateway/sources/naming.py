"""Whether a log's name leads to a file that can be read, and what is told of that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from badgateway.sources import STALE_SECONDS, Status, log
from badgateway.sources.openlog import OpenLog

GONE_SECONDS: Final = 10.0
"""A name that was there may lead nowhere for so long: its file is being rotated."""

_TICK_NANOSECONDS: Final = 20_000_000
"""A directory that changed so shortly ago may change again without bearing another time."""


class Name:
    """The name of one log.

    Attributes:
        is_there: whether the file being read has it.
        is_gone: whether nothing has it.
        is_late: whether what is read next was written while it could not be read.
    """

    def __init__(self, source: str, path: Path, status: Status, clock: Callable[[], float]) -> None:
        """Tell in ``status`` what becomes of the name of a source's log."""
        self.path = path
        self.is_there = self.is_gone = self.is_late = False
        self._source, self._status, self._clock = source, status, clock
        self._seen, self._gone_since = clock(), 0.0

    def look(self, current: OpenLog | None) -> None:
        """Look who has it; ``current`` is the file being read."""
        now = self._clock()
        self.is_there = False
        try:
            status = os.stat(self.path)
        except FileNotFoundError as error:
            # perhaps renamed away and not there again yet; nobody writes to what is not there
            self._seen = now
            self._gone_since = self._gone_since or now
            if now - self._gone_since >= GONE_SECONDS or current is None:
                self.lost(error)
        except OSError as error:
            self.lost(error)
        else:
            if current is not None and os.path.samestat(current.status, status):
                self.is_seen()

    def opened(self) -> OpenLog | None:
        """Open the file that has it; None, and told, when that cannot be."""
        try:
            opened = OpenLog.at(self.path)
        except OSError as error:
            self.is_gone = isinstance(error, FileNotFoundError)
            self.lost(error)
            return None
        self.is_seen()
        return opened

    def is_barred(self) -> bool:
        """Tell whether a file has it that may not be read now."""
        try:
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            return False
        except OSError as error:
            self.lost(error)
            return True
        return False

    def is_seen(self) -> None:
        """Note that the file that has it is being read."""
        now = self._clock()
        if now - self._seen > STALE_SECONDS:
            self.is_late = True
        self._seen, self._gone_since = now, 0.0
        self.is_there, self.is_gone = True, False
        self._status.ok()

    def lost(self, error: Exception) -> None:
        """Note that it leads to nothing that can be read."""
        reason = error.strerror if isinstance(error, OSError) else ""
        remedy = ""
        if isinstance(error, PermissionError):
            remedy = "; let the exporter's user read it, by group adm or an ACL"
        if self._status.lost(f"cannot read {self.path}: {reason or error}{remedy}"):
            log.warning("%s: %s", self._source, self._status.problem)

    def stamp(self) -> object:
        """Return what differs whenever a name in the log's directory has come, gone or moved."""
        stamp: list[object] = []
        try:
            target = os.path.realpath(self.path)
            for place in {str(self.path.parent), os.path.dirname(target)}:
                changed = os.stat(place).st_mtime_ns
                if abs(time.time_ns() - changed) < _TICK_NANOSECONDS:
                    return object()
                stamp.append((place, changed))
            status = os.stat(self.path)
            stamp.append((status.st_dev, status.st_ino))
        except OSError as error:
            stamp.append(error.errno)
        return stamp
