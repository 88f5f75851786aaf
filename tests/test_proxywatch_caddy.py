"""What a real Caddy has loaded, and whether its file says something else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from badgateway.topology.proxies.place import ProxyPlace
from tests.lab.require import require
from tests.servers import free_port
from tests.topology.rootsplace import roots_place
from tests.watchedproxy import watching

FILE = """{
	admin localhost:%d
	auto_https off
}
http://one.test:%d {
	reverse_proxy 127.0.0.1:%s
}
"""


@dataclass
class Caddy:
    binary: str
    folder: Path
    admin: int
    port: int
    process: subprocess.Popen[bytes]

    @property
    def place(self) -> ProxyPlace:
        return ProxyPlace(
            "edge", "caddy", config=str(self.folder / "Caddyfile"), binary=self.binary,
            admin=f"http://localhost:{self.admin}", pid=self.process.pid,
        )  # fmt: skip

    def write(self, upstream: str, more: str = "") -> None:
        text = FILE % (self.admin, self.port, upstream)
        (self.folder / "Caddyfile").write_text(text + more)

    def reload(self) -> None:
        command = (self.binary, "reload", "--config", self.folder / "Caddyfile")
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)


@pytest.fixture(scope="module", params=["caddy"])
def caddy(request: pytest.FixtureRequest) -> Iterator[Caddy]:
    binary = str(require(request.param))
    with roots_place() as folder:
        admin, port = free_port(), free_port()
        (folder / "Caddyfile").write_text(FILE % (admin, port, 1001))
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                (binary, "run", "--config", "Caddyfile"),
                cwd=folder, env={**os.environ, **home}, stdout=log, stderr=log,
            )  # fmt: skip
        running = Caddy(binary, folder, admin, port, process)
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    url = f"http://localhost:{admin}/config/"
                    if httpx.get(url, trust_env=False).status_code == 200:
                        break
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
            yield running
        finally:
            process.terminate()
            process.wait(20)


def test_a_change_pends_until_the_reload(caddy: Caddy) -> None:
    async def run() -> None:
        async with watching(caddy.place, tests=True) as watched:
            found = watched.state.found
            assert found is not None
            assert found.loaded_digest == found.digest != ""
            assert not watched.state.pending
            assert watched.state.running
            assert abs(found.loaded_at - time.time()) < 60
            assert watched.state.tested is not None
            assert watched.state.tested.valid
            await asyncio.sleep(1.1)  # its file is looked at every second
            caddy.write("1001", "# a comment\n")
            looks = watched.looks
            await watched.until(lambda: watched.looks > looks)
            assert not watched.state.pending
            caddy.write("1002")
            await watched.until(lambda: watched.state.pending)
            assert watched.upstreams == ["127.0.0.1:1001"]
            await asyncio.to_thread(caddy.reload)
            ordered = time.time()
            await watched.look()
            assert not watched.state.pending
            assert watched.upstreams == ["127.0.0.1:1002"]
            loaded = watched.state.found.loaded_at  # type: ignore[union-attr]
            assert abs(loaded - ordered) < 2
            await watched.look()
            assert watched.state.found.loaded_at == loaded  # type: ignore[union-attr]
            learnt = watched.watch.memory()
        async with watching(caddy.place, learnt) as watched:
            assert watched.state.found.loaded_at == loaded  # type: ignore[union-attr]

    asyncio.run(run())


def test_a_file_with_a_fault_would_be_refused(caddy: Caddy) -> None:
    caddy.write("1001", "http://two.test {\n\treverse_prxy 127.0.0.1:1\n}\n")

    async def run() -> None:
        async with watching(caddy.place, tests=True) as watched:
            tested = watched.state.tested
            assert tested is not None
            assert tested.valid is False
            assert tested.place == f"{caddy.folder}/Caddyfile:9"
            assert "reverse_prxy" in tested.message

    asyncio.run(run())
