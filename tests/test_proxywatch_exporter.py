"""Disk against memory as the exporter shows it: a real nginx, changed, reloaded, refused."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginxlab import Nginx, application
from tests.servers import ExporterProcess, free_port
from tests.topology.rootsplace import roots_place

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

CONFIG = """
probes: {{default: false}}
proxies:
  - {{name: edge, kind: nginx, config: {config}}}
"""
SITE = "server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:%d; } }"


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    with roots_place() as folder, application() as port, Nginx(folder, SITE % port) as running:
        yield running


@pytest.fixture
def exporter(nginx: Nginx, tmp_path: Path) -> Iterator[ExporterProcess]:
    with ExporterProcess(tmp_path, CONFIG.format(config=nginx.config)) as running:
        yield running


def gauge(exporter: ExporterProcess, name: str) -> float | None:
    """The proxy's value of ``proxy_config_NAME``; None where it is absent."""
    key = (f"badgateway_proxy_config_{name}", (("proxy", "edge"),))
    return exporter.scrape().get(key)


def within(seconds: float, exporter: ExporterProcess, name: str, fits: object) -> float:
    deadline = time.monotonic() + seconds
    while True:
        value = gauge(exporter, name)
        if value is not None and fits(value):  # type: ignore[operator]
            return value
        assert time.monotonic() < deadline, (name, value, exporter.log.read_text())
        time.sleep(0.1)


def test_what_is_loaded_and_what_would_be_refused_is_shown(
    nginx: Nginx, exporter: ExporterProcess
) -> None:
    loaded = within(10, exporter, "loaded_timestamp_seconds", bool)
    changed = within(2, exporter, "changed_timestamp_seconds", bool)
    assert changed <= loaded + 0.05
    assert gauge(exporter, "valid") is None  # its pid file cannot be tried
    nginx.write(SITE.replace("proxy_pass", "proxy_passs") % free_port())
    within(4, exporter, "changed_timestamp_seconds", lambda value: value > changed)
    within(4, exporter, "valid", lambda value: value == 0)
    assert gauge(exporter, "loaded_timestamp_seconds") == loaded
    # a restart of the exporter, killed without a word, changes nothing of that
    time.sleep(3)
    exporter.end(signal.SIGKILL)
    exporter.start()
    within(10, exporter, "valid", lambda value: value == 0)
    assert within(2, exporter, "loaded_timestamp_seconds", bool) == pytest.approx(loaded)
    nginx.write(SITE % free_port())
    ordered = time.time()
    nginx.reload()
    within(5, exporter, "loaded_timestamp_seconds", lambda value: value > ordered - 0.05)
    deadline = time.monotonic() + 5
    while gauge(exporter, "valid") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
