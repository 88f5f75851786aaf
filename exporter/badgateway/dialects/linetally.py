"""What dialects share that count lines by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from badgateway.events import LINE_LIMIT, Tally

BLOCK_BYTES = 256 * 1024
PROBE_MARKER = b"badgateway/"
"""Stands in every line about one of our own probes, which is read by itself."""

_WINDOW = LINE_LIMIT // 2
_SMALL = 1024

Found = TypeVar("Found")

Answer = tuple[str | None, str | None, int]


class Counts:
    """Collects a ``Tally``."""

    def __init__(self) -> None:
        self.rest: list[bytes] = []
        self._answers: dict[Answer, int] = {}
        self._durations: dict[tuple[str | None, str | None], list[float]] = {}
        self._lines = 0

    def add(self, answer: Answer, number: int) -> None:
        """Count ``number`` equal answers."""
        self._answers[answer] = self._answers.get(answer, 0) + number
        self._lines += number

    def took(self, place: tuple[str | None, str | None], seconds: Iterable[float]) -> None:
        """Keep how long the upstream of ``place`` took, once for each answer that tells."""
        self._durations.setdefault(place, []).extend(seconds)

    def set_aside(self, lines: Sequence[bytes]) -> None:
        """Hand lines back, without their ends; empty ones are none."""
        self.rest += filter(None, lines)

    def tally(self) -> Tally:
        """Return what was collected."""
        return Tally(self._answers, self._durations, tuple(self.rest), self._lines)


def blocks(data: bytes, counts: Counts, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield whole lines with their ends, about ``size`` bytes at a time.

    Lines longer than ``LINE_LIMIT``, which are cut before they are read, are set aside, and
    everything else in their block.
    """
    start, end = 0, len(data)
    while start < end:
        stop = data.rfind(b"\n", start, start + size) + 1
        if stop <= start:
            stop = data.find(b"\n", start) + 1 or end
        block = data[start:stop]
        start = stop
        if not block.endswith(b"\n"):
            block += b"\n"
        if all(
            block.find(b"\n", window, window + _WINDOW) >= 0
            for window in range(0, len(block), _WINDOW)
        ):
            yield block
        else:
            counts.set_aside(block.split(b"\n"))


def without(block: bytes, marker: bytes, counts: Counts) -> bytes:
    """Return a block without the lines that hold ``marker``, which are set aside."""
    found = block.find(marker)
    if found < 0:
        return block
    kept, start = [], 0
    while found >= 0:
        begin = block.rfind(b"\n", start, found) + 1 or start
        end = block.index(b"\n", found) + 1
        kept.append(block[start:begin])
        counts.set_aside((block[begin : end - 1],))
        start = end
        found = block.find(marker, start)
    kept.append(block[start:])
    return b"".join(kept)


def halves(piece: bytes) -> tuple[bytes, ...]:
    """Return whole lines in two parts; one line alone, or none, stays as it is."""
    middle = piece.find(b"\n", len(piece) // 2) + 1
    if middle == len(piece):
        middle = piece.rfind(b"\n", 0, len(piece) - 1) + 1
    return (piece[:middle], piece[middle:]) if 0 < middle < len(piece) else (piece,)


def each_line(
    block: bytes,
    read: Callable[[bytes], list[Found]],
    add: Callable[[bytes, list[Found]], None],
    counts: Counts,
) -> None:
    """Hand what was read of a block to ``add``, together with the lines it was read of.

    It counts only when as much was found as there are line ends: then each thing found is of one
    whole line, and none was swallowed or forged. Otherwise the block is halved, down to small
    pieces that are set aside.

    Args:
        block: whole lines with their ends.
        read: finds what there is in such lines, in order.
        add: takes lines, and what was found in each.
        counts: where lines are set aside.
    """
    pieces = [block]
    while pieces:
        piece = pieces.pop()
        found = read(piece)
        if len(found) == piece.count(b"\n"):
            add(piece, found)
            continue
        parts = halves(piece) if len(piece) > _SMALL else (piece,)
        if len(parts) == 1:
            counts.set_aside(piece.split(b"\n"))
        else:
            pieces += reversed(parts)
