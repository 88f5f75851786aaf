"""Log files that grow: followed by name over rotation, truncation and absence.

A position is (device, inode, offset) and the first bytes of the file: an inode is used again after
a deletion, its content is not.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from badgateway.events import LINE_LIMIT, Batch, Line
from badgateway.sources import STALE_SECONDS, Position, Stopped, ThreadedSource, log
from badgateway.sources.rotation import HEAD_BYTES, holds, mark, mark_rotated, read_rotated, rotated

_CHUNK: Final = 256 * 1024
_EVIDENCE_BYTES: Final = 1024 * 1024
POLL_SECONDS: Final = 0.25


class FileSource(ThreadedSource):
    """Follows one file."""

    def __init__(self, name: str, path: Path, unit: str | None = None) -> None:
        """Follow ``path``; its lines are said to be of ``unit``, the name of a stream."""
        super().__init__(name)
        self._path = path
        self._unit = unit
        self._away = False
        self._born_late = False
        self._head = b""

    def read(self, position: Position | None) -> None:
        """Read until stopped or the file is gone; see ``ThreadedSource.read``."""
        try:
            descriptor = _open(self._path)
        except OSError as error:
            if position is None and isinstance(error, FileNotFoundError):
                self._born_late = True  # all that it will hold was written under our eyes
            remedy = ""
            if isinstance(error, PermissionError):
                remedy = "; let the exporter's user read it, by group adm or an ACL"
            if self.status.lost(f"cannot read {self._path}: {error.strerror or error}{remedy}"):
                log.warning("%s: %s", self.name, self.status.problem)
            return
        try:
            gap = ""
            if position is not None:
                # what was written meanwhile is of the past, however long that was
                self._away = time.time() - float(position.get("at", 0)) > STALE_SECONDS
                position, gap = self._resume(descriptor, position)
            elif self._born_late:
                position = mark(descriptor, 0)
            while True:
                self._follow(descriptor, position, gap)
                os.close(descriptor)
                descriptor = -1
                descriptor = _open(self._path)
                position, gap = mark(descriptor, 0), ""
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _resume(self, descriptor: int, position: Position) -> tuple[Position, str]:
        """Read what is left of the file read last, if another has its name now.

        Returns:
            Where to go on in the present file, and why something may be lost.
        """
        if holds(descriptor, position, os.fstat(descriptor).st_size):
            return position, ""
        gap = "the file read last is gone"
        for number, path in enumerate(rotated(self._path, position)):
            gap = ""
            self._deliver_rotated(path, 0 if number else int(position["offset"]))
        return mark(descriptor, 0), gap

    def _deliver_rotated(self, path: Path, offset: int) -> None:
        """Count the lines of a rotated file from ``offset`` on, one batch for each chunk."""
        rest, inside = b"", False
        begin = max(0, offset - 1)
        for number, read in enumerate(read_rotated(path, begin, _CHUNK)):
            chunk = read
            if offset > begin and not number:
                inside, chunk = read[:1] != b"\n", read[1:]
            offset += len(chunk)
            if inside:
                _, newline, chunk = chunk.partition(b"\n")
                inside = not newline
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            whole += newline
            if len(rest) >= _CHUNK:
                whole, rest, inside = whole + rest, b"", True
            reached = mark_rotated(path, offset - len(rest))
            self.deliver(Batch(self.name, self._lines(whole), True, reached))
        if rest:
            reached = mark_rotated(path, offset)
            self.deliver(Batch(self.name, self._lines(rest), True, reached))

    def _follow(self, descriptor: int, position: Position | None, gap: str) -> None:
        """Deliver what is written until another file has the name."""
        size = os.fstat(descriptor).st_size
        counted_from = size if position is None else int(position["offset"])
        begin = max(0, counted_from - _EVIDENCE_BYTES)
        self.status.ok()
        self._head = b""
        offset = self._drain(descriptor, begin, counted_from, gap=gap, fresh=True)
        if counted_from > begin:  # evidence alone does not say that counting has begun
            self._deliver(descriptor, b"", offset, True, "", False)
        self._away = False
        last = self._mark(descriptor, offset)
        while True:
            self.alive()
            self.stopping.wait(POLL_SECONDS)
            if self.stopping.is_set():
                raise Stopped
            size = os.fstat(descriptor).st_size
            if size != offset and not holds(descriptor, last, size):
                # truncated, perhaps after it was copied
                self._head = b""
                _, gap = self._resume(descriptor, last)
                offset = self._drain(descriptor, 0, 0, gap=gap)
                last = self._mark(descriptor, offset)
            elif size > offset:
                offset = self._drain(descriptor, offset, offset)
                last = self._mark(descriptor, offset)
            if self._replaced(descriptor):
                # what was written between the last look and the rename is still read
                self._drain(descriptor, offset, offset, final=True)
                return

    def _mark(self, descriptor: int, offset: int) -> Position:
        """Return the position at ``offset``, by the beginning of what was really read.

        A file cut between a read and this has another beginning by now.
        """
        length = min(offset, HEAD_BYTES)
        if len(self._head) < length:
            self._head = os.pread(descriptor, length, 0)
        return mark(descriptor, offset, self._head[:length])

    def _replaced(self, descriptor: int) -> bool:
        try:
            now = os.stat(self._path)
        except OSError:
            return False  # renamed away and not there again yet: the old one may still grow
        mine = os.fstat(descriptor)
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)

    def _drain(
        self,
        descriptor: int,
        offset: int,
        counted_from: int,
        gap: str = "",
        fresh: bool = False,
        final: bool = False,
    ) -> int:
        """Deliver whole lines from ``offset`` to the end; return where the next line begins.

        Of a line longer than a chunk the beginning is delivered and the rest is passed over: what
        stands in its middle must not be taken for a line.
        """
        first = True
        inside = offset > 0 and os.pread(descriptor, 1, offset - 1) != b"\n"
        while not self.stopping.is_set():
            limit = counted_from - offset if offset < counted_from else _CHUNK
            chunk = os.pread(descriptor, min(limit, _CHUNK), offset)
            counted = offset >= counted_from
            whole = chunk.rfind(b"\n") + 1
            passed = chunk.find(b"\n") + 1 if inside else 0
            if inside and not whole:
                whole = passed = len(chunk)
            if not whole and len(chunk) < _CHUNK and not (chunk and (final or not counted)):
                if first and (fresh or gap):
                    self._deliver(descriptor, b"", offset, counted, gap, fresh)
                self.status.unread = len(chunk)
                return offset
            whole = whole or len(chunk)
            offset += whole
            inside = chunk[whole - 1 : whole] != b"\n"
            self._deliver(descriptor, chunk[passed:whole], offset, counted, gap, fresh)
            first, gap, fresh = False, "", False
        raise Stopped

    def _deliver(
        self, descriptor: int, data: bytes, offset: int, counted: bool, gap: str, fresh: bool
    ) -> None:
        lines = self._lines(data)
        if lines and counted and self._away:
            self.status.behind()
        self.status.unread = max(0, os.fstat(descriptor).st_size - offset)
        position = self._mark(descriptor, offset) if counted else None
        self.deliver(Batch(self.name, lines, counted, position, gap, fresh))

    def _lines(self, data: bytes) -> tuple[Line, ...]:
        now = time.time()
        lines = tuple(_lines(data, now, self.name, self._unit))
        if lines:
            self.status.last_event = now
        return lines


def _open(path: Path) -> int:
    """Open a regular file for reading; never waits for the other end of a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return descriptor


def _lines(data: bytes, at: float, source: str, unit: str | None) -> Iterator[Line]:
    for raw in data.split(b"\n"):
        if raw:
            text = raw[:LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
            yield Line(at, text, source, unit)
