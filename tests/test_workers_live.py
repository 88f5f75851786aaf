"""Workers' ends as the process table shows them: real gunicorn and uvicorn, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.servers import ExporterProcess, free_port

APP = """
import os, sys, time

def app(environ, start):
    path = environ["PATH_INFO"]
    if path == "/exit0":
        os._exit(0)
    if path == "/exit7":
        os._exit(7)
    if path == "/block":
        time.sleep(60)
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""

ASGI = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/exit0":
        os._exit(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


class Site:
    def __init__(self, directory: Path, server: list[str], log: bool) -> None:
        self.port = free_port()
        (directory / "wapp.py").write_text(APP)
        (directory / "aapp.py").write_text(ASGI)
        address = ["--port", str(self.port)] if "uvicorn" in server[0] else [
            "--bind", f"127.0.0.1:{self.port}"]  # fmt: skip
        self.command = [sys.executable, "-m", *server, *address]
        self.directory, self.log = directory, directory / "server.log"
        self.log.touch()
        words = ", ".join(f'"{word}"' for word in self.command)
        logs = f"    logs: [{{file: {self.log}}}]\n" if log else ""
        self.config = (
            f"backends:\n  - name: api\n    command: [{words}]\n"
            f"    working_directory: {directory}\n{logs}discovery: {{enabled: false}}\n"
            "probes: {enabled: false}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 15
        while not self.get("/"):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def get(self, path: str) -> int:
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            return httpx.get(url, trust_env=False, timeout=5).status_code
        except httpx.HTTPError:
            return 0

    def workers(self) -> list[int]:
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        return [c.pid for c in children if "resource_tracker" not in " ".join(c.cmdline())]

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


@contextlib.contextmanager
def serving(
    tmp_path: Path, server: list[str], log: bool = True
) -> Iterator[tuple[Site, ExporterProcess]]:
    site = Site(tmp_path, server, log)
    try:
        site.start()
        with ExporterProcess(tmp_path, site.config) as exporter:
            exporter.wait_for("workers", 2, backend="api")
            if log:
                exporter.wait_for("source_up", 1, source="api-log")
                time.sleep(0.5)
            yield site, exporter
    finally:
        site.stop()


GUNICORN = ["gunicorn", "wapp:app", "-w", "2", "--no-control-socket"]
UVICORN = ["uvicorn", "aapp:app", "--workers", "2"]


def ends(exporter: ExporterProcess) -> dict[str, float]:
    found = {
        dict(labels)["reason"]: value
        for (name, labels), value in exporter.scrape().items()
        if name == "badgateway_worker_recycles_total"
    }
    return {reason: value for reason, value in found.items() if value}


def until(exporter: ExporterProcess, expected: dict[str, float], seconds: float = 12) -> None:
    deadline = time.monotonic() + seconds
    while (found := ends(exporter)) != expected:
        assert time.monotonic() < deadline, (found, expected, exporter.log.read_text())
        time.sleep(0.1)


def renewed(site: Site, before: list[int]) -> None:
    deadline = time.monotonic() + 10
    while len(site.workers()) != 2 or set(site.workers()) & set(before):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_death_of_a_gunicorn_worker_is_one_event(tmp_path: Path) -> None:
    with serving(tmp_path, GUNICORN) as (site, exporter):
        os.kill(site.workers()[0], signal.SIGKILL)
        until(exporter, {"sigkill": 1})
        site.get("/exit7")
        until(exporter, {"sigkill": 1, "exit_code": 1})
        site.get("/exit0")  # gunicorn says nothing of it
        until(exporter, {"sigkill": 1, "exit_code": 1, "unknown": 1})
        os.kill(site.workers()[0], signal.SIGSEGV)
        until(exporter, {"sigkill": 1, "exit_code": 1, "unknown": 1, "segfault": 1})
        time.sleep(4)  # what is held is counted by then: nothing is told twice
        until(exporter, {"sigkill": 1, "exit_code": 1, "unknown": 1, "segfault": 1})


def test_a_timeout_told_by_the_log_and_seen_in_the_table_is_one(tmp_path: Path) -> None:
    with serving(tmp_path, [*GUNICORN, "--timeout", "1"]) as (site, exporter):
        site.get("/block")
        until(exporter, {"timeout": 1})
        time.sleep(4)
        until(exporter, {"timeout": 1})


def test_without_a_log_the_status_says_how(tmp_path: Path) -> None:
    with serving(tmp_path, UVICORN, log=False) as (site, exporter):
        os.kill(site.workers()[0], signal.SIGKILL)
        until(exporter, {"sigkill": 1})
        site.get("/exit0")
        until(exporter, {"sigkill": 1, "unknown": 1})


def test_workers_that_die_while_the_exporter_is_away_are_counted_once(tmp_path: Path) -> None:
    with serving(tmp_path, GUNICORN) as (site, exporter):
        before = site.workers()
        os.kill(before[0], signal.SIGKILL)
        time.sleep(0.3)
        exporter.end(signal.SIGKILL)  # the line may have been read, and is held
        os.kill(before[1], signal.SIGTERM)  # which nobody asked the server for
        renewed(site, before)
        exporter.start()
        until(exporter, {"sigkill": 1, "external_term": 1}, 20)
        time.sleep(4)
        until(exporter, {"sigkill": 1, "external_term": 1})


def test_a_loop_inside_a_living_server_is_seen(tmp_path: Path) -> None:
    with serving(tmp_path, GUNICORN, log=False) as (site, exporter):
        assert ends(exporter) == {}
        killed = 0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            for pid in site.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            time.sleep(0.4)
        deadline = time.monotonic() + 12
        while (seen := sum(ends(exporter).values())) < 0.8 * killed:
            assert time.monotonic() < deadline, (seen, killed)
            time.sleep(0.2)
        time.sleep(4)
        # births between two looks may go unseen; what is seen is never more
        assert sum(ends(exporter).values()) <= killed


@pytest.mark.parametrize("server", [UVICORN])
def test_workers_that_outlive_their_server_are_told(tmp_path: Path, server: list[str]) -> None:
    with serving(tmp_path, server, log=False) as (site, exporter):
        workers = site.workers()
        assert site.process is not None
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()
        try:
            until(exporter, {"orphaned": 2})
            assert site.get("/") == 200  # they serve on, and hold the port
        finally:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
