"""Retention: counters of what is no longer there.

The series of a backend, probe or log that is gone are shown no longer, and are forgotten after a
day: one that comes back before counts on: nothing is lost and no series ever steps back. Series of
an upstream, site or unit that a backend no longer has stay to be seen for that day: what failed
there a minute ago is still what the page is about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from badgateway import catalogue
from badgateway.collectors.probes import Target
from badgateway.counters import OTHER, Counters, Labels
from badgateway.topology.backends import UNKNOWN, PathMap

KEEP_SECONDS: Final = 24 * 3600.0

_ANY: Final = (OTHER, UNKNOWN, "unknown")

Key = tuple[str, Labels]


@dataclass(frozen=True, slots=True)
class Present:
    """What there is at one moment: the label values that counters may bear.

    Attributes:
        paths: the path maps, as loaded and as on disk.
        proxies: names of the proxies.
        targets: what is probed.
        sources: what is read.
    """

    paths: tuple[PathMap, ...]
    proxies: frozenset[str]
    targets: frozenset[Target]
    sources: frozenset[str]


class Retention:
    """Hides and forgets the series of what is gone."""

    def __init__(
        self,
        counters: Counters,
        learnt: list[tuple[str, list[str], float, bool]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._counters, self._clock = counters, clock
        self._left: dict[Key, float] = {
            (name, tuple(labels)): since for name, labels, since, _ in learnt or ()
        }
        # until the first look they are as they were: a scrape may come before it
        self._hide({(name, tuple(labels)) for name, labels, _, hidden in learnt or () if hidden})

    def memory(self) -> list[tuple[str, list[str], float, bool]]:
        """Which series have left, when, and whether they are hidden."""
        return [
            (name, list(labels), since, (name, labels) in self._hidden)
            for (name, labels), since in self._left.items()
        ]

    def look(self, present: Present) -> None:
        """Compare every series with what there is."""
        now = self._clock()
        labels = _Labels.of(present)
        left: dict[Key, float] = {}
        hidden: set[Key] = set()
        for key in self._counters.series():
            named = dict(zip(catalogue.BY_NAME[key[0]].series_labels, key[1], strict=True))
            if labels.bear(key[0], named):
                continue
            # a clock that was set back must not keep a series for ever, nor end it at once
            since = min(self._left.get(key, now), now)
            if labels.is_hidden(named):
                hidden.add(key)  # also one that is forgotten: scrapes see it until that is saved
            if now - since >= KEEP_SECONDS:
                self._counters.forget(*key)
                continue
            left[key] = since
        self._left = left
        self._hide(hidden)

    def _hide(self, hidden: set[Key]) -> None:
        self._hidden = hidden
        self._counters.hide(frozenset(hidden))


@dataclass(frozen=True, slots=True)
class _Labels:
    backends: frozenset[str]
    units: frozenset[tuple[str, str]]
    upstreams: frozenset[tuple[str, str, str]]
    sites: frozenset[tuple[str, str, str]]
    proxies: frozenset[tuple[str, str]]
    probes: frozenset[tuple[str, ...]]
    sources: frozenset[str]

    @classmethod
    def of(cls, present: Present) -> _Labels:
        backends = [backend for paths in present.paths for backend in paths.backends]
        ways = [(b.name, p.proxy, p.route) for b in backends for p in b.paths]
        return cls(
            frozenset((UNKNOWN, OTHER, *(b.name for b in backends))),
            frozenset((b.name, b.unit) for b in backends),
            frozenset(
                (owner, proxy, upstream)
                for name, proxy, route in ways
                for owner in (name, UNKNOWN)
                for upstream in (route.upstream, route.group)
            ),
            frozenset(
                (owner, proxy, route.site)
                for name, proxy, route in ways
                for owner in (name, UNKNOWN)
            ),
            frozenset(
                [(UNKNOWN, proxy) for proxy in present.proxies]
                + [(name, proxy) for name, proxy, _ in ways]
            ),
            frozenset(target.labels for target in present.targets),
            present.sources,
        )

    def is_hidden(self, labels: Mapping[str, str]) -> bool:
        """Whether what a series is about is gone altogether."""
        if "backend" in labels:
            return labels["backend"] not in self.backends or "probe" in labels
        return "source" in labels

    def bear(self, metric: str, labels: Mapping[str, str]) -> bool:
        """Whether something there is bears these labels."""
        backend = labels.get("backend")
        if backend is None:
            return labels.get("source") in self.sources if "source" in labels else True
        if backend not in self.backends:
            return False
        if "probe" in labels:
            return tuple(labels[n] for n in ("backend", "probe", "vantage")) in self.probes
        if "unit" in labels and (backend, labels["unit"]) not in self.units:
            return False
        if "proxy" in labels and (backend, labels["proxy"]) not in self.proxies:
            return False
        for label, known in (("upstream", self.upstreams), ("site", self.sites)):
            value = labels.get(label)
            if value is not None and value not in _ANY:
                return (backend, labels["proxy"], value) in known
        return True
