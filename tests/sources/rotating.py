"""A log that is written, rotated, cut and lost, in every way a host does it.

Time is the log's own, so that nothing waits; files bear it as their times.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip
UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress,
}  # fmt: skip


class RotatingLog:
    """One log in one directory, and its writer.

    Attributes:
        lines: how many were begun; their numbers are below it.
        spoilt: lines whose halves came into two files.
        out: the descriptor of the writer, negative while it has none.
    """

    KEPT = 9
    """Rotated files that are kept where they are numbered."""

    def __init__(self, place: Path, style: str, existing: int) -> None:
        """``existing`` lines are there already; no file if it is negative."""
        self.place, self.style = place, style
        self.log = place / "app.log"
        self.now = 1_790_000_000.0
        self.lines = 0
        self.half = b""
        self.spoilt: set[int] = set()
        self.unfinished: Path | None = None
        self.copied = 0
        self.out = -1
        if existing >= 0:
            self.reopen()
            self.write(existing)

    # ---- what a reader makes of it

    def begun(self, line: int) -> None:
        """Note that a line is being written."""

    def text(self, line: int) -> bytes:
        """Return a line as it is written."""
        return b"line %d end\n" % line

    def destroyed(self, path: Path) -> None:
        """Note that what a file holds is about to be gone."""

    # ---- the writer

    def write(self, number: int) -> None:
        """Write whole lines; one that was begun is ended first."""
        self.finish()
        for _ in range(number):
            self._append(self._line())

    def begin_line(self) -> None:
        """Write half a line."""
        if not self.half and self.out >= 0:
            line = self._line()
            cut = 1 + self.lines % (len(line) - 1)
            self._append(line[:cut])
            self.half = line[cut:]

    def finish(self) -> None:
        """Write the other half."""
        if self.half:
            half, self.half = self.half, b""
            self._append(half)

    def reopen(self) -> None:
        """Write to the file that has the name from now on, as after a signal."""
        self.finish()
        if self.log.is_dir():
            return
        if self.out >= 0:
            os.close(self.out)
        self.out = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.stamp(self.log)

    def is_writing(self, path: Path) -> bool:
        """Tell whether the writer has this file."""
        return self.out >= 0 and os.path.samestat(os.fstat(self.out), path.stat())

    def _line(self) -> bytes:
        self.lines += 1
        self.begun(self.lines - 1)
        return self.text(self.lines - 1)

    def _append(self, data: bytes) -> None:
        if self.out < 0:
            self.reopen()
        if self.out < 0:  # a directory has the name: what is written is nowhere
            self.spoilt.add(self.lines - 1)
            return
        os.write(self.out, data)
        os.utime(self.out, (self.now, self.now))
        if not os.fstat(self.out).st_nlink:
            self.spoilt.add(self.lines - 1)

    # ---- rotation

    def rotate(self) -> None:
        """Rename; nobody has the name until the writer reopens."""
        if self.log.is_file():
            self.log.rename(self._room())

    def rotate_and_create(self) -> None:
        """Rename and create anew, as logrotate does before it tells the writer."""
        if self.log.is_file():
            self.rotate()
            self.log.touch()
            self.stamp(self.log)

    def copy(self) -> None:
        """The first half of copytruncate; perhaps the second never comes."""
        if self.log.is_file():
            copied = self._room()
            shutil.copyfile(self.log, copied)
            self.stamp(copied)
            self.copied = self.log.stat().st_ino

    def cut(self) -> None:
        """The second half of copytruncate; what was written in between is lost."""
        if self.log.is_file() and self.log.stat().st_ino == self.copied:
            self.copied = 0
            self.truncate()

    def copy_and_cut(self) -> None:
        """Copytruncate, when nothing is written in between."""
        self.copy()
        self.cut()

    def compress(self) -> None:
        """Pack the newest file that is not packed yet; the writer is done with it."""
        self.end_compression()
        for path in self._plain():
            kind = (*PACKERS,)[self.lines % 3]
            self._pack(path, kind)
            return

    def compress_all_but_the_newest(self) -> None:
        """As logrotate with delaycompress."""
        self.end_compression()
        for path in self._plain()[1:]:
            self._pack(path, ".gz")

    def begin_compression(self) -> None:
        """Be in the middle of it: the packed file is there, and unfinished."""
        if self.unfinished is None:
            for path in self._plain():
                packed = gzip.compress(path.read_bytes())
                path.with_name(path.name + ".gz").write_bytes(packed[: len(packed) // 2])
                self.unfinished = path
                return

    def end_compression(self) -> None:
        path, self.unfinished = self.unfinished, None
        if path is not None and path.exists():
            self._pack(path, ".gz")

    def expire(self) -> None:
        """Delete the oldest rotated file, as by maxage."""
        self.end_compression()
        found = [path for path in self.place.iterdir() if path != self.log]
        for path in sorted(found, key=lambda path: path.stat().st_mtime)[:1]:
            self._delete(path)

    def truncate(self) -> None:
        """Cut it, with nothing kept."""
        if self.log.is_file():
            self.destroyed(self.log)
            self._spoil_half(self.log)
            os.truncate(self.log, 0)
            self.stamp(self.log)

    def truncate_and_outgrow(self) -> None:
        """Cut it and write more to it than it held, before anybody looks."""
        if self.log.is_file():
            size = self.log.stat().st_size
            self.truncate()
            while self.is_writing(self.log) and self.log.stat().st_size <= size:
                self.write(1)

    def vanish(self) -> None:
        """Delete it; the writer goes on in a new one."""
        if self.log.is_file():
            self.finish()
            mine = self.is_writing(self.log)
            self._delete(self.log)
            if mine:
                os.close(self.out)
                self.out = -1

    def become_a_directory(self) -> None:
        if self.log.is_file():
            self.rotate()
            self.log.mkdir()

    def become_a_file_again(self) -> None:
        if self.log.is_dir():
            self.log.rmdir()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def stamp(self, path: Path) -> None:
        os.utime(path, (self.now, self.now))

    def files(self) -> list[Path]:
        """Return all files but a packed one that is not finished."""
        half = f"{self.unfinished.name}.gz" if self.unfinished else ""
        return [path for path in self.place.iterdir() if path.is_file() and path.name != half]

    def close(self) -> None:
        if self.out >= 0:
            os.close(self.out)

    def _room(self) -> Path:
        """Return the name to rotate to, and make room for it."""
        self.end_compression()
        if self.style == "dates":
            return self.place / f"app.log-20261121-{self.now * 1000:.0f}"
        if self.style == "caddy":
            second = int(self.now) % 86400
            clock = f"{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}"
            clock += f".{int(self.now * 1000) % 1000:03}"
            return self.place / f"app-2026-11-21T{clock}-size.log"
        for number in range(self.KEPT, 0, -1):
            for path in self.place.glob(f"app.log.{number}*"):
                ending = path.name.removeprefix(f"app.log.{number}")
                if ending and ending not in PACKERS:
                    continue
                if number == self.KEPT:
                    self._delete(path)
                else:
                    path.rename(self.place / f"app.log.{number + 1}{ending}")
        return self.place / "app.log.1"

    def _plain(self) -> list[Path]:
        """Return rotated files that nobody writes to and are not packed, newest first."""
        found = [
            path
            for path in self.place.iterdir()
            if path != self.log and path.suffix not in PACKERS and not self.is_writing(path)
        ]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _pack(self, path: Path, kind: str) -> None:
        times = path.stat()
        packed = path.with_name(path.name + kind)
        packed.write_bytes(PACKERS[kind](path.read_bytes()))
        if self.style == "caddy":  # its files bear the time at which they were packed
            self.stamp(packed)
        else:
            os.utime(packed, (times.st_atime, times.st_mtime))
        path.unlink()

    def _delete(self, path: Path) -> None:
        self.destroyed(path)
        self._spoil_half(path)
        path.unlink()

    def _spoil_half(self, path: Path) -> None:
        """A line whose halves are in two files is none any more."""
        if self.half and self.is_writing(path):
            self.spoilt.add(self.lines - 1)


def content(path: Path) -> bytes:
    """Return what a file holds, unpacked."""
    data = path.read_bytes()
    return UNPACKERS[path.suffix](data) if path.suffix in UNPACKERS else data


def held(path: Path) -> set[int]:
    """Return the lines a file holds."""
    return {int(n) for n in re.findall(rb"^line (\d+) end$", content(path), re.MULTILINE)}
