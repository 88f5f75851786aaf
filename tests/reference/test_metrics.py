"""The metrics reference: every metric, label and value, each with its meaning."""

from __future__ import annotations

import re

from badgateway import catalogue
from badgateway.cli import main
from badgateway.reference import page
from badgateway.reference.markdown import anchor
from badgateway.reference.metrics import vocabularies

PAGE = page("metrics", main)


def test_every_metric_has_a_row() -> None:
    for metric in catalogue.METRICS:
        row = re.search(
            rf"^\| `badgateway_{metric.name}` \| (\w+) \| (.*?) \| (.+) \|$", PAGE, re.M
        )
        assert row, metric.name
        assert row[1] == metric.kind
        assert re.findall(r"`(\w+)`", row[2]) == list(metric.labels)
        assert row[3].startswith(metric.help)


def test_every_label_is_explained() -> None:
    used = {label for metric in catalogue.METRICS for label in metric.labels}
    assert used == set(catalogue.LABELS)


def test_every_value_of_a_closed_label_is_explained() -> None:
    for (metric, label), values in catalogue.CLOSED.items():
        title = next(t for t, known in vocabularies().items() if set(known) == values)
        (section,) = re.findall(rf"^## {title}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
        told = re.findall(r"^\| `(\w+)` \| \S.* \|$", section, re.M)
        assert set(told) == values, (metric, label)


def test_links_lead_to_sections() -> None:
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", PAGE, re.M)}
    links = set(re.findall(r"\]\((#.+?)\)", PAGE))
    assert links
    assert links <= anchors


def test_the_same_values_are_one_vocabulary() -> None:
    seen = [frozenset(values) for values in vocabularies().values()]
    closed = set(catalogue.CLOSED.values())
    assert all(seen.count(values) == 1 for values in closed)
