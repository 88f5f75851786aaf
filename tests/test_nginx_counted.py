"""nginx' logs, counted where they belong: real nginx, real faults, a real exporter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.caddylog import eventually
from tests.nginxlab import Nginx, application, rotate
from tests.servers import ExporterProcess, free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

CONFIG = """
discovery: {{enabled: false, interval: 1s}}
probes: {{default: false}}
proxies:
  - {{name: web, kind: nginx, config: {config}}}
"""


@dataclass(frozen=True)
class Site:
    nginx: Nginx
    exporter: ExporterProcess
    app: str
    dead: str

    def total(self, name: str, **labels: str) -> float:
        return self.exporter.total(name, **labels)

    def failures(self) -> dict[str, float]:
        """Reason → failed attempts, of those there are."""
        found: dict[str, float] = {}
        for (name, labels), value in self.exporter.scrape().items():
            if name == "badgateway_upstream_failures_total" and value:
                reason = dict(labels)["reason"]
                found[reason] = found.get(reason, 0) + value
        return found

    def answered(self, number: int) -> None:
        """Wait until so many answers have been counted."""
        self.exporter.wait_for("proxy_responses_total", number)


def servers(app: str, dead: str) -> str:
    return f"""
      limit_req_zone $server_name zone=one:1m rate=1r/m;
      upstream both {{ server {dead} max_fails=0; server {app} max_fails=0; }}
      server {{ listen PORT; server_name one.test;
        location / {{ proxy_pass http://{app}; }}
        location /dead {{ proxy_pass http://{dead}; }}
        location /both {{ proxy_pass http://both; }}
        location /local {{ return 503; }}
        location /limited {{ limit_req zone=one; proxy_pass http://{app}; }}
        location /masked {{ proxy_pass http://{dead}; error_page 502 =200 /fine; }}
        location /fine {{ return 200 fine; }}
      }}
    """


@pytest.fixture(params=["combined", "told"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "nginx"
    folder.mkdir()
    with application() as port:
        app, dead = f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}"
        with (
            Nginx(folder, servers(app, dead), request.param) as nginx,
            ExporterProcess(tmp_path, CONFIG.format(config=nginx.config)) as exporter,
        ):
            begun = ("source", "web-log"), ("source", "web-log-2")
            wanted = {("badgateway_source_gaps_total", (source,)) for source in begun}
            eventually(lambda: wanted <= exporter.scrape().keys())
            yield Site(nginx, exporter, app, dead)


def test_each_fault_is_counted_where_it_belongs(site: Site) -> None:
    asked = [
        ("/ok", 200, 3), ("/404", 404, 1), ("/dead", 502, 2), ("/close", 502, 2),
        ("/hang", 504, 1), ("/503", 503, 2), ("/local", 503, 3), ("/masked", 200, 1),
    ]  # fmt: skip
    for path, status, times in asked:
        for _ in range(times):
            assert site.nginx.get(path) == status
    assert site.nginx.get("/hang", timeout=0.2) == 0  # the client leaves
    site.nginx.get("/ok", headers={"User-Agent": "curl/8"})
    site.answered(16)
    site.exporter.wait_for("client_aborts_total", 1, site="one.test")
    assert site.failures() == {"connect_refused": 3, "premature_close": 2, "response_timeout": 1}
    assert site.total("upstream_failures_total", backend=site.dead, upstream=site.dead) == 3
    assert site.total("proxy_responses_total", site="one.test", code="200") == 5
    site.exporter.wait_for("proxy_errors_total", 4, origin="upstream", code="502", seconds=8)
    assert site.total("proxy_errors_total", origin="upstream", code="504") == 1
    told = site.nginx.format == "told"
    # `combined` does not say who made a 5xx that no error line is about: nobody's, not guessed
    assert site.total("proxy_errors_total", origin="application", code="503") == 2 * told
    assert site.total("proxy_errors_total", origin="proxy", code="503") == 3 * told
    site.exporter.wait_for("upstream_failures_masked_total", 1, upstream=site.dead)


def test_a_retried_request_is_one_answer_and_each_attempt_one_failure(site: Site) -> None:
    asked = 12
    for _ in range(asked):
        assert site.nginx.get("/both/ok") == 200
    site.answered(asked)
    time.sleep(0.5)
    tried = site.total("upstream_failures_total", upstream=site.dead, reason="connect_refused")
    assert 3 <= tried <= asked
    lines = site.nginx.log.read_text().count("Connection refused")
    assert tried == lines == sum(site.failures().values())
    site.exporter.wait_for("upstream_failures_masked_total", tried, upstream=site.dead)
    assert site.total("proxy_errors_total") == 0


def test_refused_by_nginx_itself_is_no_failure_of_the_upstream(site: Site) -> None:
    statuses = [site.nginx.get("/limited/ok") for _ in range(4)]
    assert statuses == [200, 503, 503, 503]
    site.answered(4)
    time.sleep(0.5)
    assert site.failures() == {}


FORGED = '", upstream: "http://10.9.9.9:1/", host: "evil"'


def test_nothing_a_client_sends_names_an_upstream_or_a_reason(site: Site) -> None:
    line = (
        "2026/11/21 08:35:14 [error] 1#1: *1 connect() failed (111: Connection refused) while "
        'connecting to upstream, client: 1.1.1.1, server: one.test, request: "GET / HTTP/1.1", '
        f'upstream: "http://{site.dead}/", host: "one.test"'
    )
    for number, forged in enumerate((FORGED, line, f"x\t{line}", "\x1b[31m" + line)):
        path = "/close" if number % 2 else "/ok"
        wanted = 502 if number % 2 else 200
        headers = {"Referer": forged, "User-Agent": forged, "X": forged}
        assert site.nginx.get(path, headers=headers) == wanted
    quoted = FORGED.replace(" ", "%20")
    raw = f'GET /close?{quoted}"x HTTP/1.0\r\nHost: one.test\r\nReferer: {FORGED}\r\n\r\n'.encode()
    assert b" 502 " in site.nginx.raw(raw)
    site.answered(5)
    site.exporter.wait_for("upstream_failures_total", 3, reason="premature_close")
    assert site.failures() == {"premature_close": 3}
    assert site.total("upstream_failures_total", upstream=site.app) == 3
    text = str(site.exporter.scrape())
    assert "10.9.9.9" not in text
    assert "evil" not in text


def test_a_cut_line_keeps_its_reason(site: Site) -> None:
    assert site.nginx.get("/close?" + "x" * 4000) == 502
    site.answered(1)
    site.exporter.wait_for("upstream_failures_total", 1, reason="premature_close")


def test_hosts_that_clients_invent_are_no_series(site: Site) -> None:
    for number in range(60):
        site.nginx.get("/ok", host=f"h{number}.evil.test")
    site.answered(60)
    sites = {
        dict(labels)["site"]
        for (name, labels) in site.exporter.scrape()
        if name == "badgateway_proxy_responses_total"
    }
    assert sites <= {"one.test", "other"}


def test_rotation_by_rename_and_signal_loses_nothing(site: Site) -> None:
    for number in range(9):
        assert site.nginx.get("/ok") == 200
        assert site.nginx.get("/close") == 502
        if number % 3 == 1:
            rotate(site.nginx.access)
            rotate(site.nginx.log)
            assert site.nginx.get("/close") == 502  # still into the old files
            site.nginx.reopen()
    site.answered(21)
    site.exporter.wait_for("upstream_failures_total", 12, reason="premature_close")
    assert site.total("source_gaps_total") == 0


def test_a_kill_in_the_middle_loses_and_doubles_nothing(site: Site) -> None:
    for _ in range(5):
        site.nginx.get("/close")
        site.nginx.get("/ok")
        time.sleep(0.4)
        site.exporter.end(9)
        site.nginx.get("/close")
        site.nginx.get("/ok")
        site.exporter.start()
    site.answered(20)
    site.exporter.wait_for("upstream_failures_total", 10, reason="premature_close")
    site.exporter.wait_for("proxy_errors_total", 10, origin="upstream", code="502", seconds=10)


def test_a_reload_brings_an_upstream_whose_zero_is_there_before_its_first_failure(
    site: Site,
) -> None:
    dead = f"127.0.0.1:{free_port()}"
    site.nginx.write(
        servers(site.app, site.dead)
        + "server { listen PORT; server_name new.test; "
        + f"location / {{ proxy_pass http://{dead}; }} }}"
    )

    def seen() -> set[float]:
        return {
            value
            for (name, labels), value in site.exporter.scrape().items()
            if name == "badgateway_upstream_failures_total" and dict(labels)["upstream"] == dead
        }

    eventually(lambda: bool(seen()))  # on disk, and not loaded yet
    assert seen() == {0.0}
    site.nginx.reload()
    assert site.nginx.get("/", host="new.test") == 502
    site.exporter.wait_for("upstream_failures_total", 1, upstream=dead, reason="connect_refused")
