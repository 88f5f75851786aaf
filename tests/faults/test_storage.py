"""The state directory: read-only, full, hung, spoilt, of a newer version, taken."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.caddylog import CONFIG, append, eventually, failure
from tests.caddylog import place as place
from tests.lab.hung import PRIVATE, Hung, require_hung
from tests.servers import ExporterProcess


@pytest.fixture
def apart(place: Path) -> Iterator[ExporterProcess]:
    """An exporter whose mounts are its own, not started yet."""
    require_hung()
    (place / "state").mkdir()
    made = ExporterProcess(
        place, CONFIG.format(config=place / "caddy.json", log=place / "caddy.log"), wrapper=PRIVATE
    )
    yield made
    made.end(signal.SIGKILL)


def inside(running: ExporterProcess, *argv: str) -> None:
    """Run a command among the exporter's mounts."""
    entered = ["nsenter", "--mount", "--target", str(running.pid), *argv]
    subprocess.run(entered, check=True, capture_output=True)


def refused(place: Path, wrapper: tuple[str, ...] = ()) -> str:
    """Start an exporter that cannot serve; return its words."""
    running = ExporterProcess(place, wrapper=wrapper)
    with pytest.raises(AssertionError):
        running.start()
    assert running.end(wait=5) == 2
    words = running.log.read_text()
    assert "Traceback" not in words
    return words


def test_a_read_only_state_directory_ends_with_two_and_the_remedy(tmp_path: Path) -> None:
    require_hung()
    (tmp_path / "state").mkdir()
    mount = f'mount -t tmpfs -o ro none {tmp_path}/state && exec "$@"'
    words = refused(tmp_path, (*PRIVATE, "sh", "-c", mount, "sh"))
    assert f"cannot write the state directory {tmp_path}/state: Read-only file system" in words
    assert "--storage.path" in words


def test_a_taken_state_directory_ends_with_two_and_the_remedy(place: Path) -> None:
    with ExporterProcess(place):
        words = refused(place)
    assert f"another badgateway uses the state directory {place}/state" in words


def test_a_state_directory_that_becomes_read_only_stops_no_scrape_and_heals(
    place: Path, apart: ExporterProcess
) -> None:
    apart.start()
    apart.wait_for("source_up", 1, source="web-log")
    state = str(place / "state")
    inside(apart, "mount", "--bind", state, state)
    inside(apart, "mount", "-o", "remount,bind,ro", state)
    append(place / "caddy.log", failure(1))
    apart.wait_for("checkpoint_durable", 0)
    assert apart.total("upstream_failures_total") == 0  # never shown before it is kept
    assert apart.total("source_up", source="web-log") == 1
    words = "the checkpoint cannot be written: Read-only file system; counters stand still"
    assert words in apart.log.read_text()
    inside(apart, "mount", "-o", "remount,bind,rw", state)
    apart.wait_for("checkpoint_durable", 1)
    apart.wait_for("upstream_failures_total", 1)
    assert "the checkpoint is written again" in apart.log.read_text()


def test_a_full_disk_stops_no_scrape_and_heals(place: Path, apart: ExporterProcess) -> None:
    apart.start()
    apart.wait_for("source_up", 1, source="web-log")
    apart.end()
    state = place / "state"
    mount = f'mount -t tmpfs -o size=64k none {state} && exec "$@"'
    apart._wrapper = (*PRIVATE, "sh", "-c", mount, "sh")
    apart.start()
    apart.wait_for("source_up", 1, source="web-log")
    inside(apart, "sh", "-c", f"head -c 100k /dev/zero > {state}/filler || true")
    append(place / "caddy.log", failure(1))
    apart.wait_for("checkpoint_durable", 0)
    assert "No space left on device; counters stand still" in apart.log.read_text()
    assert apart.total("source_up", source="web-log") == 1
    inside(apart, "rm", f"{state}/filler")
    apart.wait_for("checkpoint_durable", 1)
    apart.wait_for("upstream_failures_total", 1)


def test_a_hung_disk_stops_no_scrape_and_heals(place: Path, apart: ExporterProcess) -> None:
    apart.start()
    apart.wait_for("source_up", 1, source="web-log")
    with Hung(apart.pid, place / "state"):
        append(place / "caddy.log", failure(1))
        apart.wait_for("checkpoint_durable", 0)
        assert "the disk has not answered" in apart.log.read_text()
        begun = time.monotonic()
        assert apart.total("upstream_failures_total") == 0
        assert time.monotonic() - begun < 1.0
    apart.wait_for("checkpoint_durable", 1)
    apart.wait_for("upstream_failures_total", 1)


def test_a_hung_disk_does_not_keep_it_from_ending(place: Path, apart: ExporterProcess) -> None:
    apart.start()
    apart.wait_for("source_up", 1, source="web-log")
    with Hung(apart.pid, place / "state"):
        append(place / "caddy.log", failure(1))
        apart.wait_for("checkpoint_durable", 0)
        assert apart.end(wait=8) == 0
    assert "the last checkpoint could not be written" in apart.log.read_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"version":1', b'"version":99', "its version is 99, this exporter writes 1"),
        (b'"saved":', b'"sAved":', "it is damaged"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_kept_aside_and_told(
    place: Path, old: bytes, new: bytes, words: str
) -> None:
    running = ExporterProcess(
        place, CONFIG.format(config=place / "caddy.json", log=place / "caddy.log")
    )
    with running:
        running.wait_for("source_up", 1, source="web-log")
        append(place / "caddy.log", failure(1))
        running.wait_for("upstream_failures_total", 1)
        running.end()
        checkpoint = place / "state" / "checkpoint.json"
        spoilt = checkpoint.read_bytes().replace(old, new)
        checkpoint.write_bytes(spoilt)
        running.start()
        running.wait_for("source_gaps_total", 1, source="checkpoint")
        assert words in running.log.read_text()
        (aside,) = (place / "state").glob("*.unusable")
        assert aside.read_bytes() == spoilt
        append(place / "caddy.log", failure(2))
        running.wait_for("upstream_failures_total", 1)


def test_ready_is_told_while_nothing_can_be_kept(place: Path, apart: ExporterProcess) -> None:
    apart.start()
    with Hung(apart.pid, place / "state"):
        append(place / "caddy.log", failure(1))
        eventually(lambda: httpx.get(f"{apart.url}/-/ready", trust_env=False).status_code == 200)
        assert json.loads(httpx.get(f"{apart.url}/api/v1/diagnosis", trust_env=False).text)
