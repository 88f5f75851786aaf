"""A line is read soon after it is written, whether or not the kernel says so; silence is cheap."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from badgateway.events import Batch
from badgateway.sources import waking
from badgateway.sources.files import FileSource
from tests.caddylog import append


async def told(taken: list[Batch], line: bytes) -> float:
    begun = time.monotonic()
    while not any(line in batch.data for batch in taken):
        assert time.monotonic() < begun + 5
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


@pytest.mark.parametrize(("inotify", "within"), [(True, 0.5), (False, 1.0)])
def test_a_line_is_read_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inotify: bool, within: float
) -> None:
    if not inotify:
        monkeypatch.setattr(waking, "_shared", lambda: None)

    async def run() -> None:
        path, taken = tmp_path / "web.log", list[Batch]()
        path.touch()
        source = FileSource("web-log", path)
        source.start(asyncio.get_running_loop(), taken.append, None)
        try:
            await asyncio.sleep(0.5)
            append(path, b"one\n")
            assert await told(taken, b"one\n") < within
            path.rename(tmp_path / "web.log.1")
            append(path, b"two\n")
            assert await told(taken, b"two\n") < within
        finally:
            source.stop()

    asyncio.run(run())


def switches(thread: threading.Thread | None) -> int:
    """How often a thread has given the processor away, which it does when it waits."""
    assert thread is not None
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_quiet_files_wake_almost_nobody(tmp_path: Path) -> None:
    async def run() -> float:
        sources = [FileSource(f"{number}", tmp_path / f"{number}.log") for number in range(50)]
        for number, source in enumerate(sources):
            (tmp_path / f"{number}.log").touch()
            source.start(asyncio.get_running_loop(), lambda batch: None, None)
        try:

            def wakes() -> int:
                return sum(switches(source._thread) for source in sources)

            await asyncio.sleep(2)
            before = wakes()
            await asyncio.sleep(10)
            return (wakes() - before) / 10
        finally:
            for source in sources:
                source.stop()

    # each is looked at every 8 s: how dear a wake is depends on what else runs on this machine
    assert asyncio.run(run()) < 20
