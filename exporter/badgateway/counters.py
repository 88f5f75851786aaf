"""Counters: counted at once, shown only when what they say is on disk.

``add`` counts. ``snapshot`` is what a checkpoint saves, ``publish`` is called with the same
snapshot once it is durable, and only then do scrapes see it: a value that was scraped can never be
lost, so no series ever steps back, whenever the process is killed.

A series born by an event is first shown as 0, to one scrape or for ``ZERO_SECONDS``: Prometheus'
``increase()`` sees nothing of a counter that appears with a value.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from badgateway import catalogue

ZERO_SECONDS = 20.0
OTHER = "other"

Labels = tuple[str, ...]
Snapshot = dict[str, dict[Labels, float]]


class Counters:
    """All counters of the exporter. Used from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: Snapshot = {}
        self._shown: Snapshot = {}
        self._newborn: dict[tuple[str, Labels], float] = {}
        self._folded: dict[str, set[Labels]] = {}
        self.dirty = False

    def declare(self, name: str, labels: Sequence[str] = ()) -> None:
        """Make a series exist at 0, because its label set is known beforehand."""
        series = self._series(name)
        key = self._checked(name, labels)
        if key not in series:
            series[key] = 0.0
            self.dirty = True

    def add(self, name: str, labels: Sequence[str] = (), amount: float = 1.0) -> None:
        """Count ``amount`` on a series; an unknown series is born."""
        series = self._series(name)
        key = self._checked(name, labels)
        if key not in series:
            key = self._fold(name, key, series)
            if key not in series:
                self._newborn[name, key] = 0.0
        series[key] = series.get(key, 0.0) + amount
        self.dirty = True

    def forget(self, name: str, where: Mapping[str, str]) -> None:
        """Drop the series of a metric whose labels match, because their subject is gone."""
        metric = catalogue.BY_NAME[name]
        wanted = [(metric.labels.index(label), value) for label, value in where.items()]
        series = self._values.get(name, {})
        for key in [k for k in series if all(k[i] == value for i, value in wanted)]:
            del series[key]
            self.dirty = True

    def value(self, name: str, labels: Sequence[str] = ()) -> float:
        """What has been counted so far, durable or not; 0 for an unknown series."""
        return self._values.get(name, {}).get(tuple(labels), 0.0)

    def snapshot(self) -> Snapshot:
        """Copy of everything counted; the counters are clean afterwards."""
        self.dirty = False
        return {name: dict(series) for name, series in self._values.items()}

    def publish(self, snapshot: Snapshot) -> None:
        """Let scrapes see ``snapshot``, which is durable now."""
        now = self._clock()
        for newborn, since in self._newborn.items():
            name, key = newborn
            if not since and key in snapshot.get(name, {}):
                self._newborn[newborn] = now
        self._shown = snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Take over what an earlier process counted; it is shown as it is."""
        for name, series in snapshot.items():
            if name in catalogue.BY_NAME:
                self._series(name).update(series)
        self._shown = {name: dict(series) for name, series in self._values.items()}

    def exposed(self, consume: bool = True) -> Iterator[tuple[str, Iterable[tuple[Labels, float]]]]:
        """What a scrape sees: metric name, then its (labels, value) pairs.

        Args:
            consume: False for a look that is no scrape, such as HEAD: newborn series stay newborn.
        """
        now = self._clock()
        hidden = {
            newborn
            for newborn, since in self._newborn.items()
            if not since or now - since < ZERO_SECONDS
        }
        for name in sorted(self._shown):
            yield (
                name,
                [
                    (key, 0.0 if (name, key) in hidden else value)
                    for key, value in sorted(self._shown[name].items())
                ],
            )
        if consume:
            self._newborn = {n: since for n, since in self._newborn.items() if not since}

    def folded(self) -> Mapping[str, int]:
        """Metric → how many label sets were folded into ``other``."""
        return {name: len(keys) for name, keys in self._folded.items()}

    def _series(self, name: str) -> dict[Labels, float]:
        if name not in self._values:
            metric = catalogue.BY_NAME[name]
            assert metric.kind == "counter", name
            self._values[name] = {}
        return self._values[name]

    def _checked(self, name: str, labels: Sequence[str]) -> Labels:
        metric = catalogue.BY_NAME[name]
        assert len(labels) == len(metric.labels), (name, labels)
        for label, value in zip(metric.labels, labels, strict=True):
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
