"""Which metrics a scrape gets when it asks for some."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from badgateway import catalogue
from badgateway.web.selection import GROUPS, group
from tests.web.world import QUIET, Served, get

CONFIG = (
    QUIET
    + """
backends:
  - name: api
    upstreams: ["127.0.0.1:9"]
"""
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("selection"), config=CONFIG) as served:
        deadline = time.monotonic() + 10
        while b"badgateway_backend_info{" not in served.ask(get("/metrics")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield served


def scrape(served: Served, query: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, f"{served.url}/metrics?{query}", headers=headers, trust_env=False)


def families(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200
    return set(re.findall(r"(?m)^# TYPE (\S+) ", answer.text))


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_group(metric: catalogue.Metric) -> None:
    assert group(metric.name) in GROUPS


def test_names_choose_families(served: Served) -> None:
    asked = "name[]=badgateway_build_info&name[]=process_open_fds&name[]=nothing"
    assert families(scrape(served, asked)) == {"badgateway_build_info", "process_open_fds"}


def test_a_sample_is_asked_for_by_its_own_name(served: Served) -> None:
    name = "process_cpu_seconds_total"
    answer = scrape(served, f"name[]={name}", Accept="application/openmetrics-text; version=1.0.0")
    assert families(answer) == {"process_cpu_seconds"}
    assert answer.text.endswith("# EOF\n")


def test_nothing_that_there_is_gives_an_empty_answer(served: Served) -> None:
    answer = scrape(served, "name[]=nothing")
    assert (answer.status_code, answer.text) == (200, "")


def test_groups_are_collected(served: Served) -> None:
    found = families(scrape(served, "collect[]=paths&collect[]=diagnosis"))
    assert "badgateway_backend_info" in found
    assert {group(name.removeprefix("badgateway_")) for name in found} <= {"paths", "diagnosis"}


def test_groups_are_excluded(served: Served) -> None:
    everything = families(scrape(served, ""))
    found = families(scrape(served, "exclude[]=exporter"))
    assert "badgateway_backend_info" in found
    assert found == {
        n for n in everything if group(n.removeprefix("badgateway_")) != "exporter"
    } - {n for n in everything if not n.startswith("badgateway_")}


def test_names_and_groups_narrow_each_other(served: Served) -> None:
    assert families(scrape(served, "collect[]=paths&name[]=badgateway_build_info")) == set()


def test_both_ways_at_once_are_refused(served: Served) -> None:
    answer = scrape(served, "collect[]=paths&exclude[]=probes")
    assert answer.status_code == 400
    assert answer.text == "Combined collect and exclude queries are not allowed.\n"


@pytest.mark.parametrize("query", ["collect[]=cpu", "exclude[]=cpu", "collect[]="])
def test_an_unknown_group_is_refused_and_the_known_are_named(served: Served, query: str) -> None:
    answer = scrape(served, query)
    assert answer.status_code == 400
    assert answer.text == f"Unknown collector; there are: {', '.join(GROUPS)}.\n"


@pytest.mark.parametrize("timeout", ["10", "0.5", "-1", "nan", "soon", "", "9" * 400])
def test_a_scrapers_time_out_is_tolerated(served: Served, timeout: str) -> None:
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": timeout}
    assert scrape(served, "", **headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
@pytest.mark.parametrize("path", ["metrics", "", "-/healthy", "-/ready", "api/v1/diagnosis"])
def test_what_is_read_is_not_written(served: Served, method: str, path: str) -> None:
    answer = httpx.request(method, f"{served.url}/{path}", trust_env=False)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_head_tells_the_length_and_nothing_else(served: Served) -> None:
    answer = scrape(served, "name[]=badgateway_build_info", "HEAD")
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""
