"""What a real nginx has loaded, told from outside while it lives its life."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from badgateway import proxywatch
from badgateway.proxywatch import ProxyWatch
from badgateway.supervision import Supervisor
from badgateway.topology.nginx import processes as nginx_processes
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies import state as proxystate
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from tests.nginxlab import Nginx
from tests.watchedproxy import Watched, watching

SITE = "server { listen 127.0.0.1:PORT; location / { proxy_pass http://127.0.0.1:%d; } }"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path, SITE % 1001) as running:
        # what is written in the moment of a start counts as what it started with
        time.sleep(0.15)
        yield running


def place_of(nginx: Nginx) -> ProxyPlace:
    assert nginx._process is not None
    return ProxyPlace(
        "edge", "nginx", config=str(nginx.config), prefix=str(nginx.folder), pid=nginx._process.pid
    )


def workers(nginx: Nginx) -> list[int]:
    seen = nginx_processes.look(place_of(nginx).pid)
    assert seen is not None
    return [worker.identity[0] for worker in seen.working]


async def a_pending_change(watched: Watched, nginx: Nginx, port: int = 1002) -> None:
    nginx.write(SITE % port)
    await watched.until(lambda: watched.state.pending, 4.0)


def test_a_change_pends_until_the_reload(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            assert watched.upstreams == ["127.0.0.1:1001"]
            assert not watched.state.pending
            began = watched.state.found.loaded_at  # type: ignore[union-attr]
            assert abs(began - time.time()) < 3
            nginx.write(SITE % 1002)
            assert await watched.until(lambda: watched.state.pending) < 2.0
            assert watched.upstreams == ["127.0.0.1:1001"]
            changed = watched.state.pending_since
            assert abs(changed - time.time()) < 2
            await asyncio.sleep(0.1)
            ordered = time.time()
            nginx.reload()
            assert await watched.until(lambda: not watched.state.pending) < 3.0
            assert watched.upstreams == ["127.0.0.1:1002"]
            loaded = watched.state.found.loaded_at  # type: ignore[union-attr]
            assert ordered - 0.05 < loaded < time.time()

    asyncio.run(run())


def test_a_reload_that_fails_changes_nothing(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            nginx.write("server { listen 127.0.0.1:PORT; location / { proxy_passs http://x; } }")
            await watched.until(lambda: watched.state.pending)
            os.kill(watched.place.pid, signal.SIGHUP)
            await watched.until(lambda: "proxy_passs" in nginx.log.read_text())
            await asyncio.sleep(2.5)
            assert watched.state.pending
            assert watched.upstreams == ["127.0.0.1:1001"]

    asyncio.run(run())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT])
def test_workers_that_end_by_themselves_load_nothing(nginx: Nginx, how: signal.Signals) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            await a_pending_change(watched, nginx)
            before = workers(nginx)
            for pid in before:
                os.kill(pid, how)
            await watched.until(lambda: bool(set(workers(nginx)) - set(before)))
            await asyncio.sleep(2.5)
            assert watched.state.pending
            assert watched.upstreams == ["127.0.0.1:1001"]
            nginx.reload()
            await watched.until(lambda: not watched.state.pending)
            assert watched.upstreams == ["127.0.0.1:1002"]

    asyncio.run(run())


class Several(Nginx):
    """With four workers."""

    def write(self, http: str) -> None:
        super().write(http)
        text = self.config.read_text()
        self.config.write_text(text.replace("worker_processes 1;", "worker_processes 4;"))


def test_of_several_workers_each_may_crash_and_all_must_be_told(tmp_path: Path) -> None:
    async def run(nginx: Nginx) -> None:
        async with watching(place_of(nginx)) as watched:
            await a_pending_change(watched, nginx)
            old = workers(nginx)
            assert len(old) == 4
            for pid in old:  # one after the other, the last two at once
                os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.2 if pid not in old[-2:] else 0)
            await watched.until(lambda: len(set(workers(nginx)) - set(old)) == 4)
            await asyncio.sleep(2.5)
            assert watched.state.pending
            os.kill(workers(nginx)[0], signal.SIGKILL)
            nginx.reload()
            await watched.until(lambda: not watched.state.pending)
            assert watched.upstreams == ["127.0.0.1:1002"]

    with Several(tmp_path, SITE % 1001) as nginx:
        time.sleep(0.15)
        asyncio.run(run(nginx))


def test_a_shell_that_waits_for_nginx_is_looked_through(nginx: Nginx) -> None:
    other = nginx.folder / "other"
    other.mkdir()
    inner = Nginx(other, SITE % 1001)
    words = ("sh", "-c", f"{inner._binary} -c {inner.config} -p {other} -e {inner.log}; true")
    shell = subprocess.Popen(words)

    async def run() -> None:
        place = ProxyPlace("edge", "nginx", config=str(inner.config), prefix=str(other))
        while not inner._listens():
            await asyncio.sleep(0.05)
        async with watching(replace(place, pid=shell.pid)) as watched:
            assert watched.upstreams == ["127.0.0.1:1001"]
            nginx_pid = nginx_processes.master(shell.pid)
            assert nginx_pid != shell.pid
            await asyncio.sleep(0.1)
            inner.write(SITE % 1002)
            await watched.until(lambda: watched.state.pending)
            os.kill(nginx_pid, signal.SIGHUP)
            await watched.until(lambda: not watched.state.pending)

    try:
        asyncio.run(run())
    finally:
        os.kill(nginx_processes.master(shell.pid), signal.SIGTERM)
        shell.wait(10)


def test_a_healthy_proxy_is_not_looked_at_again_and_again(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            await asyncio.sleep(2.5)
            assert watched.looks == 1

    asyncio.run(run())


def test_a_new_master_has_what_is_on_disk(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            await a_pending_change(watched, nginx)
            nginx.__exit__()
            await watched.until(lambda: watched.state.running is False)
            nginx.__enter__()
            watched.now_at(place_of(nginx).pid)
            await watched.until(lambda: watched.upstreams == ["127.0.0.1:1002"])
            assert watched.state.running
            assert not watched.state.pending

    asyncio.run(run())


def test_a_touch_and_an_edit_taken_back_leave_nothing_pending(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            looks = watched.looks
            await asyncio.sleep(0.05)
            nginx.config.touch()
            await watched.until(lambda: watched.looks > looks)
            assert not watched.state.pending
            assert watched.state.found.changed > watched.state.found.loaded_at  # type: ignore[union-attr]
            await a_pending_change(watched, nginx)
            nginx.write(SITE % 1001)
            await watched.until(lambda: not watched.state.pending)
            assert watched.upstreams == ["127.0.0.1:1001"]

    asyncio.run(run())


def test_a_worker_that_is_still_busy_does_not_hide_a_reload(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            with socket.create_connection(("127.0.0.1", nginx.port)) as busy:
                busy.sendall(b"POST / HTTP/1.1\r\nHost: one\r\nContent-Length: 9\r\n\r\n")
                await a_pending_change(watched, nginx)
                old = workers(nginx)
                os.kill(watched.place.pid, signal.SIGHUP)
                await watched.until(lambda: not watched.state.pending)
                assert watched.upstreams == ["127.0.0.1:1002"]
                seen = nginx_processes.look(watched.place.pid)
                assert seen is not None
                assert [w.identity[0] for w in seen.workers if w.leaving] == old
                await a_pending_change(watched, nginx, 1003)

    asyncio.run(run())


@pytest.mark.parametrize("meanwhile", ["nothing", "edited", "reloaded", "crashed"])
def test_what_is_loaded_is_known_again_after_a_restart(nginx: Nginx, meanwhile: str) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            await a_pending_change(watched, nginx)
        learnt = watched.watch.memory()
        if meanwhile == "edited":
            nginx.write(SITE % 1003)
        if meanwhile == "reloaded":
            nginx.reload()
        if meanwhile == "crashed":
            before = workers(nginx)
            os.kill(before[0], signal.SIGKILL)
            while not set(workers(nginx)) - set(before):
                await asyncio.sleep(0.02)
        async with watching(place_of(nginx), learnt) as watched:
            if meanwhile in ("nothing", "edited"):
                assert watched.upstreams == ["127.0.0.1:1001"]
                assert watched.state.pending
            else:  # which of the two it was nobody can tell now
                assert watched.upstreams is None
                assert not watched.state.pending

    asyncio.run(run())


def test_files_changed_before_the_first_look_leave_what_is_loaded_unknown(nginx: Nginx) -> None:
    nginx.write(SITE % 1002)

    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            assert watched.upstreams is None
            assert not watched.state.pending
            nginx.reload()
            await watched.until(lambda: watched.upstreams == ["127.0.0.1:1002"])

    asyncio.run(run())


def test_a_test_that_came_to_nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host that is too busy to answer in time; what is judged stays judged."""
    outcomes = [proxystate.Tested(None, "not judged: it took too long"), proxystate.Tested(True)]

    async def test(*_: object) -> proxystate.Tested:
        return outcomes.pop(0)

    async def run() -> proxystate.Tested | None:
        watch = ProxyWatch(Supervisor(), lambda: None, lambda _: True)
        for _ in range(3):
            answers = {"nginx": ProxyFound(digest="a")}
            watch.watch((ProxyPlace("nginx", "nginx"),), answers, True)
            await asyncio.gather(*watch._tests)
        return watch.states["nginx"].tested

    monkeypatch.setattr(proxytest, "nginx", test)
    monkeypatch.setattr(proxywatch, "_UNJUDGED_SECONDS", 0.0)
    assert asyncio.run(run()) == proxystate.Tested(True)
    assert outcomes == []


def test_what_another_version_remembered_is_forgotten(nginx: Nginx) -> None:
    async def run() -> None:
        async with watching(place_of(nginx)) as watched:
            learnt = watched.watch.memory()
        learnt["nginx"]["held"]["edge"]["generation"] = {"master": "other"}
        learnt["answers"] = {"edge": 7}
        async with watching(place_of(nginx), learnt) as watched:
            assert watched.upstreams == ["127.0.0.1:1001"]

    asyncio.run(run())
