"""What a busy exporter exposes: the catalogue, the closed vocabularies, and no complaint."""

from __future__ import annotations

import subprocess

import httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from badgateway import catalogue
from tests.lab.require import require
from tests.servers import ExporterProcess

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def exposition(exporter: ExporterProcess, accept: str) -> str:
    found = httpx.get(f"{exporter.url}/metrics", headers={"Accept": accept}, trust_env=False)
    assert found.status_code == 200
    return found.text


@pytest.mark.parametrize("promtool", ["promtool", "promtool-3"])
def test_promtool_has_nothing_to_say(busy: ExporterProcess, promtool: str) -> None:
    done = subprocess.run(
        [require(promtool), "check", "metrics"],
        input=exposition(busy, "text/plain"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_what_is_in_the_catalogue_is_exposed_and_with_its_labels(
    busy: ExporterProcess,
) -> None:
    names = set()
    for family in text_string_to_metric_families(exposition(busy, "text/plain")):
        if not family.name.startswith(catalogue.PREFIX):
            continue
        counter = "_total" if family.type == "counter" else ""
        metric = catalogue.BY_NAME[family.name.removeprefix(catalogue.PREFIX) + counter]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
            assert ("le" in sample.labels) == sample.name.endswith("_bucket")
        names.add(metric.name)
    assert len(names) > 30


def test_closed_labels_have_values_of_their_vocabulary_only(busy: ExporterProcess) -> None:
    seen: dict[tuple[str, str], set[str]] = {}
    for (name, labels), _ in busy.scrape().items():
        metric = name.removeprefix(catalogue.PREFIX)
        for label, value in labels:
            if (metric, label) in catalogue.CLOSED:
                seen.setdefault((metric, label), set()).add(value)
    strange = {key: found - catalogue.CLOSED[key] for key, found in seen.items()}
    assert {key: found for key, found in strange.items() if found} == {}
    assert len(seen) > 20


def test_both_formats_tell_the_same(busy: ExporterProcess) -> None:
    """Those that stand still: the counters of what is not asked at intervals."""

    def still(families: object) -> dict[object, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families  # type: ignore[attr-defined]
            for sample in family.samples
            if sample.name.startswith("badgateway_") and sample.name.endswith("_total")
            and "probe" not in sample.labels
        }  # fmt: skip

    text = still(text_string_to_metric_families(exposition(busy, "text/plain")))
    openmetrics = still(parse_openmetrics(exposition(busy, OPENMETRICS)))
    assert text == openmetrics
    assert len(text) > 50
