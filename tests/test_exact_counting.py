"""Counting is exact: whatever is killed, rotated or cut, nothing is lost and nothing doubled."""

from __future__ import annotations

import gzip
import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.caddylog import CONFIG, append, eventually, exporter, failure
from tests.caddylog import place as place
from tests.servers import ExporterProcess, Series, is_counter
from tests.sources.busy import Busy


def test_a_line_is_counted_within_a_second(place: Path) -> None:
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        took = []
        for number in range(1, 6):
            begun = time.monotonic()
            append(place / "caddy.log", failure(number))
            running.wait_for("upstream_failures_total", number, reason="connect_refused")
            took.append(time.monotonic() - begun)
        # a busy machine may delay one of them
        assert sorted(took)[1] < 1.0, took


def reasons(running: ExporterProcess) -> dict[str, float]:
    name = "badgateway_upstream_failures_total"
    return {dict(k[1])["reason"]: value for k, value in running.scrape().items() if k[0] == name}


def test_series_known_from_the_configuration_are_zero_at_first(place: Path) -> None:
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        eventually(lambda: reasons(running))
        assert "connect_refused" in reasons(running)
        assert set(reasons(running).values()) == {0.0}


def test_lines_of_before_the_first_start_are_evidence_and_not_counted(place: Path) -> None:
    append(place / "caddy.log", failure(1) * 5)
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(place / "caddy.log", failure(2))
        running.wait_for("upstream_failures_total", 1)
        url = f"{running.url}/api/v1/diagnosis"
        eventually(lambda: httpx.get(url, trust_env=False).json()["backends"])
        answer = httpx.get(url, trust_env=False).json()
        assert [b["backend"] for b in answer["backends"]] == ["api"]


def test_lines_of_an_absence_are_counted_once(place: Path) -> None:
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(place / "caddy.log", failure(1) * 3)
        running.wait_for("upstream_failures_total", 3)
        running.end(signal.SIGKILL)
        append(place / "caddy.log", failure(2) * 4)
        running.start()
        running.wait_for("upstream_failures_total", 7)
        time.sleep(0.5)
        assert running.total("upstream_failures_total") == 7


@pytest.mark.parametrize("away", [False, True], ids=["watching", "away"])
def test_rotation_by_rename_loses_nothing(place: Path, away: bool) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1) * 2)
        running.wait_for("upstream_failures_total", 2)
        if away:
            running.end(signal.SIGKILL)
        append(log, failure(2) * 3)
        log.rename(place / "caddy.log.1")
        append(place / "caddy.log.1", failure(3))
        append(log, failure(4) * 5)
        if away:
            running.start()
        running.wait_for("upstream_failures_total", 11)
        assert running.total("source_gaps_total") == 0


def compress(path: Path) -> None:
    with gzip.open(f"{path}.gz", "wb") as file:
        file.write(path.read_bytes())
    path.unlink()


def test_several_rotations_with_compression_while_away_lose_nothing(place: Path) -> None:
    """As Caddy does it: the time in the name, compressed a moment later."""
    log = place / "caddy.log"
    other = place / "caddy-2026-11-21T16-00-09.000-other.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1) * 2)
        running.wait_for("upstream_failures_total", 2)
        running.end(signal.SIGKILL)
        append(log, failure(2) * 3)
        for number in range(3):
            rotated = place / f"caddy-2026-11-21T16-00-0{number}.123.log"
            log.rename(rotated)
            if number != 2:
                compress(rotated)
            append(log, failure(3 + number) * 4)
        append(other, failure(9) * 100)
        running.start()
        running.wait_for("upstream_failures_total", 17)
        time.sleep(0.5)
        assert running.total("upstream_failures_total") == 17
        assert running.total("source_gaps_total") == 0


