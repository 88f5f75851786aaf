"""Far behind: memory stays flat, scrapes are answered, progress is told, and the count is exact.

``BADGATEWAY_BACKLOG_BYTES`` sets how far; 300 MB is some seconds' work, 10 GB some minutes'.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from badgateway.events import Batch
from badgateway.sources import STALE_SECONDS, Status
from badgateway.sources.following import Follower
from tests.caddylog import append, exporter, failure
from tests.caddylog import place as place

BACKLOG = int(os.environ.get("BADGATEWAY_BACKLOG_BYTES", 300_000_000))
MEGABYTE = 1024 * 1024
ACCESS = (
    b'{"level":"info","ts":1790000000.1,"logger":"http.log.access.log0","msg":"handled request",'
    b'"request":{"remote_ip":"127.0.0.1","remote_port":"4711","proto":"HTTP/1.1","method":"GET",'
    b'"host":"example.test","uri":"/","headers":{"User-Agent":["curl/8.14.1"],"Accept":["*/*"]}},'
    b'"bytes_read":0,"user_id":"","duration":0.0012,"size":1234,"status":200,'
    b'"resp_headers":{"Server":["Caddy"],"Content-Type":["text/plain; charset=utf-8"]}}\n'
)


def heap_up(path: Path, size: int) -> tuple[int, int]:
    """Write so many bytes; return the number of lines and of failures among them."""
    block = ACCESS * 2000 + failure(1)
    number = max(1, size // len(block))
    with path.open("ab") as file:
        for _ in range(number):
            file.write(block)
    return number * 2001, number


@pytest.mark.timeout(120 + BACKLOG // 500_000)
def test_a_large_backlog_is_read_exactly_in_flat_memory_while_scrapes_are_answered(
    place: Path,
) -> None:
    log = place / "caddy.log"
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(0))
        running.wait_for("upstream_failures_total", 1)
        before = running.total("log_lines_total")
        time.sleep(0.5)
        running.end()
        lines, failures = heap_up(log, BACKLOG)
        running.start()
        process = psutil.Process(running.pid)
        sizes, slowest, behind, unread = list[int](), 0.0, set[float](), set[float]()
        deadline = time.monotonic() + 60 + BACKLOG / 1_000_000
        while True:
            begun = time.monotonic()
            counted = running.total("upstream_failures_total")
            slowest = max(slowest, time.monotonic() - begun)
            sizes.append(process.memory_info().rss)
            behind.add(running.total("source_catching_up", source="web-log"))
            unread.add(running.total("source_unread_bytes", source="web-log"))
            if counted == 1 + failures:
                break
            assert counted < 1 + failures
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert running.total("log_lines_total") == before + lines
        assert running.total("source_gaps_total") == 0
        assert running.total("source_unread_bytes", source="web-log") == 0
        assert 1.0 in behind
        assert max(unread) > BACKLOG / 10
        assert slowest < 2.0
        assert max(sizes) - sizes[0] < 60 * MEGABYTE
        said = [text for text in running.log.read_text().splitlines() if "web-log" in text]
        assert any("to read before it is up to date" in text for text in said), said
        assert any("up to date: " in text for text in said), said
        assert len(said) < 5 + BACKLOG // 20_000_000


def test_catching_up_ends_a_minute_after_the_last_line_of_the_absence(tmp_path: Path) -> None:
    log, now = tmp_path / "app.log", [1_790_000_000.0]

    def life(position: Mapping[str, object] | None) -> tuple[Status, Iterator[Batch | None]]:
        status = Status(clock=lambda: now[0])
        follower = Follower("web-log", log, position, status=status, clock=lambda: now[0])
        return status, follower.batches()

    log.write_bytes(b"before\n")
    status, batches = life(None)
    read = [batch for batch in iter(lambda: next(batches), None) if batch.counted]
    append(log, b"now\n")
    read += [batch for batch in iter(lambda: next(batches), None) if batch.counted]
    assert not status.catching_up

    append(log, b"away\n" * 3)
    now[0] += 3600
    status, batches = life(read[-1].position)
    away = [batch for batch in iter(lambda: next(batches), None) if batch.counted]
    assert b"".join(batch.data for batch in away) == b"away\n" * 3
    assert status.catching_up
    now[0] += STALE_SECONDS - 1
    append(log, b"now again\n")
    assert any(batch.data for batch in iter(lambda: next(batches), None))
    assert status.catching_up
    now[0] += 1
    assert not status.catching_up
    append(log, b"and again\n")
    assert any(batch.data for batch in iter(lambda: next(batches), None))
    assert not status.catching_up
