"""Following one log by its name: over rotation, truncation, absence, and restarts of the exporter.

``Follower.batches`` is the whole of it, one step for each value: it waits for nothing and knows no
threads. A file that was replaced is read on beside the one that has the name now: a writer that is
told to reopen its log (nginx by USR1) still writes to the old one until it does.

A position is a ``Mark`` of the newest file reached, with ``left``, the marks of older ones that may
still grow, ``ended``, what tells those that were read to their ends, and ``behind``, whether lines
of an absence were being read. ``absent`` says that there was no file yet.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from badgateway.events import Batch
from badgateway.sources import STALE_SECONDS, Position, Status, log
from badgateway.sources.generations import Generations, ended
from badgateway.sources.openlog import CHUNK, CutError, OpenLog
from badgateway.sources.packedlog import DamagedError, PackedLog
from badgateway.sources.rotation import Rotated

EVIDENCE_BYTES: Final = 1024 * 1024
LINGER_SECONDS: Final = 60.0
"""An old file that has no name any more, or that another has followed, is let go after this."""

GONE_SECONDS: Final = 10.0
_FAR_BYTES: Final = 16 * 1024 * 1024
_OLD_KEPT: Final = 8
_ENDED_KEPT: Final = 8
_TRIES: Final = 5
_GONE_GAP: Final = "the file read last is gone"
_CUT_GAP: Final = "the file was cut, and what it held is nowhere else"

Log: TypeAlias = OpenLog | PackedLog
Steps: TypeAlias = Generator[Batch | None, None, None]


class _Old:
    """A file that had the name before, and since when it has been silent."""

    def __init__(self, log: Log, since: float, copy: bool = False) -> None:
        self.log, self.since = log, since
        self.is_complete = copy or isinstance(log, PackedLog)


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
        self._name, self._path, self._unit = name, path, unit
        self._position, self._born_late = position, born_late
        self._alive, self._clock = alive, clock
        self._generations = Generations(path, alive)
        self._log: OpenLog | None = None
        self._old: list[_Old] = []
        self._newest: Log | None = None
        """The newest file that was begun: the position is of it."""
        self._reached: dict[str, Any] = dict(position or {})
        self._lefts: list[dict[str, Any]] = self._reached.pop("left", [])
        self._ended = deque[dict[str, Any]](self._reached.get("ended", ()), maxlen=_ENDED_KEPT)
        self._previous: dict[str, Any] = self._reached.pop("previous", {})
        """The file before the newest."""
        self._unread_stamp: tuple[int, int] | None = None
        self._fresh, self._gap = True, ""
        self._seen, self._gone = clock(), 0.0
        at = float(self._reached.get("at", self._seen))
        self._named = float(self._reached.pop("named", at))
        """Until when the newest file is known to have had the name and been read."""
        self._began = self._named
        self._is_adrift = False  # whether the newest file does not tell which came after it
        self._current: OpenLog | None = None
        """The file that had the name last."""
        self._away = bool(self._reached.pop("behind", False)) or self._seen - at > STALE_SECONDS

    def logs(self) -> list[Log]:
        """Return the files that are open."""
        return [old.log for old in self._old] + ([self._log] if self._log else [])

    def descriptors(self) -> list[int]:
        """Return those of the files that may still grow."""
        return [opened.descriptor for opened in self.logs() if isinstance(opened, OpenLog)]

    def close(self) -> None:
        """Let all files go."""
        for opened in self.logs():
            opened.close()
        self._log, self._old = None, []

    def batches(self) -> Iterator[Batch | None]:
        """Yield what there is to count, in order, and None when there is nothing at the moment.

        It never ends.

        Raises:
            OSError: the file system fails; begin anew with another follower, at the position of
                the last batch that was counted.
        """
        yield from self._begin()
        while True:
            self._began = self._clock()
            if self._log is not None:
                yield from self._read_current(self._log)
            yield from self._read_old()
            if self._away and self._log is not None:
                self._away = False
                yield self._batch(b"")
            self.status.unread = self._unread()
            if not (yield from self._look()):
                yield None

    # where to begin

    def _begin(self) -> Steps:
        self._log = self._opened()
        if self._position is None:
            if self._log is None and self._gone:
                yield from self._await()
                return
            if self._log is None or not self._born_late:
                yield from self._first_start()
                return
        self._away = self._away or self._unread() > _FAR_BYTES
        for left in self._lefts:
            yield from self._go_on(left, False)
        current, known = self._log, dict(self._reached)
        if current is not None:
            current.go_to(int(known.get("offset", 0)))
            if "inode" in known and current.holds(known):
                self._newest = current
                yield from self._evidence(current, current.offset)
                if not current.offset or self._is_adrift:
                    unread = known | {"complete": True}  # its inode may be another file's by now
                    found = self._generations.find(unread, self._apart(), self._others(known))
                    if not current.offset and found is not None:
                        yield from self._take_up(found, 0, False, False)
                    self._is_adrift = True
                    yield from self._catch_up()
                    self._is_adrift = False
                yield self._switch(current)
                return
            current.rewind()
        if "inode" in known:
            yield from self._go_on(known, True)
            self._is_adrift = self._is_adrift or not (known["offset"] or known.get("passed"))
        if known:
            yield from self._catch_up()
        self._is_adrift = False
        if current is not None:
            yield self._switch(current)
        elif self._gap:
            if self._newest is None:
                self._reached = self._absent()
            yield self._batch(b"")

    def _await(self) -> Steps:
        """Begin without a file: all that it will hold is written under our eyes."""
        self._reached = self._absent()
        newest = self._generations.newest(self._apart())
        if newest is not None and not newest.is_compressed:  # perhaps renamed a moment ago
            if (yield from self._take_up(newest, None, True, True)) and self._newest is not None:
                yield self._batch(b"")
                return
        elif newest is not None:
            self._previous = _passed(newest, self._clock())
        # saved, lest it be taken for a file of before if we are killed
        yield Batch(self._name, (), False, dict(self._reached))

    def _first_start(self) -> Steps:
        """Lines of before are evidence; one that has no end yet is still to be counted."""
        while self._log is None:
            yield None
            self._log = self._opened()
        newest = self._generations.newest(self._apart())
        if newest is not None and newest.is_compressed:
            self._reached = _passed(newest, self._clock())
        elif newest is not None:  # perhaps renamed a moment ago: its writer may not know yet
            yield from self._take_up(newest, None, True, False)
        start = _last_line(self._log)
        self._log.go_to(start)
        yield from self._evidence(self._log, start)
        yield self._switch(self._log)

    def _go_on(self, known: dict[str, Any], main: bool) -> Steps:
        """Read on in a file that has the name no longer."""
        silent = bool(known.get("silent"))
        others = self._others(known)
        for _ in range(_TRIES):
            found = self._generations.find(known, self._apart(), others, not silent)
            if found is None:
                break
            if (yield from self._take_up(found, int(known["offset"]), main, main)):
                return
        if silent:
            return
        if not int(known["offset"]):
            self._is_adrift = True
            if self._next() is not None or self._generations.has_empty():
                return
        self._gap = self._gap or _GONE_GAP

    def _others(self, known: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the positions of other files of which something was read."""
        marks = (self._reached, self._previous, *self._ended, *self._lefts)
        return [mark for mark in marks if mark != known and mark.get("offset")]

    def _catch_up(self, copies: bool = False) -> Steps:
        """Read the files that had the name after the newest one read, and have it no more."""
        taken: set[int] = set()
        for old in self._old:
            yield from self._drain(old.log)
        for _ in range(_TRIES):
            while (found := self._next(taken)) is not None:
                if not (yield from self._take_up(found, 0, True, False, copies)):
                    break  # renamed between the look and the opening: look again
                taken.add(found.inode)
            else:
                return

    def _next(self, taken: Iterable[int] = ()) -> Rotated | None:
        newest = self._reached if self._newest is None else self._newest.mark()
        # of a file of which nothing was read, an earlier part may have been copied and cut
        unread = self._current is not None and self._newest is self._current
        unread = unread and not newest["offset"]
        known = [] if unread or self._is_adrift else [newest]
        if self._previous:
            known.append(self._previous)
        read = [*self._ended, *(old.log.mark() for old in self._old)]
        begins = self._log.beginning() if self._log else b""
        apart = self._apart().union(taken)
        return self._generations.after(known, self._named, apart, read, begins)

    def _take_up(
        self,
        found: Rotated,
        offset: int | None,
        main: bool,
        evidence: bool,
        copy: bool = False,
    ) -> Generator[Batch | None, None, bool]:
        """Read an old file on; False when it is there no longer: look again.

        Args:
            found: the file.
            offset: where to go on; None for its last line's end.
            main: whether it is the newest reached.
            evidence: whether what stands before is delivered as evidence.
            copy: whether nobody writes to it.
        """
        try:
            opened = self._open_old(found, offset)
        except FileNotFoundError:
            return False
        except (OSError, DamagedError) as error:
            self._gap = f"{found.path.name} cannot be read: {error}"
            if main:  # what came after it can
                self._reached = _passed(found, self._clock())
                self._newest = None
            return True
        if opened.status.st_ino != found.inode:
            opened.close()
            return False
        if main:
            self._newest = opened
        self._old.append(_Old(opened, self._clock(), copy))
        if evidence and isinstance(opened, PackedLog):
            yield self._batch(opened.evidence, counted=False)
        elif evidence and isinstance(opened, OpenLog):
            yield from self._evidence(opened, opened.offset)
        yield from self._drain(opened)
        yield from self._let_go()
        return True

    def _open_old(self, found: Rotated, offset: int | None) -> Log:
        if found.is_compressed:
            return PackedLog(found, offset or 0, self._alive)
        opened = OpenLog.at(found.path)
        opened.go_to(_last_line(opened) if offset is None else offset)
        return opened

    def _evidence(self, opened: OpenLog, end: int) -> Steps:
        """Deliver what stands before ``end``, not to be counted."""
        earlier = OpenLog(os.dup(opened.descriptor), max(0, end - EVIDENCE_BYTES))
        try:
            while earlier.offset < end and (data := earlier.take()) is not None:
                beyond = max(0, earlier.offset - end)
                yield self._batch(data[: len(data) - beyond], counted=False)
        except CutError:
            pass  # found out, and dealt with, where it is read on
        finally:
            earlier.close()

    # reading on

    def _read_current(self, current: OpenLog) -> Steps:
        while True:
            if not current.offset and self._stamp(current) != self._unread_stamp:
                yield from self._read_copies(current)
                continue
            try:
                data = current.take()
            except CutError:
                yield from self._cut(current)
                continue
            if data is None:
                return
            yield self._batch(data)

    def _read_copies(self, current: OpenLog) -> Steps:
        """Read what was copied and cut before anything was read of it: nothing else tells."""
        self._unread_stamp = self._stamp(current)
        try:
            if not os.path.samestat(os.stat(self._path), current.status):
                return  # renamed: what is new came after it
        except OSError:
            return
        yield from self._catch_up(copies=True)
        if self._newest is not current:
            yield self._switch(current)

    def _stamp(self, current: OpenLog) -> tuple[int, int]:
        status = current.status
        return status.st_size, status.st_mtime_ns

    def _cut(self, current: OpenLog) -> Steps:
        """Read what was copied before a truncation, then what was written since."""
        known = current.mark()
        found = self._generations.find(known, self._apart()) if current.offset else None
        if found is None:
            self._gap = _CUT_GAP
        else:
            yield from self._take_up(found, current.offset, True, False, True)
            yield from self._catch_up(copies=True)
        current.rewind()
        yield self._switch(current)

    def _drain(self, opened: Log, final: bool = False) -> Steps:
        """Read a file that has the name no longer, as far as it goes now."""
        while True:
            try:
                data = opened.take(final)
            except DamagedError as error:
                self._gap = str(error)
                continue
            except CutError:
                self._gap = _CUT_GAP
                assert isinstance(opened, OpenLog)
                opened.rewind()
                continue
            if data is None:
                return
            yield self._batch(data)

    def _read_old(self) -> Steps:
        for old in self._old:
            before = old.log.offset
            yield from self._drain(old.log)
            if old.log.offset != before:
                old.since = self._clock()
        yield from self._let_go()

    def _let_go(self) -> Steps:
        """Close old files that say nothing any more."""
        for old in list(self._old):
            silent = self._clock() - old.since
            followed = old is not self._old[-1] or not old.log.status.st_nlink
            over = old.is_complete or len(self._old) > _OLD_KEPT
            if over or (silent >= LINGER_SECONDS and followed):
                yield from self._drain(old.log, final=True)
                mark = old.log.mark() | {"complete": True}
                if old.log is self._newest:
                    self._reached, self._newest = mark, None
                self._ended.append(ended(mark))
                self._old.remove(old)
                old.log.close()
                yield self._batch(b"")

    def _look(self) -> Generator[Batch | None, None, bool]:
        """Look who has the name now; tell whether there is more to read at once."""
        if self._log is not None and self._has_name(self._log):
            return False
        new = self._opened()
        if new is None:
            return False
        if self._log is not None:
            # what was written between the last look and the rename is still read
            yield from self._read_current(self._log)
            self._old.append(_Old(self._log, self._clock()))
        self._log = new
        if self._newest is not None or self._reached:
            yield from self._catch_up()
        yield self._switch(self._returned(new))
        return True

    def _returned(self, new: OpenLog) -> OpenLog:
        """Return the file that has the name: one of the old ones, if it has got it back."""
        for old in self._old:
            if isinstance(old.log, OpenLog) and os.path.samestat(old.log.status, new.status):
                self._old.remove(old)
                new.close()
                self._log = old.log
                return old.log
        return new

    def _has_name(self, current: OpenLog) -> bool:
        now = self._clock()
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            self._gone = self._gone or now
            self._seen = now
            if now - self._gone >= GONE_SECONDS:
                self._lost(FileNotFoundError(2, os.strerror(2)))
            return True  # renamed away and not there again yet: the old one may still grow
        except OSError as error:
            self._lost(error)
            return True
        if not os.path.samestat(status, current.status):
            return False
        self._is_seen()
        self._named = self._began
        return True

    def _opened(self) -> OpenLog | None:
        """Open the file that has the name; None, and told, when that cannot be."""
        try:
            opened = OpenLog.at(self._path)
        except OSError as error:
            self._gone = (self._gone or self._clock()) if error.errno == 2 else 0.0
            self._lost(error)
            return None
        self._is_seen()
        return opened

    def _is_seen(self) -> None:
        now = self._clock()
        if now - self._seen > STALE_SECONDS:
            self._away = True  # what was written meanwhile is of the past
        self._seen, self._gone = now, 0.0
        self.status.ok()

    def _lost(self, error: OSError) -> None:
        remedy = ""
        if isinstance(error, PermissionError):
            remedy = "; let the exporter's user read it, by group adm or an ACL"
        if self.status.lost(f"cannot read {self._path}: {error.strerror or error}{remedy}"):
            log.warning("%s: %s", self._name, self.status.problem)

    # what is told

    def _switch(self, current: OpenLog) -> Batch:
        """Go on in the file that has the name now, and save that."""
        if self._newest is not current:
            before = self._reached if self._newest is None else self._newest.mark()
            complete = self._newest is None  # an open one may still grow
            self._previous = ended(before, complete) if "inode" in before else {}
        self._newest, self._current, self._named = current, current, self._seen
        return self._batch(b"")

    def _batch(self, data: bytes, counted: bool = True) -> Batch:
        now = self._clock()
        if data:
            self.status.last_event = now
            if counted and self._away:
                self.status.behind()
        gap, fresh = self._gap if counted else "", self._fresh
        if counted:
            self._gap = ""
        self._fresh = False
        self.status.unread = self._unread()
        position = self._mark() if counted else None
        return Batch(self._name, (), counted, position, gap, fresh, data, now, self._unit)

    def _mark(self) -> dict[str, Any]:
        """Return the position reached."""
        if self._newest is not None:
            self._reached = self._newest.mark()
        now = self._clock()
        left = [
            old.log.mark() | {"silent": now - old.since >= LINGER_SECONDS}
            for old in self._old
            if old.log is not self._newest
        ]
        position = {**self._reached, "at": now, "named": self._named, "left": left}
        position |= {"ended": [*self._ended], "previous": self._previous}
        return position | {"behind": True} if self._away else position

    def _absent(self) -> dict[str, Any]:
        return {"absent": True, "offset": 0, "at": self._clock()}

    def _unread(self) -> int:
        return sum(opened.unread for opened in self.logs())

    def _apart(self) -> set[int]:
        return {opened.status.st_ino for opened in self.logs()}


def _passed(found: Rotated, now: float) -> dict[str, Any]:
    """Return a position that only names a file."""
    return {
        "passed": True, "complete": True, "inode": found.inode, "changed": found.changed,
        "offset": 0, "length": 0, "at": now,
    }  # fmt: skip


def _last_line(opened: OpenLog) -> int:
    """Return where the last line that has no end yet begins, or the end of the file."""
    size = opened.status.st_size
    begin = max(0, size - CHUNK)
    newline = os.pread(opened.descriptor, size - begin, begin).rfind(b"\n")
    return size if newline < 0 and begin else begin + newline + 1