@pytest.mark.parametrize("away", [False, True], ids=["watching", "away"])
def test_what_is_copied_before_a_truncation_is_counted(place: Path, away: bool) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1) * 3)
        running.wait_for("upstream_failures_total", 3)
        if away:
            running.end(signal.SIGKILL)
        append(log, failure(2) * 2)
        (place / "caddy.log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
        append(log, failure(4))
        if away:
            running.start()
        running.wait_for("upstream_failures_total", 6)
        time.sleep(0.5)
        assert running.total("upstream_failures_total") == 6
        assert running.total("source_gaps_total") == 0


def test_a_log_that_appears_later_is_counted_from_its_beginning(place: Path) -> None:
    log = place / "caddy.log"
    log.unlink()
    with exporter(place) as running:
        up = "badgateway_source_up", (("source", "web-log"),)
        eventually(lambda: running.scrape().get(up) == 0)
        assert reasons(running) == {}
        append(log, failure(1) * 3)
        running.wait_for("upstream_failures_total", 3)


def test_what_was_counted_before_a_file_was_lost_is_not_counted_again(place: Path) -> None:
    """The name leads to something unreadable for a while, as after a rotation gone wrong."""
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1) * 5)
        running.wait_for("upstream_failures_total", 5)
        log.rename(place / "caddy.log.1")
        log.mkdir()
        running.wait_for("source_up", 0, source="web-log")
        log.rmdir()
        append(log, failure(2) * 2)
        running.wait_for("source_up", 1, source="web-log")
        running.wait_for("upstream_failures_total", 7)
        time.sleep(0.5)
        assert running.total("upstream_failures_total") == 7


def test_truncation_is_told_as_a_gap(place: Path) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1) * 3)
        running.wait_for("upstream_failures_total", 3)
        os.truncate(log, 0)
        append(log, failure(2))
        running.wait_for("upstream_failures_total", 4)
        assert running.total("source_gaps_total", source="web-log") == 1


def test_half_a_line_waits_for_its_other_half(place: Path) -> None:
    line = failure(1)
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(place / "caddy.log", line[:40])
        time.sleep(0.7)
        running.end(signal.SIGKILL)
        running.start()
        append(place / "caddy.log", line[40:])
        running.wait_for("upstream_failures_total", 1)


def test_under_random_kills_no_series_steps_back_and_none_is_lost(place: Path) -> None:
    log = place / "caddy.log"
    chance = random.Random(7)
    written, ending = 0, threading.Event()

    def write() -> None:
        nonlocal written
        while not ending.is_set():
            line = failure(written)
            cut = chance.randrange(1, len(line))
            append(log, line[:cut])
            time.sleep(0.005)
            append(log, line[cut:])
            written += 1
            if written % 150 == 0:
                log.rename(place / f"caddy.log.{written}")
            time.sleep(0.01)

    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        writer = threading.Thread(target=write)
        writer.start()
        last: dict[Series, float] = {}
        scrapes = 0
        try:
            for _ in range(10):
                until = time.monotonic() + chance.uniform(0.3, 1.2)
                while time.monotonic() < until:
                    now = running.scrape()
                    for series, value in last.items():
                        if is_counter(series):
                            assert series in now, f"{series} was lost"
                            assert now[series] >= value, f"{series} stepped back"
                    last |= now
                    scrapes += 1
                    time.sleep(0.2)
                running.end(signal.SIGKILL)
                time.sleep(chance.uniform(0, 0.3))
                running.start()
        finally:
            ending.set()
            writer.join()
        running.wait_for("upstream_failures_total", written, 20, reason="connect_refused")
        assert scrapes > 15
        assert written > 200
        assert running.total("source_gaps_total") == 0


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_to_ten_logs_under_kills_each_line_is_counted_once(
    place: Path, seed: int
) -> None:
    names = [f"web{number}" for number in range(10)]
    styles = ("numbers", "dates", "caddy")
    logs = {n: Busy(place / n, styles[i % 3], 100 * seed + i) for i, n in enumerate(names)}
    head, proxy = CONFIG.split("proxies:\n")
    text = head.format() + "proxies:\n"
    for name, log in logs.items():
        entry = proxy.format(config=place / "caddy.json", log=log.log)
        text += entry.replace("name: web\n", f"name: {name}\n")
    chance = random.Random(seed)
    with ExporterProcess(place, text) as running:
        for name in names:
            running.wait_for("source_up", 1, source=f"{name}-log")
        for _ in range(3):
            for _ in range(chance.randint(10, 30)):
                for log in logs.values():
                    log.happen()
                time.sleep(0.02)
            running.end(signal.SIGKILL)
            for _ in range(chance.randint(0, 10)):
                for log in logs.values():
                    log.happen()
            running.start()
        for name, log in logs.items():
            log.reopen()
            expected = log.lines - len(log.spoilt)
            running.wait_for("upstream_failures_total", expected, proxy=name)
            assert expected > 20
        time.sleep(0.5)
        for name, log in logs.items():
            expected = log.lines - len(log.spoilt)
            assert running.total("upstream_failures_total", proxy=name) == expected, name
            log.close()
        assert running.total("source_gaps_total") == 0
