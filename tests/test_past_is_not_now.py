"""What happened while the exporter was away is counted, and is no news: real nginx, the shipped
rules on real Prometheus and Alertmanager."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.alerts import stack
from tests.caddylog import eventually
from tests.lab.require import require
from tests.nginxlab import Nginx, application
from tests.servers import ExporterProcess, free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

CONFIG = """
discovery: {{enabled: false, interval: 1s}}
probes: {{default: false}}
proxies:
  - {{name: web, kind: nginx, config: {config}}}
"""
STALE_SECONDS = 60
"""An exporter that was away for longer reads an absence."""
OUTAGE = 60
WATCHED_SECONDS = 100


def sites(app: str, *others: str) -> str:
    named = {"one.test": app, **{f"new{number}.test": at for number, at in enumerate(others)}}
    return "".join(
        f"server {{ listen PORT; server_name {name}; location / {{ proxy_pass http://{at}; }} }}"
        for name, at in named.items()
    )


def asked(prometheus: int, query: str) -> list[Any]:
    url = f"http://127.0.0.1:{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


def test_an_outage_slept_through_is_counted_and_a_reloads_first_failure_is_seen(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    ends = stack.Ends(lambda: "")
    parts = require("prometheus"), require("alertmanager")
    with (
        application() as port,
        Nginx(folder, sites(f"127.0.0.1:{port}"), "told") as nginx,
        stack.running(ends, *parts, tmp_path) as prometheus,
    ):
        app = f"127.0.0.1:{port}"
        watched = int((tmp_path / "exporter").read_text())
        config = CONFIG.format(config=nginx.config)
        with ExporterProcess(tmp_path, config, port=watched) as exporter:
            stack.wait_until_watched(prometheus)
            for _ in range(10):
                assert nginx.get("/ok") == 200
            exporter.wait_for("proxy_responses_total", 10)
            exporter.end(9)
            for _ in range(OUTAGE):
                assert nginx.get("/close") == 502
            time.sleep(STALE_SECONDS + 2)
            assert nginx.get("/ok") == 200
            exporter.start()
            begun = time.monotonic()
            exporter.wait_for("upstream_failures_total", OUTAGE, reason="premature_close")
            exporter.wait_for("proxy_errors_total", OUTAGE, origin="upstream", code="502")
            exporter.wait_for("proxy_responses_total", OUTAGE + 11)
            assert exporter.total("source_catching_up") >= 1
            while time.monotonic() - begun < WATCHED_SECONDS:
                healthy = exporter.total("diagnosis", backend=app, cause="none")
                assert healthy == exporter.total("diagnosis", backend=app)
                time.sleep(2)
            assert asked(prometheus, f'ALERTS{{backend="{app}"}}') == []
            told = [alert["labels"] for n in ends.received for alert in n.body["alerts"]]
            assert [labels for labels in told if labels.get("backend") == app] == []
            assert exporter.total("source_catching_up") == 0
            assert exporter.total("source_gaps_total") == 0

            dead = f"127.0.0.1:{free_port()}"
            nginx.write(sites(app, dead))
            nginx.reload()
            assert nginx.get("/", host="new0.test") == 502
            query = f'increase(badgateway_upstream_failures_total{{upstream="{dead}"}}[1m]) > 0'
            eventually(lambda: asked(prometheus, query), 60)
