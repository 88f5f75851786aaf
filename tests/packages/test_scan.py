"""The scan's own process, its memory between scans, and when one is due again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from badgateway.packages.assess import assess
from badgateway.packages.findings import Report
from badgateway.packages.parsecache import ParseCache
from badgateway.packages.scan import scan
from badgateway.packages.watch import fingerprint
from tests.packages.world import World


def comparable(report: Report) -> Report:
    return msgspec.structs.replace(report, duration_seconds=0.0)


@pytest.fixture
def shop(world: World) -> World:
    world.declare("web>=1", "slowapi")
    world.install("web", "1.0", requires=["anyio"])
    world.write({"app.py": "import web\nfrom shop import rates\n", "shop/__init__.py": "",
                 "shop/rates.py": "import slowapi\n"})  # fmt: skip
    return world


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_the_child_reports_what_this_process_would(shop: World) -> None:
    report = asyncio.run(scan(shop.target()))
    assert comparable(report) == comparable(shop.report())
    assert report.verdict == "will_fail"


def test_a_report_survives_its_journey_as_json(shop: World) -> None:
    report = shop.report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_a_scan_that_takes_too_long_is_killed_and_unknown(shop: World) -> None:
    before = children()
    report = asyncio.run(scan(shop.target(), timeout=0.01))
    assert (report.verdict, report.findings) == ("unknown", ())
    assert "longer than" in report.problem
    assert children() == before


def test_a_cancelled_scan_leaves_no_child(shop: World) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(scan(shop.target()))
        while not children():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert children() == []


def test_a_source_just_below_the_limit_fits_into_the_childs_memory(shop: World) -> None:
    shop.write({"shop/rates.py": "x = [" + "1," * 261_000 + "]\nimport gone_for_good\n"})
    report = asyncio.run(scan(shop.target()))
    assert "gone-for-good" in [f.subject for f in report.findings]


def test_the_child_cannot_take_the_hosts_memory() -> None:
    code = "from badgateway.packages.__main__ import confine; confine(9); bytearray(2 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


def test_the_environment_of_this_process_does_not_reach_the_child(
    shop: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "badgateway").mkdir()
    (tmp_path / "badgateway" / "__init__.py").write_text("raise SystemExit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert asyncio.run(scan(shop.target())).verdict == "will_fail"


def test_the_second_scan_parses_nothing(shop: World, tmp_path: Path) -> None:
    cache = tmp_path / "shop.parsed"
    target = shop.target(cache=str(cache))
    first = assess(target)
    written = cache.stat()
    second = assess(target)
    assert comparable(first) == comparable(second)
    assert (cache.stat().st_mtime_ns, cache.stat().st_ino) == (written.st_mtime_ns, written.st_ino)
    assert written.st_mode & 0o077 == 0
    memory = ParseCache(
        str(cache), (int(first.python.split(".")[0]), int(first.python.split(".")[1]))
    )
    memory.source(str(shop.project / "shop" / "rates.py"))
    assert memory.parsed == 0


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\x93\xa1", b"{}", os.urandom(500)])
def test_a_damaged_cache_is_made_anew(shop: World, tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "shop.parsed"
    expected = comparable(assess(shop.target(cache=str(cache))))
    cache.write_bytes(content)
    assert comparable(assess(shop.target(cache=str(cache)))) == expected
    assert len(cache.read_bytes()) > 500 or content != cache.read_bytes()


def test_a_cache_that_cannot_be_written_is_no_obstacle(shop: World) -> None:
    assert assess(shop.target(cache="/nonexistent/directory/x")).verdict == "will_fail"


def test_a_changed_source_is_parsed_again(shop: World, tmp_path: Path) -> None:
    target = shop.target(cache=str(tmp_path / "shop.parsed"))
    assert assess(target).verdict == "will_fail"
    shop.write({"shop/rates.py": "import json\n"})
    assert assess(target).verdict == "ok"


def test_when_the_time_is_up_the_answer_is_unknown_and_the_rest_follows(
    shop: World, tmp_path: Path
) -> None:
    shop.install("slowapi")
    shop.install("anyio")
    target = shop.target(cache=str(tmp_path / "shop.parsed"))
    early = assess(target, seconds=0.0)
    assert (early.verdict, early.findings) == ("unknown", ())
    assert "stopped after" in early.problem
    assert assess(target).verdict == "ok"


def test_every_change_that_matters_changes_the_fingerprint(shop: World) -> None:
    changes: dict[str, Callable[[], object]] = {
        "an installation": lambda: shop.install("slowapi"),
        "an uninstallation": lambda: shop.uninstall("slowapi"),
        "a declaration": lambda: shop.declare("web>=2"),
        "an edit": lambda: shop.write({"shop/rates.py": "import os, sys\n"}),
        "a new module": lambda: shop.write({"shop/fees.py": ""}),
        "a deleted module": lambda: (shop.project / "shop" / "fees.py").unlink(),
        "a path file": lambda: (shop.site / "more.pth").write_text("/srv\n"),
        "another interpreter": lambda: os.replace(
            *_link(shop.prefix / "bin" / "next", "/usr/bin/env", shop.prefix / "bin" / "python")
        ),
        "a new declaration": lambda: (shop.project / "pyproject.toml").unlink(),
    }
    for name, change in changes.items():
        watch = shop.report().watch
        before = fingerprint(watch)
        assert fingerprint(watch) == before
        change()
        assert fingerprint(watch) != before, name


def _link(path: Path, to: str, over: Path) -> tuple[Path, Path]:
    path.symlink_to(to)
    return path, over


def test_what_an_application_writes_while_it_runs_does_not(shop: World) -> None:
    watch = shop.report().watch
    before = fingerprint(watch)
    time.sleep(0.01)
    shop.write({"access.log": "GET /\n", "db.sqlite3-journal": "", "shop/data.json": "{}"})
    assert shop.starts("shop")[0]
    assert fingerprint(watch) == before
