"""One failure once: the lines of one request, wherever a proxy wrote them, brought together.

An error log tells why an attempt failed and not what the client got; an access log the other way
round. Lines of one request share marks (``events``). What one line told waits here for the other,
whichever is read first, for as long as that may still come.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

KEPT: Final = 5000
"""Lines whose other half is awaited, at most; the oldest go first."""

_CONNECTION: Final = "conn:"
_ASKED: Final = "line:"
_LOOKED_AT: Final = 100
"""Halves with the same mark that are looked at, the oldest: a client may ask the same for ever."""
_ZONE_SECONDS: Final = 900.0
"""Zones differ by multiples of this: an error log's times bear none, and may be of another."""
_CLOCK_SECONDS: Final = 0.5


class Half(msgspec.Struct, array_like=True):
    """What one line told of a request whose other line is awaited.

    Attributes:
        proxy: the proxy that wrote it.
        marks: the request's names.
        labels: of the series that the other line decides about; none where it is the other's.
        said: what this line said of that already; empty for nothing.
        left: seconds that the other line may still take.
        at: when it was written; 0 when it does not tell.
        within: seconds before ``at`` in which the request's other lines were written.
        owner: the backend it is about, where that is sure.
        tried: what was tried; no two attempts of one request are at the same place.
    """

    proxy: str
    marks: list[str]
    labels: list[str]
    said: str
    left: float
    at: float = 0.0
    within: float = 0.0
    owner: str = ""
    tried: list[str] = []


def belongs(error: Half, answer: Half) -> bool:
    """Whether an error line may be about the request that an access line ends.

    Nothing that both tell may differ, and the error line was written first.
    """
    if error.at and answer.at:
        since = (answer.at - error.at + _CLOCK_SECONDS) % _ZONE_SECONDS
        if since > answer.within:
            return False
    if error.owner and answer.owner and error.owner != answer.owner:
        return False
    for kind in (_CONNECTION, _ASKED):
        one, other = _mark(error, kind), _mark(answer, kind)
        if one and other and one != other and one.partition("?")[0] != other:
            return False
    return True


def _mark(half: Half, kind: str) -> str:
    for mark in half.marks:
        if mark.startswith(kind):
            return mark
    return ""


class Shelf:
    """Halves of one kind, by the marks of their requests."""

    def __init__(self, saved: Iterable[Any] = (), kept: int = KEPT) -> None:
        """Begin with what ``memory`` returned in an earlier life, and keep so many."""
        self._limit = kept
        self._kept: OrderedDict[int, Half] = OrderedDict()
        self._by_mark: dict[tuple[str, str], deque[int]] = {}
        self._open: dict[str, int] = {}
        self._next = 0
        for item in saved:
            try:
                self.put(msgspec.convert(item, Half))
            except msgspec.ValidationError:
                continue  # another version wrote it

    def memory(self) -> list[Any]:
        """What must be saved with the counters."""
        return [msgspec.to_builtins(half) for half in self._kept.values()]

    def is_open(self, proxy: str) -> bool:
        """Whether something of this proxy waits of which nothing is decided."""
        return self._open.get(proxy, 0) > 0

    @property
    def is_crowded(self) -> bool:
        """Whether no more should be put before some are taken, if that can wait."""
        return len(self._kept) > self._limit // 5

    def put(self, half: Half) -> Half | None:
        """Let a half wait; return one that is awaited no longer, because there are too many."""
        number, self._next = self._next, self._next + 1
        self._kept[number] = half
        if not half.said:
            self._open[half.proxy] = self._open.get(half.proxy, 0) + 1
        for mark in half.marks:
            self._by_mark.setdefault((half.proxy, mark), deque()).append(number)
        return self._drop(next(iter(self._kept))) if len(self._kept) > self._limit else None

    def find(self, like: Half, fits: Callable[[Half], bool]) -> Half | None:
        """Return the oldest half that shares a mark with ``like`` and fits; it goes on waiting."""
        number = next(self._fitting(like, like.marks, fits), None)
        return None if number is None else self._kept[number]

    def take(self, like: Half, fits: Callable[[Half], bool]) -> Half | None:
        """Take the oldest half that shares a mark with ``like`` and fits."""
        number = next(self._fitting(like, like.marks, fits), None)
        return None if number is None else self._drop(number)

    def take_attempts(self, answer: Half) -> list[Half]:
        """Take what error lines told of the oldest request that ``answer`` may end.

        A client may ask the same twice, also in one connection: of several requests with the same
        words only one is taken. A request is tried at each place once, and only where the answer
        says, if it does.
        """

        told = set(answer.tried if "" not in answer.tried else ())

        def fits(half: Half) -> bool:
            return belongs(half, answer) and (not told or not told.isdisjoint(half.tried))

        first = next(self._fitting(answer, answer.marks, fits), None)
        if first is None:
            return []
        found = [self._drop(first)]
        connection, tried = _mark(found[0], _CONNECTION), set(found[0].tried)
        for number in list(self._fitting(answer, [connection] if connection else [], fits)):
            half = self._kept[number]
            if _mark(half, _ASKED) != _mark(found[0], _ASKED):
                continue
            if not tried.isdisjoint(half.tried):
                break
            tried.update(half.tried)
            found.append(self._drop(number))
        return found

    def pass_time(self, seconds: float, behind: frozenset[str]) -> list[Half]:
        """Let time go by for proxies whose logs have been read up to now.

        Args:
            seconds: since the last call.
            behind: proxies of whose logs something is still unread.

        Returns:
            Those whose time is over.
        """
        over = []
        for number, half in self._kept.items():
            if half.proxy not in behind:
                half.left -= seconds
                if half.left <= 0:
                    over.append(number)
        return [self._drop(number) for number in over]

    def _fitting(
        self, like: Half, marks: Sequence[str], fits: Callable[[Half], bool]
    ) -> Iterator[int]:
        for mark in marks:
            numbers = self._by_mark.get((like.proxy, mark), ())
            yield from (n for n in islice(numbers, _LOOKED_AT) if fits(self._kept[n]))

    def _drop(self, number: int) -> Half:
        half = self._kept.pop(number)
        if not half.said:
            self._open[half.proxy] -= 1
        for mark in half.marks:
            numbers = self._by_mark[half.proxy, mark]
            numbers.remove(number)
            if not numbers:
                del self._by_mark[half.proxy, mark]
        return half
