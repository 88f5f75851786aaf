"""Lines as no program should write them: endless, in no encoding, forged in their middle."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import psutil
import pytest

from tests.caddylog import append, exporter, failure
from tests.caddylog import place as place
from tests.servers import ExporterProcess

MEGABYTE = 1024 * 1024
CHUNK = 256 * 1024


def resident(running: ExporterProcess) -> int:
    size: int = psutil.Process(running.pid).memory_info().rss
    return size


def test_a_line_of_50_megabytes_takes_no_memory_and_hides_nothing(place: Path) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1))
        running.wait_for("upstream_failures_total", 1)
        before, largest = resident(running), 0
        for _ in range(50):
            append(log, b"x" * MEGABYTE)
            largest = max(largest, resident(running))
        append(log, b"\n" + failure(2))
        running.wait_for("upstream_failures_total", 2)
        largest = max(largest, resident(running))
        assert largest - before < 20 * MEGABYTE
        assert running.total("log_lines_total") == 3
        assert running.total("source_up", source="web-log") == 1


@pytest.mark.parametrize("shift", range(-2, 3))
def test_what_stands_in_the_middle_of_a_long_line_is_no_line(place: Path, shift: int) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        # a client that knows how much is read at a time has its words begin just there
        append(log, b"x" * (CHUNK + shift) + failure(1).strip() + b"x" * CHUNK)
        time.sleep(0.6)
        append(log, failure(2).strip() + b"y\n" + failure(3))
        running.wait_for("upstream_failures_total", 1)
        time.sleep(0.5)
        assert running.total("upstream_failures_total") == 1


def test_the_middle_of_a_long_line_is_none_after_a_restart_either(place: Path) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, b"x" * CHUNK * 2)
        running.wait_for("log_lines_total", 1)
        time.sleep(0.5)
        running.end()
        append(log, failure(1).strip())
        running.start()
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(2) + failure(3))
        running.wait_for("upstream_failures_total", 1)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_middle_of_a_long_line_is_none_in_a_rotated_file_either(
    place: Path, compressed: bool
) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(0))
        running.wait_for("upstream_failures_total", 1)
        time.sleep(0.5)
        running.end()
        append(log, b"x" * CHUNK + failure(1) + failure(2) + b"x" * 5 * MEGABYTE + failure(3))
        old = place / "caddy.log.1"
        log.rename(old)
        if compressed:
            (place / "caddy.log.1.gz").write_bytes(gzip.compress(old.read_bytes()))
            old.unlink()
        append(log, failure(4))
        running.start()
        running.wait_for("upstream_failures_total", 3)
        assert running.total("source_gaps_total") == 0


def test_bytes_of_no_encoding_are_one_line_that_says_nothing(place: Path) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, bytes(range(128, 256)) + b"\x00\r\n" + b"\xff\xfe{\n" + failure(1))
        running.wait_for("upstream_failures_total", 1)
        assert running.total("log_lines_total") == 3
        assert running.total("log_lines_total", result="event") == 1
        assert running.total("source_up", source="web-log") == 1
