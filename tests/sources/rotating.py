"""A log that is written, rotated, cut and lost, a reader of it that is killed, and what must hold.

Time is the world's own, so that nothing waits; files bear it as their times.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from badgateway import state
from badgateway.counters import Counters
from badgateway.events import Batch, lines_of
from badgateway.sources.following import Follower

SOURCE = "web-log"
LINE = re.compile(r"line (\d+) end")
KEPT = 9
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip
UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress,
}  # fmt: skip


class World:
    """One log in one directory, its writer and its reader.

    Attributes:
        counted: line → how often it was counted, as far as the living reader knows.
        due: lines that must be counted once, whatever happens.
        doomed: lines that were destroyed before it was durable that they were counted.
        hidden: those of them in files of which nothing had been read: no reader can know of them.
        excused: whether something happened that may be told as a gap.
    """

    def __init__(self, place: Path, style: str, existing: int) -> None:
        self.place = place
        self.style, _, how = style.partition(" ")
        self.copies = how == "copied"
        self.log = place / "app.log"
        self.now = 1_790_000_000.0
        self.lines = 0
        self.half = b""
        self.due: set[int] = set()
        self.doomed: set[int] = set()
        self.hidden: set[int] = set()
        self.excused = False
        self.told: list[str] = []
        self.counted: Counter[int] = Counter()
        self.counters = Counters()
        self.position: dict[str, object] | None = None
        self.durable: tuple[bytes, Counter[int]] = (state.encode(state.Document()), Counter())
        self.scraped: dict[tuple[str, tuple[str, ...]], float] = {}
        self.steps: Iterator[Batch | None] | None = None
        self.follower: Follower | None = None
        self.unfinished: Path | None = None
        self.out = -1
        if existing >= 0:
            self.reopen()
            for _ in range(existing):
                self.write(1)
        self.before = set(range(self.lines))

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
            self._append(self.half)
            self.half = b""

    def reopen(self) -> None:
        """Write to the file that has the name from now on, as after a signal."""
        self.finish()
        if self.log.is_dir():
            return
        if self.out >= 0:
            os.close(self.out)
        self.out = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._stamp(self.log)

    def _line(self) -> bytes:
        self.lines += 1
        if self.position_is_durable:
            self.due.add(self.lines - 1)
        return b"line %d end\n" % (self.lines - 1)

    def _append(self, data: bytes) -> None:
        if self.out < 0:
            self.reopen()
        os.write(self.out, data)
        os.utime(self.out, (self.now, self.now))

    # ---- rotation

    def rotate(self) -> None:
        """Rename; nobody has the name until the writer reopens."""
        if self.copies:
            self._copy_and_truncate()
        elif self.log.is_file():
            self.log.rename(self._room())

    def rotate_and_create(self) -> None:
        """Rename and create anew, as logrotate does before it tells the writer."""
        if self.log.is_file():
            self.rotate()
            if not self.copies:
                self.log.touch()
                self._stamp(self.log)

    def _copy_and_truncate(self) -> None:
        if self.log.is_file():
            copied = self._room()
            shutil.copyfile(self.log, copied)
            self._stamp(copied)
            self._spoil_half()
            os.truncate(self.log, 0)
            self._stamp(self.log)

    def compress(self) -> None:
        """Pack the newest file that is not packed yet; the writer is done with it."""
        self.end_compression()
        for path in self._plain():
            kind = (*PACKERS,)[self.lines % 3]
            self._pack(path, kind)
            return

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

    def truncate(self) -> None:
        """Cut it, with nothing kept."""
        if self.log.is_file():
            self._destroyed(self.log)
            self._spoil_half()
            os.truncate(self.log, 0)
            self._stamp(self.log)

    def vanish(self) -> None:
        """Delete it; the writer goes on in a new one."""
        if self.log.is_file():
            self.finish()
            self._destroyed(self.log)
            written = os.fstat(self.out) if self.out >= 0 else None
            mine = written is not None and os.path.samestat(written, self.log.stat())
            self.log.unlink()
            if mine:
                os.close(self.out)
                self.out = -1

    def become_a_directory(self) -> None:
        if self.log.is_file() and not self.copies:
            self.rotate()
            self.log.mkdir()

    def become_a_file_again(self) -> None:
        if self.log.is_dir():
            self.log.rmdir()

    def _room(self) -> Path:
        """Return the name to rotate to, and make room for it.

        The writer has been told of the rotation before, by now.
        """
        if self.out >= 0 and not os.path.samestat(os.fstat(self.out), self.log.stat()):
            self.reopen()
        self.end_compression()
        if self.style == "dates":
            return self.place / f"app.log-20261121-{self.now:.0f}"
        if self.style == "caddy":
            second = int(self.now) % 86400
            clock = f"{second // 3600:02}-{second // 60 % 60:02}-{second % 60:02}"
            return self.place / f"app-2026-11-21T{clock}.000-size.log"
        for number in range(KEPT, 0, -1):
            for path in self.place.glob(f"app.log.{number}*"):
                ending = path.name.removeprefix(f"app.log.{number}")
                if ending and ending not in PACKERS:
                    continue
                if number == KEPT:
                    self._destroyed(path)
                    path.unlink()
                else:
                    path.rename(self.place / f"app.log.{number + 1}{ending}")
        return self.place / "app.log.1"

    def _plain(self) -> list[Path]:
        """Return rotated files that nobody writes to and are not packed, newest first."""
        writes = os.fstat(self.out).st_ino if self.out >= 0 else 0
        found = [
            path
            for path in self.place.iterdir()
            if path != self.log and path.suffix not in PACKERS and path.stat().st_ino != writes
        ]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _pack(self, path: Path, kind: str) -> None:
        times = path.stat()
        packed = path.with_name(path.name + kind)
        packed.write_bytes(PACKERS[kind](path.read_bytes()))
        if self.style == "caddy":  # its files bear the time at which they were packed
            self._stamp(packed)
        else:
            os.utime(packed, (times.st_atime, times.st_mtime))
        path.unlink()

    def _destroyed(self, path: Path) -> None:
        self.excused = True
        held = _held(path)
        kept: set[int] = set()
        for other in self.place.iterdir():
            if other != path and other.is_file() and other.name != self._half_packed():
                kept |= _held(other)
        durable = set(self.durable[1])
        lost = held - kept - durable
        self.doomed |= lost
        if not held & durable:
            self.hidden |= lost

    def _half_packed(self) -> str:
        return f"{self.unfinished.name}.gz" if self.unfinished else ""

    def _spoil_half(self) -> None:
        if self.half:  # its halves are in two files now: no line any more
            self.due.discard(self.lines - 1)

    def _stamp(self, path: Path) -> None:
        os.utime(path, (self.now, self.now))

    # ---- the reader

    @property
    def position_is_durable(self) -> bool:
        return SOURCE in state.decode(self.durable[0]).positions

    def start(self) -> None:
        if self.steps is not None:
            return
        saved, counted = self.durable
        document = state.decode(saved)
        self.counted = counted.copy()
        self.counters = Counters(lambda: self.now)
        self.counters.restore(document.snapshot())
        self.position = document.positions.get(SOURCE)
        self.follower = Follower(SOURCE, self.log, self.position, clock=lambda: self.now)
        self.steps = self.follower.batches()

    def kill(self) -> None:
        """Whatever was not committed is forgotten."""
        if self.follower is not None:
            self.follower.close()
        self.follower = self.steps = None

    def step(self) -> bool:
        """Read once; tell whether there was something to read."""
        if self.steps is None:
            return False
        batch = next(self.steps)
        if batch is None:
            return False
        if batch.counted:
            for line in lines_of(batch):
                whole = LINE.fullmatch(line.text)
                if whole:
                    self.counted[int(whole[1])] += 1
                    self.counters.add("log_lines_total", (SOURCE, "event"))
        if batch.gap:
            self.told.append(batch.gap)
            self.counters.add("source_gaps_total", (SOURCE,))
        if batch.position is not None:
            self.position = dict(batch.position)
        return True

    def read_all(self) -> None:
        for _ in range(300):
            if not self.step():
                return
        raise AssertionError("it reads without end")

    def commit(self) -> None:
        if self.steps is None:
            return
        snapshot = self.counters.snapshot()
        positions = {SOURCE: self.position} if self.position is not None else {}
        saved = state.encode(state.document(snapshot, positions, {}))
        self.durable = saved, self.counted.copy()
        self.counters.publish(snapshot)

    def scrape(self) -> None:
        """No series ever steps back."""
        if self.steps is None:
            return
        now = {(name, key): value for name, rows in self.counters.exposed() for key, value in rows}
        for series, value in self.scraped.items():
            assert now.get(series, -1.0) >= value, f"{series} stepped back"
        self.scraped = now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def pass_long(self) -> None:
        """No writer leaves a line half for so long."""
        self.finish()
        self.pass_time(100)

    # ---- what must hold

    def settle(self) -> None:
        """Let everything come to an end."""
        self.become_a_file_again()
        self.start()
        self.reopen()
        for _ in range(3):
            self.read_all()
            self.pass_time(40)
        self.commit()
        self.scrape()

    def check(self) -> None:
        """None is lost, none doubled, and what had to be lost is told."""
        doubled = {line for line, times in self.counted.items() if times > 1}
        assert not doubled, f"counted twice: {doubled}"
        assert not self.before & set(self.counted), "counted what was there before"
        lost = self.due - set(self.counted)
        assert lost <= self.doomed, f"lost: {lost - self.doomed}"
        gaps = self.counters.value("source_gaps_total", (SOURCE,))
        assert gaps or not lost - self.hidden, f"not told: {lost - self.hidden}"
        assert self.excused or not gaps, f"told without a cause: {self.told}"

    def close(self) -> None:
        self.kill()
        if self.out >= 0:
            os.close(self.out)


def _held(path: Path) -> set[int]:
    """Return the lines a file holds."""
    data = path.read_bytes()
    data = UNPACKERS[path.suffix](data) if path.suffix in UNPACKERS else data
    return {int(number) for number in re.findall(rb"^line (\d+) end$", data, re.MULTILINE)}
