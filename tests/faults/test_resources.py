"""Neither descriptors nor memory left, and an end in the middle of the beginning."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.caddylog import CONFIG, append, eventually, exporter, failure
from tests.caddylog import place as place
from tests.servers import ExporterProcess

MEGABYTE = 1024 * 1024


def connected() -> httpx.Client:
    """A client that keeps its connection, however long it is not used."""
    limits = httpx.Limits(keepalive_expiry=None)
    return httpx.Client(trust_env=False, timeout=5, limits=limits)


def test_without_descriptors_it_serves_who_is_connected_says_so_and_heals(place: Path) -> None:
    with exporter(place) as running, connected() as client:
        running.wait_for("source_up", 1, source="web-log")
        client.get(f"{running.url}/metrics")  # keeps its connection
        before = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        append(place / "caddy.log", failure(1))
        lost = 'collector_success{collector="listeners"} 0.0'
        eventually(lambda: lost in client.get(f"{running.url}/metrics").text, 15)
        time.sleep(2)
        # the log was open: it is still read; what it says is shown once it can be kept
        assert "badgateway_checkpoint_durable 0.0" in client.get(f"{running.url}/metrics").text
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, before)
        running.wait_for("collector_success", 1, collector="listeners")
        running.wait_for("checkpoint_durable", 1)
        running.wait_for("upstream_failures_total", 1)
        words = running.log.read_text()
        assert "Too many open files" in words
        assert len(words.splitlines()) < 60, "a line for each refusal fills the journal"


def test_a_log_that_cannot_be_opened_for_want_of_descriptors_is_told_and_read_later(
    place: Path,
) -> None:
    log = place / "caddy.log"
    log.unlink()
    with exporter(place) as running, connected() as client:
        unread = 'source_up{source="web-log"} 0.0'
        eventually(lambda: unread in client.get(f"{running.url}/metrics").text)
        before = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        append(log, failure(1))
        refusal = f"web-log: cannot read {log}: Too many open files"
        eventually(lambda: refusal in running.log.read_text(), 15)
        assert unread in client.get(f"{running.url}/metrics").text
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, before)
        running.wait_for("source_up", 1, source="web-log")
        running.wait_for("upstream_failures_total", 1)


def test_without_memory_it_goes_on_and_heals(place: Path) -> None:
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        before = resource.prlimit(running.pid, resource.RLIMIT_AS)
        virtual = psutil.Process(running.pid).memory_info().vms
        resource.prlimit(running.pid, resource.RLIMIT_AS, (virtual + MEGABYTE, before[1]))
        append(place / "caddy.log", b"".join(failure(n) for n in range(3000)))
        for _ in range(15):
            try:
                httpx.get(f"{running.url}/metrics", trust_env=False, timeout=2)
            except httpx.HTTPError:
                pass  # it may have no memory to answer with
            time.sleep(0.2)
        resource.prlimit(running.pid, resource.RLIMIT_AS, before)
        running.wait_for("upstream_failures_total", 3000, seconds=40)
        running.wait_for("source_up", 1, source="web-log")
        assert running.total("collector_success", collector="listeners") == 1
        assert running.end() == 0


def test_what_is_killed_for_its_memory_counts_on(place: Path) -> None:
    with exporter(place) as running:
        running.wait_for("source_up", 1, source="web-log")
        append(place / "caddy.log", failure(1))
        running.wait_for("upstream_failures_total", 1)
        running.end(signal.SIGKILL)  # as the kernel does
        append(place / "caddy.log", failure(2))
        running.start()
        running.wait_for("upstream_failures_total", 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.9])
def test_an_end_during_the_start_leaves_nothing_behind(
    place: Path, number: signal.Signals, delay: float
) -> None:
    running = ExporterProcess(
        place, CONFIG.format(config=place / "caddy.json", log=place / "caddy.log")
    )
    argv = [
        sys.executable, "-m", "badgateway", "serve", f"--config.file={place}/badgateway.yml",
        f"--web.listen-address=127.0.0.1:{running.port}", f"--storage.path={place}/state",
    ]  # fmt: skip
    begun = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    begun.send_signal(number)
    _, words = begun.communicate(timeout=5)
    # before there is a handler the signal itself ends it, as it does any program
    assert begun.returncode in (0, -number, 130), words
    if begun.returncode == 0 and number == signal.SIGTERM:
        assert "Traceback" not in words
    with running:  # neither a lock nor half a checkpoint is in the way
        running.wait_for("source_up", 1, source="web-log")
        assert running.total("source_gaps_total") == 0
