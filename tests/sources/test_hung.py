"""A log whose disk no longer answers is no log that is read."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from badgateway import sources
from badgateway.events import Batch
from badgateway.sources.files import FileSource


def test_a_source_whose_thread_hangs_is_down_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, release, hung = tmp_path / "web.log", threading.Event(), threading.Event()
    path.write_bytes(b"")
    real = os.stat

    def stat(name: Any, **options: Any) -> os.stat_result:
        if name == path and hung.is_set():
            release.wait()
        return real(name, **options)

    async def until(source: FileSource, up: bool) -> None:
        deadline = time.monotonic() + 5
        while source.now().up is not up:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def run() -> None:
        taken: list[Batch] = []
        source = FileSource("web-log", path)
        source.start(asyncio.get_running_loop(), taken.append, None)
        try:
            await until(source, True)
            await asyncio.sleep(1.0)
            assert source.now().up is True  # silence of the log is none of the disk
            hung.set()
            path.write_bytes(b"written\n")
            await until(source, False)
            assert source.now().problem.startswith("reading has hung for ")
            hung.clear()
            release.set()
            await until(source, True)
            assert source.now().problem == ""
        finally:
            release.set()
            source.stop()

    monkeypatch.setattr(sources, "HUNG_SECONDS", 0.8)
    monkeypatch.setattr(os, "stat", stat)
    asyncio.run(run())
