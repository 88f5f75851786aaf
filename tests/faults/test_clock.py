"""A clock that is set back or forth by an hour, as by a first NTP answer or a resumed machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.caddylog import CADDY, append, eventually, failure
from tests.lab import parts
from tests.lab.require import unavailable
from tests.servers import ExporterProcess, is_counter

CONFIG = """
discovery: {{enabled: false, interval: 1s}}
probes: {{interval: 500ms, timeout: 400ms}}
backends:
  - name: api
    upstreams: ["127.0.0.1:9"]
proxies:
  - name: web
    kind: caddy
    admin: ""
    config: {place}/caddy.json
    logs: [{{file: {place}/caddy.log}}]
"""
HOUR = 3600.0


class Clock:
    """The exporter's idea of the time of day, beside the true one; the monotonic clock is true."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ahead = 0.0
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Set it forth, or back."""
        self.ahead += seconds
        self._path.write_text(f"{self.ahead:+.0f}\n")

    def failure(self) -> bytes:
        """A line of now."""
        line: dict[str, Any] = json.loads(failure(0))
        return json.dumps({**line, "ts": time.time() + self.ahead}).encode() + b"\n"


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def running(tmp_path: Path, clock: Clock) -> Iterator[ExporterProcess]:
    try:
        folder = parts.unpacked("libfaketime")
    except parts.PartMissing as missing:
        unavailable(str(missing))
    (library,) = folder.glob("usr/lib/*/faketime/libfaketime.so.1")
    (tmp_path / "caddy.json").write_text(json.dumps(CADDY))
    (tmp_path / "caddy.log").touch()
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    config = CONFIG.format(place=tmp_path)
    with ExporterProcess(tmp_path, config, environment=environment) as made:
        made.wait_for("source_up", 1, source="web-log")
        yield made


def diagnosis(running: ExporterProcess) -> dict[str, Any]:
    answer = httpx.get(f"{running.url}/api/v1/diagnosis", trust_env=False).json()
    found = [b["diagnosis"] for b in answer["backends"] if b["backend"] == "api"]
    return {"at": answer["at"], **(found[0] if found else {})}


@pytest.mark.parametrize("steps", [(HOUR,), (-HOUR,), (HOUR, -HOUR, -HOUR, HOUR)])
def test_steps_of_the_clock_lose_nothing_and_end_no_outage(
    running: ExporterProcess, clock: Clock, tmp_path: Path, steps: tuple[float, ...]
) -> None:
    log, written = tmp_path / "caddy.log", 3
    append(log, clock.failure() * 3)
    running.wait_for("upstream_failures_total", 3)
    eventually(lambda: diagnosis(running).get("name", "none") != "none", 20)
    cause = diagnosis(running)["name"]
    for step in steps:
        before = {s: v for s, v in running.scrape().items() if is_counter(s)}
        clock.step(step)
        assert abs(diagnosis(running)["at"] - time.time() - clock.ahead) < 5
        append(log, clock.failure() * 2)
        written += 2
        running.wait_for("upstream_failures_total", written)
        probes = running.total("probe_failures_total")
        wanted = probes + 3
        while running.total("probe_failures_total") < wanted:
            time.sleep(0.1)
        time.sleep(2)
        assert diagnosis(running)["name"] == cause
        after = running.scrape()
        assert all(after[series] >= value for series, value in before.items())
        assert running.total("source_gaps_total") == 0
        assert running.total("source_catching_up") == 0
    assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_step_while_it_was_away_counts_nothing_twice(
    running: ExporterProcess, clock: Clock, tmp_path: Path, step: float
) -> None:
    log = tmp_path / "caddy.log"
    append(log, clock.failure() * 3)
    running.wait_for("upstream_failures_total", 3)
    running.end()
    clock.step(step)
    append(log, clock.failure() * 2)
    running.start()
    running.wait_for("upstream_failures_total", 5)
    time.sleep(1)
    assert running.total("upstream_failures_total") == 5
    assert running.total("source_gaps_total") == 0
