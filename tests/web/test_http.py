"""The served exporter as Prometheus, a browser and an operator meet it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from badgateway import __version__, catalogue
from tests.lab.require import require
from tests.servers import ExporterProcess

CONFIG = """
environment: test
discovery: {enabled: false}
probes: {interval: 1s, timeout: 900ms}
backends:
  - name: api
    upstreams: ["127.0.0.1:9"]
    probes:
      - name: public
        url: "http://127.0.0.1:9/?token=hunter2"
        vantage: edge
        basic_auth: {username: user, password: hunter2}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    with ExporterProcess(tmp_path_factory.mktemp("http"), CONFIG) as exporter:
        exporter.wait_for("diagnosis", 1, cause="undetermined")
        yield exporter


def get(running: ExporterProcess, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    return httpx.request(method, running.url + path, headers=headers, trust_env=False)


def test_text_is_served_by_default(running: ExporterProcess) -> None:
    response = get(running, "/metrics", **{"Accept-Encoding": "identity"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "badgateway_probe_responses_total{" in response.text
    assert "_created" not in response.text


def test_openmetrics_is_served_when_asked_for(running: ExporterProcess) -> None:
    response = get(running, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert "badgateway_diagnosis" in names
    assert not any(name.endswith("_created") for name in names)


def test_what_is_large_is_compressed(running: ExporterProcess) -> None:
    response = get(running, "/metrics", **{"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.text.startswith("# HELP")


def test_head_has_headers_and_no_body(running: ExporterProcess) -> None:
    response = get(running, "/metrics", "HEAD")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert response.content == b""


def test_nothing_is_exposed_that_the_catalogue_does_not_declare(running: ExporterProcess) -> None:
    for name, labels in running.scrape():
        if not name.startswith(catalogue.PREFIX):
            assert name.startswith(("process_", "python_info"))
            continue
        metric = catalogue.BY_NAME[name.removeprefix(catalogue.PREFIX)]
        assert {label for label, _ in labels} == set(metric.labels)
        for label, value in labels:
            allowed = catalogue.CLOSED.get((metric.name, label))
            assert allowed is None or value in allowed, (name, label, value)


def test_promtool_finds_nothing_to_say(running: ExporterProcess) -> None:
    text = get(running, "/metrics").content
    checked = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_health_is_told(running: ExporterProcess, path: str) -> None:
    assert get(running, path).status_code == 200


def test_the_page_says_what_is_watched_and_what_is_wrong(running: ExporterProcess) -> None:
    page = get(running, "/").text
    assert "api" in page
    assert "undetermined" in page
    assert "nothing listens" in page


def test_the_pages_links_work(running: ExporterProcess) -> None:
    links = re.findall(r'href="([^"]+)"', get(running, "/").text)
    assert {"metrics", "api/v1/diagnosis", "-/healthy", "-/ready"} <= set(links)
    for link in links:
        assert get(running, f"/{link}").status_code == 200


def test_no_secret_leaves(running: ExporterProcess) -> None:
    for path in ("/", "/metrics", "/api/v1/diagnosis"):
        assert "hunter2" not in get(running, path).text
    assert "hunter2" not in running.log.read_text()


def test_an_unknown_path_is_not_found(running: ExporterProcess) -> None:
    assert get(running, "/nothing").status_code == 404
    assert get(running, "/metrics", "POST").status_code == 405


def test_it_stops_within_two_seconds_and_reports_success(tmp_path: Path) -> None:
    exporter = ExporterProcess(tmp_path, CONFIG)
    exporter.start()
    begun = time.monotonic()
    assert exporter.end(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 2


def badgateway(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "badgateway", *arguments],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def test_the_version_is_told() -> None:
    told = badgateway("--version")
    assert (told.returncode, told.stdout) == (0, f"badgateway, version {__version__}\n")


def test_a_bad_configuration_ends_with_two_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("probes:\n  intervall: 5s\n")
    ended = badgateway("serve", "--config.file", str(tmp_path / "bad.yml"))
    assert ended.returncode == 2
    assert "bad.yml:2:3: probes.intervall: unknown key" in ended.stderr
    assert "did you mean `interval`?" in ended.stderr


def test_a_taken_address_ends_with_two_and_a_remedy(
    running: ExporterProcess, tmp_path: Path
) -> None:
    ended = badgateway(
        "serve", f"--web.listen-address=127.0.0.1:{running.port}", f"--storage.path={tmp_path}"
    )
    assert ended.returncode == 2
    assert "Address already in use; choose another with --web.listen-address" in ended.stderr


def test_a_second_exporter_on_the_same_state_ends_with_two(running: ExporterProcess) -> None:
    ended = badgateway(
        "serve", "--web.listen-address=127.0.0.1:0",
        f"--storage.path={running.directory / 'state'}",
    )  # fmt: skip
    assert ended.returncode == 2
    assert "another badgateway uses the state directory" in ended.stderr


def test_diagnose_asks_the_running_exporter(running: ExporterProcess) -> None:
    told = badgateway("diagnose", "--url", running.url)
    assert told.returncode == 1
    assert "undetermined" in told.stdout
    assert "127.0.0.1:9" in told.stdout
    as_json = badgateway("diagnose", "api", "--url", running.url, "--json")
    assert '"name": "undetermined"' in as_json.stdout


def test_diagnose_of_an_unknown_backend_names_the_known(running: ExporterProcess) -> None:
    told = badgateway("diagnose", "nobody", "--url", running.url)
    assert told.returncode == 2
    assert "no backend `nobody`; known: api" in told.stderr


def test_diagnose_without_an_exporter_looks_for_itself(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(CONFIG)
    told = badgateway("diagnose", "--config.file", str(tmp_path / "c.yml"))
    assert told.returncode == 1, told.stderr
    assert "nothing listens" in told.stdout
