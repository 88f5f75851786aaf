"""Rendering for Prometheus: the catalogue filled with counters and states."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Metric,
    PlatformCollector,
    ProcessCollector,
    exposition,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from badgateway import catalogue
from badgateway.counters import bucket_labels
from badgateway.exporter import Exporter
from badgateway.web import gauges
from badgateway.web.selection import EVERYTHING, Selection

_GZIP_FROM: Final = 1024


class _Selected:
    """A registry of which only some families are seen."""

    def __init__(self, registry: CollectorRegistry, wanted: Selection) -> None:
        self._registry, self._wanted = registry, wanted

    def collect(self) -> Iterator[Metric]:
        """Yield the families that are asked for."""
        return (family for family in self._registry.collect() if self._wanted.has(family))


class _ExporterCollector(Collector):
    """Fills the catalogue's families, freshly for each scrape."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self.consume = True

    def collect(self) -> Iterator[Metric]:
        """Yield every family that has a series, in the catalogue's order."""
        values: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for name, series in self._exporter.counters.exposed(self.consume):
            values[name] = list(series)
        for name, labels, value in gauges.samples(self._exporter):
            values.setdefault(name, []).append((labels, value))
        for metric in catalogue.METRICS:
            found = values.get(metric.name)
            if found:
                yield _family(metric, found)


def _family(metric: catalogue.Metric, series: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    if metric.kind == "histogram":
        return _histogram(metric, dict(series))
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(catalogue.PREFIX + metric.name, metric.help, labels=metric.labels)
    for labels, value in series:
        family.add_metric([_clean(label) for label in labels], value)
    return family


def _histogram(
    metric: catalogue.Metric, series: Mapping[tuple[str, ...], float]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        catalogue.PREFIX + metric.name, metric.help, labels=metric.labels
    )
    *bounds, total = bucket_labels(metric)
    for labels in dict.fromkeys(key[:-1] for key in series):
        reached, buckets = 0.0, []
        for bound in bounds:
            reached += series.get((*labels, bound), 0.0)
            buckets.append((bound, reached))
        shown = [_clean(label) for label in labels]
        family.add_metric(shown, buckets, series.get((*labels, total), 0.0))
    return family


def _clean(label: str) -> str:
    """A label value is one printable line, whatever it was made of."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in label)


class Renderer:
    """Renders one exporter's metrics in the format a scraper asks for."""

    def __init__(self, exporter: Exporter) -> None:
        self._collector = _ExporterCollector(exporter)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(
        self,
        headers: Mapping[str, str],
        consume: bool = True,
        wanted: Selection = EVERYTHING,
    ) -> tuple[bytes, dict[str, str]]:
        """Return the body and its headers.

        Args:
            headers: the request's, names in lower case.
            consume: False when this is no scrape, such as HEAD.
            wanted: what is asked for. A scrape of some metrics uses up no series' time as 0: it
                may not show them, and those it shows end it after ``counters.ZERO_SECONDS``.
        """
        self._collector.consume = consume and wanted.everything
        encode: Callable[[Any], bytes]
        encode, content_type = exposition.choose_encoder(headers.get("accept", ""))
        body = encode(self._registry if wanted.everything else _Selected(self._registry, wanted))
        answer = {"content-type": content_type, "vary": "Accept, Accept-Encoding"}
        if len(body) >= _GZIP_FROM and exposition.gzip_accepted(headers.get("accept-encoding", "")):
            body = gzip.compress(body, compresslevel=1, mtime=0)
            answer["content-encoding"] = "gzip"
        return body, answer
