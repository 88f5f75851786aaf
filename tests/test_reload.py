"""Reloading changes only what differs, and a bad file changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from badgateway import config
from badgateway.exporter import Exporter
from badgateway.lifecycle import Lifecycle
from tests.caddylog import append, eventually, failure
from tests.servers import ExporterProcess, Series, is_counter

PROXY = """
  - name: {name}
    kind: caddy
    admin: ""
    config: {place}/{name}.json
    logs: [{logs}]
"""
CONFIG = """
discovery: {{enabled: false}}
probes: {{default: false}}
backends: {backends}
proxies: {proxies}
"""


class Place:
    """A folder with logs and configurations of Caddy, and an exporter that reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("web", "shop"):
            self.caddy(name, "127.0.0.1:9")
        self.exporter = ExporterProcess(path)

    def caddy(self, name: str, upstream: str, site: str = "example.test") -> None:
        handler = {"handler": "reverse_proxy", "upstreams": [{"dial": upstream}]}
        route = {"match": [{"host": [site]}], "handle": [handler]}
        servers = {"s": {"listen": [":9"], "routes": [route]}}
        document = {"apps": {"http": {"servers": servers}}}
        (self.path / f"{name}.json").write_text(json.dumps(document))

    def configure(self, *proxies: str, backends: str = "[]", **logs: list[str]) -> None:
        """Write a configuration with these proxies, each with its logs."""
        for names in logs.values():
            for name in names:
                (self.path / name).touch()
        text = "".join(
            PROXY.format(
                name=name, place=self.path,
                logs=", ".join(f"{{file: {self.path / log}}}" for log in logs[name]),
            )
            for name in proxies
        )  # fmt: skip
        self.write(CONFIG.format(backends=backends, proxies=text or "[]"))

    def write(self, text: str) -> None:
        (self.path / "badgateway.yml").write_text(text)

    def reload(self, good: bool = True) -> None:
        """Reload, and wait until that has been done."""
        name = "config_last_reload_success_timestamp_seconds"
        before = self.exporter.total(name)
        os.kill(self.exporter.pid, signal.SIGHUP)
        if good:
            eventually(lambda: self.exporter.total(name) > before)
            self.exporter.wait_for("config_last_reload_successful", 1)
        else:
            self.exporter.wait_for("config_last_reload_successful", 0)

    def fails(self, log: str, times: int = 1) -> None:
        append(self.path / log, failure(0) * times)

    def counters(self) -> dict[Series, float]:
        return {series: v for series, v in self.exporter.scrape().items() if is_counter(series)}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.exporter.end(signal.SIGKILL)


