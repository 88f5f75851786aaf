"""What changes in the middle of a look at the host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from badgateway import config
from badgateway.exporter import Exporter
from badgateway.sources import Status, globs
from badgateway.sources.docker import Docker
from badgateway.sources.docker_listener import Listener
from badgateway.sources.systemd_bus import SystemdBus
from badgateway.topology.backends import Backend
from badgateway.topology.discovery import Discovery

DOCKER = Docker(False, None, cast(Listener, None))


class Bus:
    """Answers as systemd does, and lets something happen before each answer."""

    def __init__(self) -> None:
        self.status = Status(True)
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    async def units(self, pattern: str = "*.service") -> list[str]:
        return ["api.service"]

    async def properties(self, unit: str) -> dict[str, Any]:
        self.asked.append(unit)
        self.meanwhile()
        return {}

    def unwatch(self, unit: str) -> None:
        return


@pytest.mark.parametrize("told", ["daemon-reload", "another main process"])
def test_a_unit_that_changes_while_it_is_asked_about_is_asked_about_again(told: str) -> None:
    bus = Bus()
    found = Discovery(config.Config(), cast(SystemdBus, bus), {}, lambda *_: None, DOCKER)
    whole = told == "daemon-reload"
    bus.meanwhile = found.forget_units if whole else lambda: found.forget_unit("api.service")

    async def run() -> None:
        await found.look()
        bus.meanwhile = lambda: None
        await found.look()
        assert bus.asked == ["api.service"] * 2
        await found.look()
        assert bus.asked == ["api.service"] * 2

    asyncio.run(run())


def test_a_look_that_a_reload_overtakes_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    old = config.parse("{discovery: {enabled: false}, backends: [{name: old}]}")
    new = config.parse("{discovery: {enabled: false}, backends: [{name: new}]}")

    async def run() -> list[str]:
        exporter = Exporter(old, None)
        real, begun, go_on = exporter.discovery.look, asyncio.Event(), asyncio.Event()
        seen = list[str]()

        async def look() -> Any:
            findings = await real()
            begun.set()
            await go_on.wait()
            return findings

        def watch(backends: tuple[Backend, ...]) -> None:
            seen.extend(backend.name for backend in backends)

        monkeypatch.setattr(exporter.discovery, "look", look)
        monkeypatch.setattr(exporter.dependencies, "watch", watch)
        looking = asyncio.create_task(exporter._look())
        await begun.wait()
        reloading = asyncio.create_task(exporter.reconfigure(new))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(looking, reloading)
        await exporter.stop()
        return seen

    assert set(asyncio.run(run())) == {"new"}


def test_a_pattern_of_more_files_than_are_read_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(globs, "LIMIT", 3)
    for number in range(5):
        (tmp_path / f"{number}.log").touch()
    given = f"""
      discovery: {{enabled: false}}
      proxies: [{{name: web, kind: nginx, logs: [{{file: "{tmp_path}/*.log"}}]}}]
    """
    discovery = Discovery(config.parse(given), cast(SystemdBus, Bus()), {}, lambda *_: None, DOCKER)
    found = asyncio.run(discovery.look())
    assert [path.name for path in found.expanded[f"{tmp_path}/*.log"]] == [
        "0.log", "1.log", "2.log",
    ]  # fmt: skip
    assert found.problems["files"] == (f"{tmp_path}/*.log: only the first 3 files by name are read")
    (tmp_path / "4.log").unlink()
    (tmp_path / "3.log").unlink()
    (tmp_path / "2.log").unlink()
    assert asyncio.run(discovery.look()).problems["files"] == ""
