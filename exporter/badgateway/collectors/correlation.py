"""One failure once: the lines of one request, wherever a proxy wrote them, brought together.

An error log tells why an attempt failed and not what the client got; an access log the other way
round. Lines of one request share marks (``events``). What one line told waits here for the other,
whichever is read first, for as long as that may still come.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

KEPT: Final = 5000
"""Lines whose other half is awaited, at most; the oldest go first."""

_CONNECTION: Final = "conn:"


class Half(msgspec.Struct, array_like=True):
    """What one line told of a request whose other line is awaited.

    Attributes:
        proxy: the proxy that wrote it.
        marks: the request's names.
        labels: of the series that the other line decides about; none where it is the other's.
        said: what this line said of that already; empty for nothing.
        left: seconds that the other line may still take.
    """

    proxy: str
    marks: list[str]
    labels: list[str]
    said: str
    left: float


class Shelf:
    """Halves of one kind, by the marks of their requests."""

    def __init__(self, saved: Iterable[Any] = ()) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._kept: OrderedDict[int, Half] = OrderedDict()
        self._by_mark: dict[tuple[str, str], deque[int]] = {}
        self._open: dict[str, int] = {}
        self._next = 0
        for item in saved:
            self.put(msgspec.convert(item, Half))

    def memory(self) -> list[Any]:
        """What must be saved with the counters."""
        return [msgspec.to_builtins(half) for half in self._kept.values()]

    def is_open(self, proxy: str) -> bool:
        """Whether something of this proxy waits of which nothing is decided."""
        return self._open.get(proxy, 0) > 0

    def put(self, half: Half) -> None:
        """Let a half wait."""
        number, self._next = self._next, self._next + 1
        self._kept[number] = half
        if not half.said:
            self._open[half.proxy] = self._open.get(half.proxy, 0) + 1
        for mark in half.marks:
            self._by_mark.setdefault((half.proxy, mark), deque()).append(number)
        if len(self._kept) > KEPT:
            self._drop(next(iter(self._kept)))

    def take(self, proxy: str, marks: Sequence[str]) -> list[Half]:
        """Take the oldest half that bears one of these marks, and those of the same connection.

        A client may ask the same twice: of several requests with the same words only one is taken.
        """
        for mark in marks:
            numbers = self._by_mark.get((proxy, mark))
            if not numbers:
                continue
            first = self._kept[numbers[0]]
            connections = [m for m in first.marks if m.startswith(_CONNECTION)]
            same = set(connections) & set(marks) or connections
            found = [numbers[0]]
            for connection in same:
                found += self._by_mark[proxy, connection]
            return [self._drop(number) for number in dict.fromkeys(found)]
        return []

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