def test_a_bad_file_keeps_the_old_configuration_and_says_what_is_wrong(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.write("proxies:\n  - name: web\n    kind: cady\n")
    place.reload(good=False)
    place.fails("web.log", 3)
    place.exporter.wait_for("upstream_failures_total", 3)
    log = place.exporter.log.read_text()
    assert "badgateway.yml:3:5: proxies[0].kind" in log
    assert "caddy" in log
    place.configure("web", web=["web.log"])
    place.reload()
    assert place.exporter.total("upstream_failures_total") == 3


def test_a_file_that_is_gone_keeps_the_old_configuration(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    (place.path / "badgateway.yml").unlink()
    place.reload(good=False)
    place.fails("web.log")
    place.exporter.wait_for("upstream_failures_total", 1)


def test_a_reload_touches_nothing_that_it_does_not_change(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.fails("web.log", 2)
    place.exporter.wait_for("upstream_failures_total", 2)
    before = place.counters()
    place.configure("web", "shop", web=["web.log"], shop=["shop.log"])
    place.reload()
    place.exporter.wait_for("source_up", 1, source="shop-log")
    after = place.counters()
    assert {series: after.get(series) for series in before} == before
    place.fails("shop.log", 5)
    place.fails("web.log", 1)
    place.exporter.wait_for("upstream_failures_total", 5, proxy="shop")
    place.exporter.wait_for("upstream_failures_total", 3, proxy="web")
    assert place.exporter.total("source_gaps_total") == 0


def test_what_was_removed_vanishes_and_counts_on_when_it_comes_back(place: Place) -> None:
    place.caddy("shop", "127.0.0.1:10", "shop.test")
    place.configure("web", "shop", web=["web.log"], shop=["shop.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.exporter.wait_for("source_up", 1, source="shop-log")
    line = failure(0).replace(b"example.test", b"shop.test").replace(b"0.1:9", b"0.1:10")
    append(place.path / "shop.log", line * 4)
    place.exporter.wait_for("upstream_failures_total", 4, backend="127.0.0.1:10")
    place.configure("web", web=["web.log"])
    place.reload()
    left = str(sorted(place.exporter.scrape()))
    assert "127.0.0.1:10" not in left.replace("127.0.0.1:10502", "")
    assert "shop" not in left
    assert "127.0.0.1:9" in left
    place.configure("web", "shop", web=["web.log"], shop=["shop.log"])
    place.reload()
    place.exporter.wait_for("upstream_failures_total", 4, backend="127.0.0.1:10")
    append(place.path / "shop.log", line)
    place.exporter.wait_for("upstream_failures_total", 5, backend="127.0.0.1:10")


def test_a_backend_with_another_name_begins_anew(place: Place) -> None:
    backend = "[{{name: {}, upstreams: ['127.0.0.1:9']}}]"
    place.configure("web", backends=backend.format("old"), web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.fails("web.log", 2)
    place.exporter.wait_for("upstream_failures_total", 2, backend="old")
    place.configure("web", backends=backend.format("new"), web=["web.log"])
    place.reload()
    place.fails("web.log", 1)
    place.exporter.wait_for("upstream_failures_total", 1, backend="new")
    assert not [s for s in place.exporter.scrape() if ("backend", "old") in s[1]]


def test_a_log_keeps_its_name_and_its_place_when_another_goes(place: Place) -> None:
    place.configure("web", web=["a.log", "b.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log-2")
    append(place.path / "b.log", failure(1) * 3)
    place.exporter.wait_for("log_lines_total", 3, source="web-log-2")
    place.configure("web", web=["b.log"])
    place.reload()
    append(place.path / "b.log", failure(2) * 2)
    place.exporter.wait_for("log_lines_total", 5, source="web-log-2")
    assert place.exporter.total("source_gaps_total") == 0
    place.configure("web", web=["c.log", "b.log"])  # no name is given to two files
    place.reload()
    place.exporter.wait_for("source_up", 1, source="web-log-3")
    append(place.path / "c.log", failure(3))
    place.exporter.wait_for("log_lines_total", 1, source="web-log-3")
    assert place.exporter.total("log_lines_total", source="web-log-2") == 5


def test_no_line_is_lost_or_doubled_by_reloads_in_traffic(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    written = 0
    for number in range(12):
        place.fails("web.log", 7)
        written += 7
        other = ["shop"] if number % 2 else []
        place.configure("web", *other, web=["web.log"], shop=["shop.log"])
        os.kill(place.exporter.pid, signal.SIGHUP)
        time.sleep(0.05)
        place.fails("web.log", 3)
        written += 3
    place.exporter.wait_for("upstream_failures_total", written, proxy="web")
    time.sleep(0.5)
    assert place.exporter.total("upstream_failures_total", proxy="web") == written


def test_probes_follow_the_configuration(place: Place) -> None:
    probe = "[{{name: api, upstreams: ['127.0.0.1:9'], probes: [{{name: {}, url: '{}'}}]}}]"
    url = "http://127.0.0.1:9/"
    place.configure("web", backends=probe.format("one", url), web=["web.log"])
    place.exporter.start()
    eventually(lambda: place.exporter.total("probe_failures_total", probe="one"))
    text = CONFIG.format(backends=probe.format("two", url), proxies="[]")
    place.write(text.replace("default: false", "default: false, interval: 200ms, timeout: 100ms"))
    place.reload()
    eventually(lambda: place.exporter.total("probe_failures_total", probe="two") >= 4)
    assert not [s for s in place.exporter.scrape() if ("probe", "one") in s[1]]
    place.write(text.replace("default: false", "enabled: false"))
    place.reload()
    assert not [s for s in place.exporter.scrape() if s[0].startswith("badgateway_probe_")]


def test_a_log_that_moves_to_another_proxy_is_gone_on_with_where_it_was_left(place: Place) -> None:
    place.configure("web", "shop", web=["one.log"], shop=["two.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.exporter.wait_for("source_up", 1, source="shop-log")
    written = 0
    for number in range(4):
        for log in ("one.log", "two.log"):
            place.fails(log, 50)
            written += 50
        logs = ["two.log", "one.log"] if number % 2 == 0 else ["one.log", "two.log"]
        place.configure("web", "shop", web=logs[:1], shop=logs[1:])
        place.fails("one.log", 20)
        written += 20
        if number == 2:  # killed, and begun with a configuration it never had before
            place.exporter.end(signal.SIGKILL)
            place.fails("two.log", 10)
            written += 10
            place.exporter.start()
        else:
            place.reload()
        place.exporter.wait_for("upstream_failures_total", written, seconds=5)
        time.sleep(0.5)
        assert place.exporter.total("upstream_failures_total") == written
    assert place.exporter.total("source_gaps_total") == 0


def test_what_was_away_for_a_moment_in_traffic_is_neither_lost_nor_doubled(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    time.sleep(0.5)  # until that is durable
    written, highest = 0, 0.0
    for number in range(6):
        place.fails("web.log", 500)
        place.configure(web=["web.log"])
        os.kill(place.exporter.pid, signal.SIGHUP)
        time.sleep(0.02 * number)
        place.fails("web.log", 5)
        written += 505
        place.configure("web", web=["web.log"])
        if number % 3 == 2:
            place.exporter.end(signal.SIGKILL)
            place.exporter.start()
        else:
            os.kill(place.exporter.pid, signal.SIGHUP)
        now = place.exporter.total("upstream_failures_total", proxy="web")
        assert now >= highest or now == 0  # not there while it is away
        highest = max(highest, now)
    place.exporter.wait_for("upstream_failures_total", written, proxy="web")
    time.sleep(0.6)
    assert place.exporter.total("upstream_failures_total", proxy="web") == written


def test_a_storm_of_signals_is_two_reloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "badgateway.yml", list[Path | None]()
    path.write_text("discovery: {enabled: false}")

    def load(given: Path | None) -> config.Config:
        read.append(given)
        return config.parse(path.read_text())

    async def run() -> str:
        exporter = Exporter(config.load(path), None)
        lifecycle = Lifecycle(exporter, path, lambda _: None)
        monkeypatch.setattr(config, "load", load)
        for number in range(300):
            lifecycle.request_reload()
            if number % 100 == 0:
                await asyncio.sleep(0)
        path.write_text("{discovery: {enabled: false}, environment: last}")
        await lifecycle.reload()
        environment = exporter.config.environment
        lifecycle.stopping()
        lifecycle.request_reload()
        assert await lifecycle.reload() == "the exporter is stopping"
        await exporter.stop()
        return environment

    assert asyncio.run(run()) == "last"
    assert len(read) <= 3


def test_a_signal_during_the_end_changes_nothing(place: Place) -> None:
    place.configure("web", web=["web.log"])
    place.exporter.start()
    place.exporter.wait_for("source_up", 1, source="web-log")
    place.configure("web", "shop", web=["web.log"], shop=["shop.log"])
    os.kill(place.exporter.pid, signal.SIGTERM)
    for _ in range(5):
        os.kill(place.exporter.pid, signal.SIGHUP)
    assert place.exporter.end(signal.SIGTERM) == 0
    log = place.exporter.log.read_text()
    assert "configuration reloaded" not in log
    assert "Traceback" not in log


def test_a_longer_timeout_holds_for_probes_that_run_already(place: Place) -> None:
    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.6)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    text = CONFIG.format(
        backends=f"[{{name: api, probes: [{{name: p, url: '{url}'}}]}}]", proxies="[]"
    )
    probes = "default: false, interval: 2s, timeout: {}"
    try:
        place.write(text.replace("default: false", probes.format("200ms")))
        place.exporter.start()
        eventually(lambda: place.exporter.total("probe_failures_total", reason="response_timeout"))
        place.write(text.replace("default: false", probes.format("2s")))
        place.reload()
        eventually(lambda: place.exporter.total("probe_responses_total", code="200"))
    finally:
        server.shutdown()
        server.server_close()


def test_a_reload_asked_for_during_the_start_is_done_after_it(place: Place) -> None:
    place.configure("web", web=["web.log"])
    asking = threading.Thread(target=ask_early, args=(place.exporter,))
    asking.start()
    place.exporter.start()
    asking.join()
    eventually(lambda: "configuration reloaded" in place.exporter.log.read_text())
    place.exporter.wait_for("source_up", 1, source="web-log")


def ask_early(exporter: ExporterProcess) -> None:
    """Ask for a reload as soon as the starting program holds such requests back."""
    while True:
        try:
            status = Path(f"/proc/{exporter.pid}/status").read_text()
        except (AssertionError, OSError):
            continue  # it is not there yet
        (blocked,) = re.findall(r"^SigBlk:\s+([0-9a-f]+)$", status, re.M)
        if int(blocked, 16) & 1 << signal.SIGHUP - 1:
            os.kill(exporter.pid, signal.SIGHUP)
            return
        time.sleep(0.002)
