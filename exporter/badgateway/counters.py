"""Counters: counted at once, shown only when what they say is on disk.

``add`` counts. ``snapshot`` is what a checkpoint saves, ``publish`` is called with the same
snapshot once it is durable, and only then do scrapes see it: a value that was scraped can never be
lost, so no series ever steps back, whenever the process is killed.

A histogram is kept as one series for each bucket, each holding only what fell into it, and one for
the sum.

A new series is first shown as 0, to one scrape or for ``ZERO_SECONDS``: Prometheus' ``increase()``
sees nothing of a counter that appears with a value. That it was shown is saved
before its value is shown: after a kill it is either still 0 or never 0 again.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter as CountOf
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from badgateway import catalogue

ZERO_SECONDS = 20.0
OTHER = "other"

Labels = tuple[str, ...]
Series = dict[str, dict[Labels, float]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was counted at one moment.

    Attributes:
        series: metric → label values → value.
        newborn: those of them that no scrape has seen as 0 yet.
    """

    series: Series = field(default_factory=dict)
    newborn: frozenset[tuple[str, Labels]] = frozenset()


def bucket_labels(metric: catalogue.Metric) -> tuple[str, ...]:
    """Return what tells a histogram's series apart; nothing for another metric."""
    if metric.kind != "histogram":
        return ()
    return (*(f"{bound:g}" for bound in metric.buckets), "+Inf", catalogue.SUM)


