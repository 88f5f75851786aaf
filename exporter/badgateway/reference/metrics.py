"""The page about metrics, made of the catalogue and the closed vocabularies."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from badgateway import catalogue, vocabulary
from badgateway.catalogue import Metric
from badgateway.reference.markdown import anchor, code, table

_HEAD: Final = """\
# Metrics

Generated from the catalogue by `python -m badgateway.reference`; do not edit.

`/metrics` speaks Prometheus' text format and OpenMetrics, as the scraper asks. Beside these
metrics there are the usual `process_*` and `python_info` of the exporter's own process.

- A source that was never read has no series: absent, not 0. What is known from configuration or
  discovery is at 0 from the first successful read of its source on.
- A series born by an event is shown as 0 for one scrape before it shows the event, because
  `increase()` sees nothing of a counter that is born at 7.
- A counter's value is shown once it is on disk: no series steps back when the exporter is killed.
- Times are seconds since 1970, durations seconds, sizes bytes. A state is 1, the others 0.
- A label without a value is empty, which to Prometheus is no label.
"""

_OTHER: Final = "any other"


def page() -> str:
    """Return the page as Markdown."""
    text = f"{_HEAD}\n## All metrics\n\n"
    text += table(
        ("Metric", "Type", "Labels", "Meaning"),
        (
            (code(catalogue.PREFIX + m.name), m.kind, _labels(m), _help(m))
            for m in catalogue.METRICS
        ),
    )
    used = {label for metric in catalogue.METRICS for label in metric.labels}
    text += "\n## Labels\n\n"
    text += table(
        ("Label", "Meaning"),
        ((code(name), told) for name, told in catalogue.LABELS.items() if name in used),
    )
    text += "\n# Values of labels\n\nThere are no others.\n"
    for title, values in vocabularies().items():
        if any(set(values) == closed for closed in catalogue.CLOSED.values()):
            text += f"\n## {title}\n\n"
            text += table(
                ("Value", "Meaning"), ((code(value), told) for value, told in values.items())
            )
    return text


@functools.cache
def vocabularies() -> Mapping[str, Mapping[str, str]]:
    """Return every closed vocabulary by its title: value → meaning."""
    found: dict[str, Mapping[str, str]] = {}
    for name, values in vars(vocabulary).items():
        if isinstance(values, MappingProxyType) and values is not vocabulary.DRIFT_SEVERITY:
            found[name.replace("_", " ").capitalize()] = values
    codes = dict.fromkeys(sorted(vocabulary.HTTP_CODES), "that HTTP status")
    found["HTTP codes"] = {**codes, "499": "the client gave up (nginx)", "other": _OTHER}
    return found


def _labels(metric: Metric) -> str:
    return ", ".join(_label(metric, label) for label in metric.labels)


def _label(metric: Metric, label: str) -> str:
    closed = catalogue.CLOSED.get((metric.name, label))
    if closed is None:
        return code(label)
    title = next(title for title, values in vocabularies().items() if set(values) == closed)
    return f"[{code(label)}]({anchor(title)})"


def _help(metric: Metric) -> str:
    folded = f" Past {catalogue.SERIES_LIMIT} series `{metric.free}` becomes `other`."
    return metric.help + (folded if metric.free else "")
