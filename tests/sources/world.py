"""A rotating log and a reader of it that is killed, and what must hold of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from badgateway import state
from badgateway.counters import Counters
from badgateway.events import Batch, lines_of
from badgateway.sources.family import LINGER_SECONDS
from badgateway.sources.following import Follower
from tests.sources.rotating import RotatingLog, content, held

SOURCE = "web-log"
LINE = re.compile(r"line (\d+) end")


class World(RotatingLog):
    """One log, its writer and its reader.

    Attributes:
        counted: line → how often it was counted, as far as the living reader knows.
        before: lines that were there at the first start, and must not be counted.
        due: lines that must be counted once, whatever happens.
        expected: those that must be if the reader lives until its first checkpoint.
        doomed: lines that were destroyed before it was durable that they were counted.
        owed: of what was destroyed in a file of which something was read: which lines, and how
            many gaps were durable then; if one of them is lost, one more must be told.
        excuses: how many gaps may be told.
    """

    def __init__(self, place: Path, style: str, existing: int) -> None:
        self.counted: Counter[int] = Counter()
        self.before: set[int] = set()
        self.due: set[int] = set()
        self.expected: set[int] = set()
        self.doomed: set[int] = set()
        self.owed: list[tuple[set[int], float]] = []
        self.excuses = 0
        self.told: list[str] = []
        self.counters = Counters()
        self.position: dict[str, object] | None = None
        self.durable: tuple[bytes, Counter[int]] = (state.encode(state.Document()), Counter())
        self.durable_gaps = 0.0
        self.scraped: dict[tuple[str, tuple[str, ...]], float] = {}
        self.steps: Iterator[Batch | None] | None = None
        self.follower: Follower | None = None
        self.has_begun = False
        self.silent: dict[tuple[int, float], float] = {}
        self.quiet: set[tuple[int, float]] = set()
        self.settled: set[tuple[int, float]] = set()
        super().__init__(place, style, existing)

    # ---- what is written and destroyed

    def begun(self, line: int) -> None:
        if self.is_durable:
            self.due.add(line)
        elif self.has_begun:
            self.expected.add(line)

    def destroyed(self, path: Path) -> None:
        lines = held(path)
        others = [other for other in self.files() if other != path]
        kept = set[int]().union(*(held(other) for other in others))
        read = set(self.durable[1]) | self.before
        lost = lines - kept - read
        self.doomed |= lost
        if lost and (lines - kept) & read:
            self.owed.append((lost, self.durable_gaps))
        status = path.stat()
        if (status.st_ino, status.st_mtime) in self.settled:
            return  # nothing more was expected of it
        data = content(path)
        if not data or not any(content(other) == data for other in others):
            self.excuses += 1

    # ---- the reader

    @property
    def is_durable(self) -> bool:
        """Whether a position was saved."""
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
        self.has_begun = self.position is not None

    def kill(self) -> None:
        """Whatever was not committed is forgotten."""
        if self.follower is not None:
            self.follower.close()
        self.follower = self.steps = None
        self.has_begun = False
        self.silent.clear()
        self.quiet = set()
        if not self.is_durable:
            self.expected.clear()

    def step(self) -> bool:
        """Read once; tell whether there was something to read."""
        if self.steps is None:
            return False
        if not self.has_begun:
            self.before = set(range(self.lines - bool(self.half)))
        batch = next(self.steps)
        if batch is None:
            self._note_silence()
            return False
        self.has_begun = True
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
        self.durable_gaps = self.gaps
        if positions:
            self.due |= self.expected
        self.settled |= self.quiet
        self.counters.publish(snapshot)

    def scrape(self) -> None:
        """No series ever steps back."""
        if self.steps is None:
            return
        now = {(name, key): value for name, rows in self.counters.exposed() for key, value in rows}
        for series, value in self.scraped.items():
            assert now.get(series, -1.0) >= value, f"{series} stepped back"
        self.scraped = now

    def _note_silence(self) -> None:
        """Note since when which rotated files were read to their ends and not written to."""
        found = set()
        for path in self.files():
            status = path.stat()
            if path == self.log or self.is_writing(path):
                continue
            found.add((status.st_ino, status.st_mtime))
        self.silent = {file: self.silent.get(file, self.now) for file in found}
        self.quiet = {f for f, since in self.silent.items() if self.now - since > LINGER_SECONDS}

    # ---- what must hold

    @property
    def gaps(self) -> float:
        """How many gaps were told."""
        return self.counters.value("source_gaps_total", (SOURCE,))

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
        lost = self.due - set(self.counted) - self.spoilt - self.before
        assert lost <= self.doomed, f"lost: {lost - self.doomed}"
        for lines, told in self.owed:
            assert not lines & lost or self.gaps > told, f"not told: {lines & lost}"
        assert self.gaps <= self.excuses, f"told without a cause: {self.told}"

    def close(self) -> None:
        self.kill()
        super().close()
