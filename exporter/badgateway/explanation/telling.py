"""From files to entries: reading, recognising and joining, in one pass over all files at once.

Files are read side by side in the order of their times, so that an error log and an access log of
the same request are near one another however long both are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from badgateway.explanation import reading
from badgateway.explanation.assembly import Assembly
from badgateway.explanation.recognition import Recogniser
from badgateway.explanation.same import Entry
from badgateway.explanation.story import Story

_TURN: Final = 500
"""Lines read of one file before another may have its turn."""
_ALONE_SECONDS: Final = 900.0
"""Seconds of log time that one file alone waits for lines about the same request."""

Progress = Callable[[str, int], None]
Problem = Callable[[str], None]


@dataclass(slots=True)
class _Reading:
    name: str
    lines: Iterator[tuple[int, str]]
    recogniser: Recogniser
    assembly: Assembly


class Telling:
    """Tells the story of some files."""

    def __init__(self, only: str | None, progress: Progress | None, problem: Problem) -> None:
        """Begin.

        Args:
            only: the dialect of every line; None to find out.
            progress: called now and then with a file's name and the bytes read of it.
            problem: called with what cannot be read, and why.
        """
        self._only = only
        self._progress = progress
        self._problem = problem
        self.read: dict[str, int] = {}
        self.unknown = 0

    def entries(self, files: list[tuple[str, BinaryIO]]) -> Iterator[Entry]:
        """Yield what happened; lines of files that break off are told up to there."""
        several = len(files) > 1
        story = Story(None if several else _ALONE_SECONDS, several)
        readings = [self._reading(name, file) for name, file in files]
        while readings:
            current = min(readings, key=lambda reading: reading.recogniser.latest)
            for _ in range(_TURN):
                line = self._next(current)
                if line is None:
                    for told in current.assembly.flush():
                        story.add(told)
                    self._end(current)
                    readings.remove(current)
                    break
                for told in current.assembly.feed(*line):
                    story.add(told)
            yield from story.ready()
        yield from story.rest()

    def _reading(self, name: str, file: BinaryIO) -> _Reading:
        recogniser = Recogniser(name, self._only)
        progress = self._progress
        lines = reading.numbered(
            name, file, (lambda done: progress(name, done)) if progress is not None else None
        )
        return _Reading(name, lines, recogniser, Assembly(recogniser))

    def _next(self, current: _Reading) -> tuple[int, str] | None:
        try:
            return next(current.lines, None)
        except reading.Unreadable as error:
            self._problem(str(error))
            return None

    def _end(self, current: _Reading) -> None:
        self.unknown += current.recogniser.unknown
        for name, count in current.recogniser.read.items():
            self.read[name] = self.read.get(name, 0) + count
