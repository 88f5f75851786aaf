"""Who reads which lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from badgateway import config
from badgateway.counters import Counters
from badgateway.events import Batch, Event, WorkerEnd
from badgateway.readers import Told
from badgateway.streams import Streams
from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.discovery import Findings
from badgateway.topology.launch.command import parse_command
from tests.caddylog import append

TIMEOUT = b"[2026-11-21 10:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:8)\n"


def findings(server: str) -> Findings:
    launch = parse_command((server, "app:app"), "/", {}) if server else None
    return Findings(PathMap((Backend("api", "process", launch=launch),)))


async def until(fits: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not fits():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def watching(path: Path, told: list[Event]) -> Streams:
    given = config.parse(f"backends: [{{name: api, logs: [{{file: {path}}}]}}]")

    def read(batch: Batch, heard: Told) -> None:
        told.extend(event for _, event in heard.events)

    async def look() -> None:
        raise AssertionError("nothing strange was told")

    return Streams(
        given, Counters(), read, lambda: None, lambda _: False, lambda _: False, look, {}
    )


def test_another_server_is_read_by_its_own_dialect(tmp_path: Path) -> None:
    path, told = tmp_path / "api.log", list[Event]()
    path.touch()

    async def run() -> None:
        streams = watching(path, told)
        streams.watch(findings("uvicorn"), None)
        await until(lambda: "api" in streams.heard)
        append(path, b"INFO:     Started server process [7]\n")
        await asyncio.sleep(0.6)
        streams.watch(findings("gunicorn"), None)
        append(path, TIMEOUT)
        try:
            await until(lambda: any(isinstance(event, WorkerEnd) for event in told))
        finally:
            streams.stop()

    asyncio.run(run())


def test_logs_that_nobody_can_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    path.touch()

    async def run() -> None:
        streams = watching(path, [])
        streams.watch(findings(""), None)
        status = streams.statuses()["api-log"]
        assert status.up is False
        assert "give its `unit` or `command`" in status.problem
        streams.watch(findings("gunicorn"), None)
        await until(lambda: streams.statuses()["api-log"].up is True)
        streams.stop()

    asyncio.run(run())
