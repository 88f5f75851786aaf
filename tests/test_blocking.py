from __future__ import annotations

import asyncio
import threading
import time

import pytest

from badgateway.blocking import Blocking, HungError
from badgateway.supervision import Supervisor


def test_a_call_returns_what_its_function_returns_or_raises() -> None:
    async def run() -> None:
        blocking = Blocking("dividing")
        assert await blocking.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await blocking.call(divmod, 7, 0)
        assert await blocking.call(divmod, 8, 2) == (4, 0)

    asyncio.run(run())


def test_a_hung_call_is_waited_for_once_and_heals() -> None:
    async def run() -> None:
        release, blocking = threading.Event(), Blocking("reading", 0.1)
        for _ in range(5):
            with pytest.raises(HungError, match="reading has hung for"):
                await blocking.call(release.wait)
        assert [thread.name for thread in threading.enumerate()].count("reading") == 1
        release.set()
        assert await blocking.call(int, "7") == 7

    asyncio.run(run())


def test_a_hung_call_delays_neither_the_loop_nor_its_end() -> None:
    async def run() -> float:
        blocking = Blocking("reading", 60)
        hung = asyncio.create_task(blocking.call(threading.Event().wait))
        await asyncio.sleep(0.05)
        hung.cancel()
        return time.monotonic()

    ended = asyncio.run(run())
    assert time.monotonic() - ended < 1.0


def test_a_loop_that_fails_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("badgateway.supervision._PAUSE_SECONDS", 0.01)
    times: list[float] = []

    async def fails_twice() -> None:
        times.append(time.monotonic())
        if len(times) < 3:
            raise RuntimeError("unexpected")

    async def run() -> Supervisor:
        supervisor = Supervisor()
        supervisor.spawn("work", fails_twice)
        await asyncio.sleep(0.3)
        await supervisor.stop()
        return supervisor

    supervisor = asyncio.run(run())
    assert len(times) == 3
    assert not supervisor.runs["work"].success


def test_a_collectors_failure_is_noted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()
    for _ in range(3):
        with supervisor.timed("listeners"):
            raise OSError("no /proc")
    assert not supervisor.runs["listeners"].success
    assert [r.getMessage() for r in caplog.records] == ["listeners failed: no /proc"]
    with supervisor.timed("listeners"):
        pass
    assert supervisor.runs["listeners"].success
