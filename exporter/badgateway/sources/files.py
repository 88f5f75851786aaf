"""Log files that grow: followed by name over rotation, truncation and absence.

A position is (device, inode, offset) and the first bytes of the file: an inode is used again after
a deletion, its content is not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from badgateway.events import LINE_LIMIT, Batch, Line
from badgateway.sources import STALE_SECONDS, Position, Stopped, ThreadedSource, log

_CHUNK: Final = 256 * 1024
_EVIDENCE_BYTES: Final = 1024 * 1024
_HEAD_BYTES: Final = 256
POLL_SECONDS: Final = 0.25


class FileSource(ThreadedSource):
    """Follows one file."""

    def __init__(self, name: str, path: Path, unit: str | None = None) -> None:
        """Follow ``path``; its lines are said to be of ``unit``, the name of a stream."""
        super().__init__(name)
        self._path = path
        self._unit = unit
        self._away = False

    def read(self, position: Position | None) -> Position | None:
        """Read until stopped or the file is gone; see ``ThreadedSource.read``."""
        try:
            descriptor = _open(self._path)
        except OSError as error:
            if self.status.lost(f"cannot read {self._path}: {error.strerror or error}"):
                log.warning("%s: %s", self.name, self.status.problem)
            return position
        gap = ""
        if position is not None:
            # what was written meanwhile is of the past, however long that was
            self._away = time.time() - float(position.get("at", 0)) > STALE_SECONDS
            descriptor, position, gap = self._resume(descriptor, position)
        while True:
            try:
                self._follow(descriptor, position, gap)
            finally:
                os.close(descriptor)
            descriptor = _open(self._path)
            position, gap = _position(descriptor, 0), ""

    def _resume(self, descriptor: int, position: Position) -> tuple[int, Position | None, str]:
        """Read what was left of a file rotated while nobody looked; then go on with the new one."""
        if _is(descriptor, position):
            return descriptor, position, ""
        for sibling in sorted(self._path.parent.glob(self._path.name + "*")):
            try:
                old = _open(sibling)
            except OSError:
                continue
            try:
                if _is(old, position):
                    self._drain(old, int(position["offset"]), counted_from=int(position["offset"]))
                    return descriptor, _position(descriptor, 0), ""
            finally:
                os.close(old)
        return descriptor, _position(descriptor, 0), "the file read last is gone"

    def _follow(self, descriptor: int, position: Position | None, gap: str) -> None:
        """Deliver what is written until another file has the name."""
        size = os.fstat(descriptor).st_size
        counted_from = size if position is None else int(position["offset"])
        begin = max(0, counted_from - _EVIDENCE_BYTES)
        self.status.ok()
        offset = self._drain(descriptor, begin, counted_from, gap=gap, fresh=True)
        self._away = False
        while True:
            self.stopping.wait(POLL_SECONDS)
            if self.stopping.is_set():
                raise Stopped
            size = os.fstat(descriptor).st_size
            if size < offset:
                offset = self._drain(descriptor, 0, 0, gap="the file was truncated")
            elif size > offset:
                offset = self._drain(descriptor, offset, offset)
            if self._replaced(descriptor):
                # what was written between the last look and the rename is still read
                self._drain(descriptor, offset, offset, final=True)
                return

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
        """Deliver whole lines from ``offset`` to the end; return where the next line begins."""
        first = True
        while not self.stopping.is_set():
            limit = counted_from - offset if offset < counted_from else _CHUNK
            chunk = os.pread(descriptor, min(limit, _CHUNK), offset)
            counted = offset >= counted_from
            whole = chunk.rfind(b"\n") + 1
            if not whole and len(chunk) < _CHUNK and not (chunk and (final or not counted)):
                if first and (fresh or gap):
                    self._deliver(descriptor, b"", offset, counted, gap, fresh)
                self.status.unread = len(chunk)
                return offset
            whole = whole or len(chunk)
            offset += whole
            self._deliver(descriptor, chunk[:whole], offset, counted, gap, fresh)
            first, gap, fresh = False, "", False
        raise Stopped

    def _deliver(
        self, descriptor: int, data: bytes, offset: int, counted: bool, gap: str, fresh: bool
    ) -> None:
        now = time.time()
        lines = tuple(_lines(data, now, self.name, self._unit))
        if lines:
            self.status.last_event = now
            if counted and self._away:
                self.status.behind()
        self.status.unread = max(0, os.fstat(descriptor).st_size - offset)
        position = _position(descriptor, offset) if counted else None
        self.deliver(Batch(self.name, lines, counted, position, gap, fresh))


def _open(path: Path) -> int:
    """Open a regular file for reading; never waits for the other end of a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return descriptor


def _head(descriptor: int, length: int) -> str:
    return hashlib.sha256(os.pread(descriptor, length, 0)).hexdigest()[:16]


def _position(descriptor: int, offset: int) -> dict[str, Any]:
    status = os.fstat(descriptor)
    length = min(offset, _HEAD_BYTES)
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "offset": offset,
        "length": length,
        "head": _head(descriptor, length),
        "at": time.time(),
    }


def _is(descriptor: int, position: Position) -> bool:
    """Tell whether an open file is the one a position was taken in, and still holds it."""
    status = os.fstat(descriptor)
    return (
        status.st_ino == position.get("inode")
        and status.st_size >= int(position["offset"])
        and _head(descriptor, int(position.get("length", 0))) == position.get("head")
    )


def _lines(data: bytes, at: float, source: str, unit: str | None) -> Iterator[Line]:
    for raw in data.split(b"\n"):
        if raw:
            text = raw[:LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
            yield Line(at, text, source, unit)
