"""A compressed log file: read forward once, by whole lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from badgateway.sources.marks import SAMPLE_BYTES, Mark, mark
from badgateway.sources.openlog import CHUNK, whole_lines
from badgateway.sources.rotation import DAMAGED, opened, skip

_EVIDENCE: Final = 1024 * 1024


class DamagedError(Exception):
    """What comes next in a compressed file cannot be unpacked."""


class PackedLog:
    """One compressed file and how far it was read; the like of ``OpenLog`` for what never grows."""

    def __init__(self, path: Path, offset: int, alive: Callable[[], None]) -> None:
        """Go on at ``offset`` of what it unpacks to; ``alive`` is called often meanwhile.

        Raises:
            OSError: it cannot be read, or not unpacked.
            DamagedError: it is damaged before the offset.
        """
        self.offset = offset
        self._alive = alive
        self._rest, self._ended = b"", False
        self._file = opened(path)
        try:
            self.status = os.fstat(self._file.fileno())
            self._head = self._file.read(min(offset, SAMPLE_BYTES))
            skip(self._file, offset - len(self._head) - _EVIDENCE, alive)
            before = self._file.read(max(0, min(offset - len(self._head), _EVIDENCE)))
        except DAMAGED as error:
            self._file.close()
            raise DamagedError(f"{path.name} is damaged: {error}") from error
        self.evidence = before if offset > SAMPLE_BYTES else self._head
        """What stands before the offset, at most 1 MiB of it."""
        self._tail = self.evidence[-SAMPLE_BYTES:]
        self._inside = bool(self._tail) and not self._tail.endswith(b"\n")

    def close(self) -> None:
        """Let it go."""
        self._file.close()

    @property
    def unread(self) -> int:
        """Bytes of the compressed file not unpacked yet, about."""
        return 0 if self._ended else max(0, self.status.st_size - self._position())

    def take(self, final: bool = False) -> bytes | None:
        """Return the whole lines that come next, None at the end; see ``OpenLog.take``.

        Raises:
            DamagedError: what comes next cannot be unpacked.
        """
        self._alive()
        while not self._ended and len(self._rest) < CHUNK:
            try:
                read = self._file.read1(CHUNK)
            except DAMAGED as error:
                self._ended = True
                self._rest = self._rest[: self._rest.rfind(b"\n") + 1]  # half a line is none
                raise DamagedError(f"a compressed file is damaged: {error}") from error
            self._ended = not read
            self._rest += read
        chunk = self._rest[:CHUNK]
        whole, passed = whole_lines(chunk, self._inside, final)
        if not whole:
            return None
        taken, self._rest = chunk[:whole], self._rest[whole:]
        self._head = (self._head + taken[:SAMPLE_BYTES])[:SAMPLE_BYTES]
        self._tail = (self._tail + taken[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        self._inside = not taken.endswith(b"\n")
        self.offset += whole
        return taken[passed:]

    def mark(self) -> Mark:
        """Return the position reached."""
        return mark(self.status, self.offset, self._head, self._tail)

    def _position(self) -> int:
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
