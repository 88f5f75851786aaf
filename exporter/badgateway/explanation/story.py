"""One story out of several logs: what was told twice counts once."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from badgateway.events import Response
from badgateway.explanation.joining import groups, joined
from badgateway.explanation.same import Entry, Item
from badgateway.explanation.told import Told

KEPT: Final = 20_000
"""Failures, aborts and 5xx that wait for other lines about them."""
_ANSWERED_KEPT: Final = 8_000
"""Other answers that wait for a failed attempt that they made good."""
_SEEN_KEPT: Final = 100_000
"""Lines remembered that another log may tell again."""


class Story:
    """Takes what lines told, and gives it back joined, in order, with bounded memory."""

    def __init__(self, window: float | None = None, several: bool = True) -> None:
        """Begin.

        Args:
            several: whether lines of more than one file come; only then may one be told twice.
            window: seconds of log time after which nothing more is expected of a request; None
                waits as long as memory allows.
        """
        self._window = window
        self._several = several
        self.order = 0
        """How many things were told so far."""
        self._waiting: deque[Item] = deque()
        self._answered: deque[Item] = deque(maxlen=_ANSWERED_KEPT)
        self._seen: OrderedDict[bytes, dict[str, int]] = OrderedDict()
        self._latest = 0.0

    def add(self, told: Told) -> None:
        """Take what a line told."""
        event = told.event
        marks = frozenset(getattr(event, "marks", ()))
        self._latest = max(self._latest, event.at)
        self.order += 1
        item = Item(self.order, told, marks)
        if isinstance(event, Response) and event.status < 500 and not event.attempts:
            if marks:
                self._answered.append(item)
        elif not self._again(told):
            self._waiting.append(item)

    def ready(self) -> Iterator[Entry]:
        """Yield what no later line is expected to add to."""
        if len(self._waiting) > KEPT:
            yield from self._release(len(self._waiting) // 2)
        elif self._window is not None and len(self._waiting) > 1:
            oldest = self._waiting[0].told.event.at
            if self._latest - oldest > 2 * self._window:
                limit = self._latest - self._window
                count = 0
                for item in self._waiting:
                    if item.told.event.at > limit:
                        break
                    count += 1
                yield from self._release(count)

    def until(self, order: int) -> Iterator[Entry]:
        """Yield what came before ``order`` was reached."""
        yield from self._release(sum(item.order <= order for item in self._waiting))

    def rest(self) -> Iterator[Entry]:
        """Yield everything that is left."""
        yield from self._release(len(self._waiting))

    def _again(self, told: Told) -> bool:
        """Whether another log told this very line before, as often as this one did now.

        Within one log equal lines are different requests, unless an identity says otherwise.
        """
        event = told.event
        identity = getattr(event, "identity", "")
        if not self._several or not (identity or event.at):
            return False  # without a time the same words may be of another day
        words = f"{type(event).__name__} {identity or told.text}"
        key = blake2b(words.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        counts = self._seen.get(key)
        if counts is None:
            counts = self._seen[key] = {}
            while len(self._seen) > _SEEN_KEPT:
                self._seen.popitem(last=False)
        before = max(counts.values(), default=0)
        counts[told.file] = counts.get(told.file, 0) + 1
        return counts[told.file] <= before

    def _release(self, count: int) -> Iterator[Entry]:
        if not count:
            return
        items = [self._waiting.popleft() for _ in range(count)]
        named = {mark for item in items for mark in item.marks}
        items += [item for item in self._waiting if item.marks & named]  # of the same requests
        self._waiting = deque(item for item in self._waiting if not item.marks & named)
        entries: list[tuple[int, Entry]] = []
        answered: dict[str, list[Item]] = defaultdict(list)
        for item in self._answered:
            for mark in item.marks:
                answered[mark].append(item)
        for group in groups(items):
            marks = {mark for item in group for mark in item.marks}
            good = {item.order: item for mark in marks for item in answered.get(mark, ())}
            entries += joined(group, list(good.values()))
        entries.sort(key=lambda pair: pair[0])
        yield from (entry for _, entry in entries)
