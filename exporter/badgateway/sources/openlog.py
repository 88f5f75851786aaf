"""An open log file: read forward by whole lines, and never past what was really there.

What was read last is remembered by its bytes, those at the beginning of the file and those before
the offset: a file that was cut and written anew has others, even when it is as long as before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from badgateway.sources.marks import SAMPLE_BYTES, Mark, fits, mark

CHUNK: Final = 256 * 1024
"""Bytes read at a time; a line longer than this is cut."""

LARGE_CHUNK: Final = 512 * 1024
"""Bytes read at a time when more than this is left: each hand-over has its price."""


def whole_lines(chunk: bytes, inside: bool, final: bool) -> tuple[int, int]:
    """Return how many bytes of what was read are taken, and how many of those are passed over.

    Args:
        chunk: what was read; from ``CHUNK`` bytes on a line without an end is cut.
        inside: whether it begins in the middle of a line whose beginning was taken.
        final: whether what has no end yet will never have one.
    """
    whole, passed = chunk.rfind(b"\n") + 1, 0
    if inside:
        passed = chunk.find(b"\n") + 1 or len(chunk)
        whole = whole or len(chunk)
    if not whole and (final or len(chunk) >= CHUNK):
        whole = len(chunk)
    return whole, passed


class CutError(Exception):
    """What was read of a file is no longer in it."""


class OpenLog:
    """One open log file and how far it was read."""

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        """Go on at ``offset``, the beginning of a line or the middle of one that was cut short."""
        self.descriptor = descriptor
        self.go_to(offset)

    def go_to(self, offset: int) -> None:
        """Go on at another offset; what stands before it is taken for read."""
        self.offset = offset
        descriptor = self.descriptor
        self._head = os.pread(descriptor, min(offset, SAMPLE_BYTES), 0)
        before = min(offset, SAMPLE_BYTES)
        self._tail = os.pread(descriptor, before, offset - before)
        self._inside = bool(self._tail) and not self._tail.endswith(b"\n")

    @classmethod
    def at(cls, path: Path) -> OpenLog:
        """Open a regular file at its beginning; never waits for the other end of a pipe.

        Raises:
            OSError: it cannot be read or is no regular file.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(0, "not a regular file")
        return cls(descriptor)

    def close(self) -> None:
        """Let it go."""
        os.close(self.descriptor)

    @property
    def unread(self) -> int:
        """Bytes behind the offset."""
        return max(0, os.fstat(self.descriptor).st_size - self.offset)

    @property
    def status(self) -> os.stat_result:
        """What the file system knows of it."""
        return os.fstat(self.descriptor)

    def take(self, final: bool = False) -> bytes | None:
        """Return the whole lines that come next, None when there are none.

        Of a line longer than what is read at a time the beginning is returned and the rest is
        passed over: what stands in its middle must not be taken for a line. A part that is only
        passed over is returned as no bytes.

        Args:
            final: whether what has no end yet will never have one, and is a line too.

        Raises:
            CutError: the file was truncated, or written anew, since it was read last.
        """
        limit = LARGE_CHUNK if self.unread > LARGE_CHUNK else CHUNK
        chunk = os.pread(self.descriptor, limit, self.offset)
        if self.is_cut():  # asked after it was read: what was cut before is not taken
            raise CutError
        whole, passed = whole_lines(chunk, self._inside, final)
        if not whole:
            return None
        read = chunk[:whole]
        if len(self._head) < SAMPLE_BYTES:
            self._head = (self._head + read)[:SAMPLE_BYTES]
        self._tail = (self._tail + read[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        self._inside = not read.endswith(b"\n")
        self.offset += whole
        return read[passed:]

    def is_cut(self) -> bool:
        """Tell whether what was read is no longer there."""
        if os.fstat(self.descriptor).st_size < self.offset:
            return True
        tail = os.pread(self.descriptor, len(self._tail), self.offset - len(self._tail))
        return tail != self._tail or (
            self.offset > SAMPLE_BYTES
            and os.pread(self.descriptor, len(self._head), 0) != self._head
        )

    def mark(self) -> Mark:
        """Return the position reached."""
        return mark(self.status, self.offset, self._head, self._tail)

    def continues(self, known: Mapping[str, Any]) -> bool:
        """Tell whether a file holds what was read up to a position, whatever its inode."""
        offset, length = int(known["offset"]), int(known.get("length", 0))
        if self.status.st_size < offset:
            return False
        before = min(offset, SAMPLE_BYTES)
        head = os.pread(self.descriptor, length, 0)
        return fits(known, head, os.pread(self.descriptor, before, offset - before))