class Counters:
    """All counters of the exporter. Used from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: Series = {}
        self._shown = Snapshot()
        self._newborn: dict[tuple[str, Labels], float] = {}
        """Series that are not to be shown with their value yet, and when they first were durable;
        0 until then."""
        self._folded: dict[str, set[Labels]] = {}
        self._hidden: frozenset[tuple[str, Labels]] = frozenset()
        self._changed = False

    @property
    def dirty(self) -> bool:
        """Whether there is something to save."""
        return self._changed or any(map(self._grown_up, self._newborn))

    def touch(self) -> None:
        """Note that something that is saved together with the counters has changed."""
        self._changed = True

    def declare(self, name: str, labels: Sequence[str] = ()) -> None:
        """Make a series exist at 0, because its label set is known beforehand."""
        series = self._series(name)
        metric = catalogue.BY_NAME[name]
        given = [(*labels, le) for le in bucket_labels(metric)] or [tuple(labels)]
        for key in (self._checked(name, each) for each in given):
            if key not in series:
                series[key] = 0.0
                self._newborn[name, key] = 0.0  # what is counted before a scrape is shown after it
                self._changed = True

    def add(self, name: str, labels: Sequence[str] = (), amount: float = 1.0) -> None:
        """Count ``amount`` on a series; an unknown series is born."""
        series = self._series(name)
        key = self._checked(name, labels)
        if key not in series:
            key = self._fold(name, key, series)
            if key not in series:
                self._newborn[name, key] = 0.0
        series[key] = series.get(key, 0.0) + amount
        self._changed = True

    def observe(self, name: str, labels: Sequence[str], values: Sequence[float]) -> None:
        """Count observations of a histogram, each in the bucket it falls into and in the sum."""
        metric = catalogue.BY_NAME[name]
        labels, bounds = tuple(labels), metric.buckets
        found = CountOf(map(partial(bisect_left, bounds), values))
        if not found:
            return
        series = self._series(name)
        if (*labels, catalogue.SUM) not in series:
            for le in bucket_labels(metric):
                self.add(name, (*labels, le), 0.0)
        names = bucket_labels(metric)
        for index, number in found.items():
            self.add(name, (*labels, names[index]), number)
        self.add(name, (*labels, catalogue.SUM), math.fsum(values))

    def series(self) -> list[tuple[str, Labels]]:
        """Every series there is."""
        return [(name, key) for name, series in self._values.items() for key in series]

    def forget(self, name: str, labels: Labels) -> None:
        """Drop a series, because its subject has been gone for long."""
        if self._values.get(name, {}).pop(labels, None) is not None:
            self._newborn.pop((name, labels), None)
            self._changed = True

    def hide(self, gone: frozenset[tuple[str, Labels]]) -> None:
        """Show exactly these series no longer, because their subject is gone; they keep values.

        Nobody sees the 0 of one that is hidden: the time to see it begins when it is shown again.
        """
        for newborn in (self._hidden - gone) & self._newborn.keys():
            if self._newborn[newborn]:
                self._newborn[newborn] = self._clock()
        self._hidden = gone

    def value(self, name: str, labels: Sequence[str] = ()) -> float:
        """What has been counted so far, durable or not; 0 for an unknown series."""
        return self._values.get(name, {}).get(tuple(labels), 0.0)

    def snapshot(self) -> Snapshot:
        """Copy of everything counted; the counters are clean afterwards."""
        self._newborn = {n: at for n, at in self._newborn.items() if not self._grown_up(n)}
        self._changed = False
        return Snapshot(
            {name: dict(series) for name, series in self._values.items()},
            frozenset(self._newborn),
        )

    def publish(self, snapshot: Snapshot) -> None:
        """Let scrapes see ``snapshot``, which is durable now."""
        now = self._clock()
        for newborn in snapshot.newborn:
            if not self._newborn.get(newborn, 1.0):
                self._newborn[newborn] = now
        self._shown = snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Take over what an earlier process counted; it is shown as that would have shown it."""
        for name, series in snapshot.series.items():
            if name in catalogue.BY_NAME:  # another version may have had other metrics and labels
                number = len(catalogue.BY_NAME[name].series_labels)
                fit = {key: value for key, value in series.items() if len(key) == number}
                self._series(name).update(fit)
        now = self._clock()
        known = {n for n in snapshot.newborn if n[1] in self._values.get(n[0], {})}
        self._newborn = dict.fromkeys(known, now)
        self._shown = Snapshot(
            {name: dict(series) for name, series in self._values.items()}, frozenset(known)
        )

    def exposed(self, consume: bool = True) -> Iterator[tuple[str, Iterable[tuple[Labels, float]]]]:
        """What a scrape sees: metric name, then its (labels, value) pairs.

        Args:
            consume: False for a look that is no scrape, such as HEAD: newborn series stay newborn.
        """
        shown = self._shown
        for name in sorted(shown.series):
            yield (
                name,
                [
                    (key, 0.0 if (name, key) in shown.newborn else value)
                    for key, value in sorted(shown.series[name].items())
                    if (name, key) not in self._hidden
                ],
            )
        if consume:
            for newborn in shown.newborn - self._hidden:
                if newborn in self._newborn:
                    self._newborn[newborn] = -1.0

    def _grown_up(self, newborn: tuple[str, Labels]) -> bool:
        """Whether a scrape has seen the 0, or has had the time to."""
        since = self._newborn[newborn]
        if since <= 0:
            return since < 0
        return newborn not in self._hidden and self._clock() - since >= ZERO_SECONDS

    def folded(self) -> Mapping[str, int]:
        """Metric → how many label sets were folded into ``other``."""
        return {name: len(keys) for name, keys in self._folded.items()}

    def _series(self, name: str) -> dict[Labels, float]:
        if name not in self._values:
            metric = catalogue.BY_NAME[name]
            assert metric.kind != "gauge", name
            self._values[name] = {}
        return self._values[name]

    def _checked(self, name: str, labels: Sequence[str]) -> Labels:
        metric = catalogue.BY_NAME[name]
        assert len(labels) == len(metric.series_labels), (name, labels)
        for label, value in zip(metric.series_labels, labels, strict=True):
            allowed = catalogue.CLOSED.get((name, label))
            assert allowed is None or value in allowed, (name, label, value)
        return tuple(labels)

    def _fold(self, name: str, key: Labels, series: dict[Labels, float]) -> Labels:
        metric = catalogue.BY_NAME[name]
        if metric.free is None or len(series) < catalogue.SERIES_LIMIT:
            return key
        seen = self._folded.setdefault(name, set())
        if len(seen) < catalogue.SERIES_LIMIT:  # what says so is bounded too
            seen.add(key)
        index = metric.labels.index(metric.free)
        return (*key[:index], OTHER, *key[index + 1 :])
