"""Projects and virtualenvs that break while they are watched."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from badgateway.packages.findings import Target
from badgateway.packages.scan import scan
from tests.caddylog import eventually
from tests.lab.hung import PRIVATE, Hung, require_hung
from tests.packages.world import World
from tests.servers import ExporterProcess

MEGABYTE = 1024 * 1024

CONFIG = """
discovery: {enabled: false, interval: 1s}
probes: {enabled: false}
backends:
"""
BACKEND = """
  - name: {name}
    command: ["{python}", -m, uvicorn, "shop.main:app", --port, "8123"]
    working_directory: {project}
    project: {project}
    virtualenv: {project}/.venv
"""


def shop(root: Path) -> World:
    """A project that would start."""
    world = World(root)
    world.declare("uvicorn", "leftpad")
    world.write({"shop/__init__.py": "", "shop/main.py": "import leftpad\napp = None\n"})
    world.install("uvicorn", "0.30", {"uvicorn/__init__.py": "", "uvicorn/__main__.py": ""})
    world.install("leftpad")
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return shop(tmp_path)


def configured(**worlds: World) -> str:
    return CONFIG + "".join(
        BACKEND.format(name=name, python=world.prefix / "bin" / "python", project=world.project)
        for name, world in worlds.items()
    )


@pytest.fixture
def running(world: World) -> Iterator[ExporterProcess]:
    config = configured(shop=world)
    with ExporterProcess(world.root, config, wrapper=PRIVATE if root() else ()) as made:
        verdict(made, "ok")
        yield made
        healthy(made)


def root() -> bool:
    return os.geteuid() == 0


def healthy(running: ExporterProcess) -> None:
    assert running.total("collector_success", collector="discovery") == 1
    assert "Traceback" not in running.log.read_text()


def verdict(running: ExporterProcess, *wanted: str, backend: str = "shop") -> None:
    """Wait until the next start is judged so."""
    eventually(lambda: judged(running, backend) in wanted, 25)


def judged(running: ExporterProcess, backend: str) -> str:
    found = {
        dict(labels)["verdict"]
        for (name, labels), value in running.scrape().items()
        if name == "badgateway_next_start" and value and ("backend", backend) in labels
    }
    return found.pop() if found else ""


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


BROKEN: dict[str, Callable[[Path], object]] = {
    "syntax_error": lambda path: path.write_text("[project\nname = "),
    "huge": lambda path: path.write_bytes(b"# x\n" * (50 * MEGABYTE // 4)),
    "fifo": fifo,
    "symlink_loop": loop,
    "folder": lambda path: path.mkdir(),
    "not_utf8": lambda path: path.write_bytes(b"\xff\xfe[project]"),
}


def test_broken_declarations_are_unknown_and_heal(tmp_path: Path) -> None:
    worlds = {kind: shop(tmp_path / kind) for kind in BROKEN}
    whole = shop(tmp_path / "whole")
    with ExporterProcess(tmp_path, configured(**worlds, whole=whole)) as running:
        for kind in BROKEN:
            verdict(running, "ok", backend=kind)
        texts = {}
        for kind, world in worlds.items():
            declaration = world.project / "pyproject.toml"
            texts[kind] = declaration.read_text()
            declaration.unlink()
            BROKEN[kind](declaration)
        for kind in BROKEN:
            verdict(running, "unknown", backend=kind)
        assert judged(running, "whole") == "ok"
        begun = time.monotonic()
        running.scrape()
        assert time.monotonic() - begun < 0.5
        for kind, world in worlds.items():
            declaration = world.project / "pyproject.toml"
            if declaration.is_dir():
                declaration.rmdir()
            else:
                declaration.unlink()
            declaration.write_text(texts[kind])
        for kind in BROKEN:
            verdict(running, "ok", backend=kind)
        healthy(running)


def test_a_virtualenv_that_is_deleted_is_never_ok_and_heals(
    world: World, running: ExporterProcess
) -> None:
    shutil.rmtree(world.prefix)
    verdict(running, "will_fail", "unknown")
    shutil.rmtree(world.project)
    verdict(running, "unknown", "will_fail")
    shop(world.root)
    verdict(running, "ok")


def test_a_virtualenv_deleted_in_the_middle_of_a_scan_is_an_answer(tmp_path: Path) -> None:
    worlds = [shop(tmp_path / str(number)) for number in range(6)]
    for world in worlds:
        for number in range(300):
            world.install(f"package-{number}", requires=["leftpad"])
        world.declare("uvicorn", "leftpad", *(f"package-{n}" for n in range(300)))

    async def scanned(world: World, delay: float) -> str:
        target = Target(
            project=str(world.project), virtualenv=str(world.prefix), server="uvicorn",
            entry="shop.main:app", search=(str(world.project),),
        )  # fmt: skip
        task = asyncio.create_task(scan(target))
        await asyncio.sleep(delay)
        shutil.rmtree(world.prefix)
        return (await task).verdict

    for number, world in enumerate(worlds):
        found = asyncio.run(scanned(world, 0.1 * number))
        assert found in ("will_fail", "may_fail", "unknown", "ok")
        # whatever it saw of it: once it is gone, the next look must not say ok
        assert asyncio.run(scanned_again(world)) != "ok"


async def scanned_again(world: World) -> str:
    target = Target(
        project=str(world.project), virtualenv=str(world.prefix), server="uvicorn",
        entry="shop.main:app", search=(str(world.project),),
    )  # fmt: skip
    return (await scan(target)).verdict


def test_a_hung_project_is_told_delays_no_scrape_and_heals(
    world: World, running: ExporterProcess
) -> None:
    require_hung()
    with Hung(running.pid, world.project):
        running.wait_for("collector_success", 0, collector="dependencies")
        assert "looking at a project's files has hung" in running.log.read_text()
        begun = time.monotonic()
        running.scrape()
        assert time.monotonic() - begun < 0.5
    running.wait_for("collector_success", 1, seconds=25, collector="dependencies")
    verdict(running, "ok")
