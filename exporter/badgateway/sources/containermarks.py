"""Up to where a container's log is counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from badgateway.sources import Position
from badgateway.sources.containerframes import Message

_LAG: Final = 5 * 10**9
"""How far one stream's last line may lie behind the other's and unread ones still follow it."""


@dataclass(slots=True)
class Marks:
    """Up to where the streams of one container are counted: (nanosecond, lines of it)."""

    streams: dict[int, tuple[int, int]]

    @classmethod
    def at(cls, nanosecond: int) -> Marks:
        """Everything before a moment is counted."""
        return cls({1: (nanosecond, 0), 2: (nanosecond, 0)})

    @classmethod
    def of(cls, position: Position) -> Marks:
        """Take up a saved position."""
        return cls({n: (int(at), int(lines)) for n, (at, lines) in _pairs(position)})

    def saved(self) -> dict[str, list[int]]:
        """Return what a position holds."""
        return {str(stream): list(mark) for stream, mark in self.streams.items()}

    @property
    def begin(self) -> int:
        """From when on there may be lines that are not counted."""
        times = [at for at, _ in self.streams.values()]
        return max(min(times), max(times) - _LAG)

    @property
    def newest(self) -> int:
        """When the last line was written that is counted."""
        return max(at for at, _ in self.streams.values())


class Unread:
    """Passes over what is counted, once from the beginning of each answer."""

    def __init__(self, marks: Marks) -> None:
        """``marks`` go on with what passes."""
        self._marks = marks
        self._left = {stream: lines for stream, (_, lines) in marks.streams.items()}
        self._before = dict(marks.streams)

    def passes(self, message: Message) -> bool:
        """Tell whether a line is to be counted; it then is."""
        stream, at = message.stream, message.at
        known, _ = self._before[stream]
        if at < known:
            return False
        if at == known and self._left[stream]:
            self._left[stream] -= 1
            return False
        last, lines = self._marks.streams[stream]
        self._marks.streams[stream] = (at, lines + 1 if at == last else 1)
        return True


def _pairs(position: Position) -> Iterator[tuple[int, tuple[int, int]]]:
    saved = position.get("streams")
    given = saved if isinstance(saved, Mapping) else {}
    for stream in (1, 2):
        at, lines = given.get(str(stream), (0, 0))
        yield stream, (at, lines)
