"""Real Prometheus 2.42 and 3.5 scrape a busy exporter in each format they know."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from badgateway import catalogue
from tests.lab.require import require
from tests.reference.busy import ERRORS, REPEATED, Relay, relayed
from tests.servers import ExporterProcess, free_port

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Prometheus 2.42 always asks for OpenMetrics first; only a relay makes it take the older format.
FORCED = {"forced": "text/plain;version=0.0.4"}

JOBS: dict[str, dict[str, str | None]] = {
    "prometheus": {"default": None, "forced": None},
    "prometheus-3": {
        "default": None,
        "text": "PrometheusText0.0.4",
        "text1": "PrometheusText1.0.0",
        "openmetrics": "OpenMetricsText1.0.0",
    },
}
"""Server → its jobs, each with the protocol it asks for; None for what it asks for by itself."""

CASES = [(server, job) for server, jobs in JOBS.items() for job in jobs]


@dataclass
class Server:
    """A running Prometheus and what went through the relay."""

    url: str
    log: Path
    relay: Relay

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return result

    def value(self, expression: str) -> float:
        (one,) = self.query(expression)
        return float(one["value"][1])


@contextmanager
def scraping(name: str, busy: ExporterProcess, folder: Path) -> Iterator[Server]:
    program = require(name)
    relay = Relay(busy.url, FORCED)
    port = free_port()
    with relayed(relay) as through:
        jobs = [
            {
                "job_name": job,
                "metrics_path": f"/{job}/metrics",
                "static_configs": [{"targets": [f"127.0.0.1:{through}"]}],
                **({"scrape_protocols": [protocol]} if protocol else {}),
            }
            for job, protocol in JOBS[name].items()
        ]
        interval = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({"global": interval, "scrape_configs": jobs}))
        log = folder / "prometheus.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    program, f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield Server(f"http://127.0.0.1:{port}", log, relay)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_scrapes(server: Server, jobs: int, seconds: float = 30) -> None:
    """Wait until each job has scraped three times."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if len(server.query("count_over_time(up[1m]) >= 3")) == jobs:
                return
        except (httpx.HTTPError, AssertionError):
            pass  # it is not listening yet, or still starting
        time.sleep(0.2)
    raise AssertionError(f"no three scrapes in {seconds} s:\n{server.log.read_text()}")


@pytest.fixture(scope="module")
def servers(
    busy: ExporterProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    with (
        scraping("prometheus", busy, tmp_path_factory.mktemp("old")) as old,
        scraping("prometheus-3", busy, tmp_path_factory.mktemp("new")) as new,
    ):
        found = {"prometheus": old, "prometheus-3": new}
        for name, server in found.items():
            wait_for_scrapes(server, len(JOBS[name]))
        yield found


def test_they_are_the_versions_meant(servers: dict[str, Server]) -> None:
    versions = {name: one.get("status/buildinfo")["version"] for name, one in servers.items()}
    assert versions["prometheus"].startswith("2.42.")
    major, minor = map(int, versions["prometheus-3"].split(".")[:2])
    assert (major, minor) >= (3, 5)


@pytest.mark.parametrize(
    ("name", "job", "spoken"),
    [
        ("prometheus", "default", OPENMETRICS),
        ("prometheus", "forced", TEXT),
        ("prometheus-3", "text", TEXT),
        ("prometheus-3", "text1", TEXT_1),
        ("prometheus-3", "openmetrics", OPENMETRICS),
    ],
)
def test_each_job_is_answered_in_the_format_meant(
    servers: dict[str, Server], name: str, job: str, spoken: str
) -> None:
    answered = servers[name].relay.answered[job]
    assert {kind.partition("; escaping")[0] for kind in answered} == {
        spoken.partition("; escaping")[0]
    }


@pytest.mark.parametrize(("name", "job"), CASES)
def test_every_scrape_succeeds(servers: dict[str, Server], name: str, job: str) -> None:
    server = servers[name]
    assert server.value(f'min_over_time(up{{job="{job}"}}[1m])') == 1
    (target,) = [one for one in server.get("targets")["activeTargets"] if one["scrapePool"] == job]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert server.value(f'scrape_samples_scraped{{job="{job}"}}') > 200


@pytest.mark.parametrize("name", JOBS)
def test_prometheus_has_nothing_to_complain_of(servers: dict[str, Server], name: str) -> None:
    server = servers[name]
    bad = re.findall(r"^.*level=(?:warn|error|WARN|ERROR)\b.*$", server.log.read_text(), re.M)
    assert bad == []
    own = httpx.get(f"{server.url}/metrics", trust_env=False).text
    for kind in (
        "sample_duplicate_timestamp", "sample_out_of_order", "sample_out_of_bounds",
        "exceeded_sample_limit", "exceeded_body_size_limit",
    ):  # fmt: skip
        (value,) = re.findall(rf"^prometheus_target_scrapes_{kind}_total (\S+)$", own, re.M)
        assert float(value) == 0, kind


def of_prometheus(server: Server, job: str) -> dict[Any, float]:
    """Return the counters that stand still, by name and labels."""
    found = server.query(f'{{job="{job}",__name__=~"badgateway_.+_total",probe=""}}')
    return {
        tuple(sorted((k, v) for k, v in one["metric"].items() if k not in ("job", "instance"))):
            float(one["value"][1])
        for one in found
    }  # fmt: skip


@pytest.mark.parametrize(("name", "job"), CASES)
def test_every_counter_is_the_exporters(
    servers: dict[str, Server], busy: ExporterProcess, name: str, job: str
) -> None:
    expected = {
        tuple(sorted([("__name__", metric), *((k, v) for k, v in labels if v)])): value
        for (metric, labels), value in busy.scrape().items()
        if metric.startswith("badgateway_") and metric.endswith("_total")
        and "probe" not in dict(labels)
    }  # fmt: skip
    assert of_prometheus(servers[name], job) == expected
    failures = f'badgateway_upstream_failures_total{{job="{job}",reason="connect_refused"}}'
    assert servers[name].value(failures) == REPEATED
    assert servers[name].value(failures.replace('reason="connect_refused"', 'reason="reset"')) == (
        REPEATED if "reset" in ERRORS else 0
    )


@pytest.mark.parametrize(("name", "job"), CASES)
def test_label_values_arrive_as_they_are(servers: dict[str, Server], name: str, job: str) -> None:
    (info,) = servers[name].query(f'badgateway_backend_info{{job="{job}",backend="api"}}')
    assert info["metric"]["environment"] == 'rehearsal "quoted" \\ and ümläut'


def described(series: str) -> catalogue.Metric:
    """Return the metric that a series' name is of."""
    name = series.removeprefix(catalogue.PREFIX)
    histograms = {
        f"{metric.name}_{part}": metric
        for metric in catalogue.METRICS
        if metric.kind == "histogram"
        for part in ("bucket", "sum", "count")
    }
    return histograms.get(name) or catalogue.BY_NAME[name]


@pytest.mark.parametrize("name", JOBS)
def test_types_and_help_are_the_catalogues(servers: dict[str, Server], name: str) -> None:
    server = servers[name]
    metadata = server.get("metadata")
    exposed = {one for one in server.get("label/__name__/values") if one.startswith("badgateway_")}
    assert len(exposed) > 30
    for full in exposed:
        metric = described(full)
        # OpenMetrics names a counter's family without its suffix
        said = [
            one
            for family in {full, full.removesuffix("_total"), catalogue.PREFIX + metric.name}
            for one in metadata.get(family, [])
        ]
        assert {(one["type"], one["help"]) for one in said} == {(metric.kind, metric.help)}
