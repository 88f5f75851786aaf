"""Real Prometheus and Alertmanager on the shipped files, between two ends the test holds.

One end is an exporter whose metrics the test sets, the other a webhook that keeps what it gets.
Ports are free ones; nothing else of the shipped files is changed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Notification:
    """One webhook call: when it came, at which receiver, and what it said."""

    at: float
    receiver: str
    body: dict[str, Any]

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """Return its alerts called ``name``."""
        return [alert for alert in self.body["alerts"] if alert["labels"]["alertname"] == name]


@dataclass
class Ends:
    """The two ends; ``metrics`` renders the exposition text at each scrape."""

    metrics: Callable[[], str]
    received: list[Notification] = field(default_factory=list)

    def at(self, receiver: str) -> list[Notification]:
        """Return what ``receiver`` got so far."""
        return [one for one in self.received if one.receiver == receiver]

    def wait(self, receiver: str, seconds: float) -> Notification:
        """Return the first notification at ``receiver``; AssertionError after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.at(receiver):
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"nothing reached {receiver} in {seconds:.0f} s")


def wait_until_watched(prometheus: int, seconds: float = 60) -> None:
    """Wait until Prometheus, at that port, has scraped the exporter and found Alertmanager.

    Alerts before that are sent to nobody, and again only a minute later.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = _ask(prometheus, "alertmanagers")["activeAlertmanagers"]
            if found and _ask(prometheus, "query?query=up==1")["result"]:
                return
        time.sleep(0.2)
    raise AssertionError(f"Prometheus sees no exporter or no Alertmanager after {seconds:.0f} s")


def _ask(prometheus: int, path: str) -> dict[str, Any]:
    url = f"http://{LOOPBACK}:{prometheus}/api/v1/{path}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
        return data


def free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler], port: int) -> Iterator[None]:
    """Serve HTTP on loopback while the context lasts."""
    server = ThreadingHTTPServer((LOOPBACK, port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def exporter(ends: Ends) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers every GET with the metrics of ``ends``."""

    class Handler(_Silent):
        def do_GET(self) -> None:
            self.answer(ends.metrics(), "text/plain; version=0.0.4; charset=utf-8")

    return Handler


def webhook(ends: Ends) -> type[BaseHTTPRequestHandler]:
    """Return a handler that keeps every POST in ``ends``."""

    class Handler(_Silent):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ends.received.append(Notification(time.time(), self.path.strip("/"), body))
            self.answer("ok", "text/plain")

    return Handler


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return

    def answer(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())


@contextlib.contextmanager
def running(ends: Ends, prometheus: Path, alertmanager: Path, folder: Path) -> Iterator[int]:
    """Run the whole way from ``ends.metrics`` to ``ends.received``; yields Prometheus' port.

    The exporter's end is the caller's to serve, at the port that ``folder/exporter`` names, so
    that a test can let it die.
    """
    ports = {old: free_port() for old in (10502, 10503, 9093)}
    own = free_port()
    config = folder / "alerts"
    shutil.copytree(ALERTS, config)
    for name in ("prometheus.yml", "alertmanager.yml"):
        text = (config / name).read_text()
        for old, new in ports.items():
            text = text.replace(f"{LOOPBACK}:{old}", f"{LOOPBACK}:{new}")
        (config / name).write_text(text)
    (folder / "exporter").write_text(str(ports[10502]))
    commands = (
        [
            str(alertmanager),
            f"--config.file={config}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={LOOPBACK}:{ports[9093]}",
            "--cluster.listen-address=",
        ],
        [
            str(prometheus),
            f"--config.file={config}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address={LOOPBACK}:{own}",
        ],
    )
    with served(webhook(ends), ports[10503]), contextlib.ExitStack() as stack:
        for command in commands:
            stack.enter_context(_process(command, folder / f"{Path(command[0]).name}.log"))
        yield own


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
