"""Whatever answers on Docker's socket: the exporter stays up, says so and ends at once."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import socketserver
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import ExporterProcess, serving

Answer = Callable[[socket.socket, str], None]
IDENTIFIER = "a" * 64


def reply(client: socket.socket, body: object, status: str = "200 OK") -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode() + data)


def described() -> dict[str, object]:
    return {
        "Id": IDENTIFIER, "Name": "/web", "Config": {}, "HostConfig": {},
        "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:00Z"},
    }  # fmt: skip


def well(client: socket.socket, target: str) -> None:
    """Answer as a daemon with one container."""
    if "/version" in target:
        reply(client, {"ApiVersion": "1.41"})
    elif "/containers/json" in target:
        reply(client, [{"Id": IDENTIFIER}])
    elif "/events" in target and "until" in target:
        reply(client, b"")
    elif "/events" in target:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        client.recv(1)
    else:
        reply(client, described())


def at(path: str, body: object) -> Answer:
    """Answer well but for one path."""

    def answer(client: socket.socket, target: str) -> None:
        if path in target:
            reply(client, body)
        else:
            well(client, target)

    return answer


def silent(client: socket.socket, _: str) -> None:
    client.recv(1)


def closed(_: socket.socket, __: str) -> None:
    pass


def failing(client: socket.socket, _: str) -> None:
    reply(client, {"message": "broken\nlevel=info msg=forged"}, "500 Internal Server Error")


def endless(client: socket.socket, target: str) -> None:
    """Send without end."""
    if "/version" in target:
        well(client, target)
        return
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
    while True:
        client.sendall(b" " * 65536)


def dripping(client: socket.socket, target: str) -> None:
    """Send a byte now and then, without end."""
    if "/version" in target:
        well(client, target)
        return
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
    while True:
        client.sendall(b" ")
        time.sleep(0.2)


def flooding(client: socket.socket, target: str) -> None:
    """Send events without end, of ever other containers."""
    if "/events" not in target or "until" in target:
        well(client, target)
        return
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    number = 0
    while True:
        number += 1
        event = {
            "Type": "container", "Action": "start", "timeNano": time.time_ns(),
            "Actor": {"ID": f"{number:064x}", "Attributes": {"name": "x" * 500}},
        }  # fmt: skip
        client.sendall(json.dumps(event).encode() + b"\n")


@contextlib.contextmanager
def daemon(folder: Path, answer: Answer) -> Iterator[str]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                request = self.request.recv(65536)
                if request:
                    answer(self.request, request.split(b" ")[1].decode())

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(folder / "d.sock"), Handler) as server, serving(server):
        yield f"unix://{folder / 'd.sock'}"


GARBAGE = {**described(), "State": "none", "Config": {"Labels": [1]}}
NOT_DOCKER = "the daemon does not speak Docker's API"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(silent, "the daemon has not answered for 5 s", id="silent"),
        pytest.param(closed, "Docker cannot be reached", id="closed"),
        pytest.param(failing, "the daemon answered 500", id="failing"),
        pytest.param(endless, NOT_DOCKER, id="endless"),
        pytest.param(dripping, "the daemon has not answered for 5 s", id="dripping"),
        pytest.param(at("/version", b"<html>"), NOT_DOCKER, id="html"),
        pytest.param(at("/version", ["1.41"]), NOT_DOCKER, id="no-version"),
        pytest.param(at("/containers/json", [{"Id": {}}, 7]), NOT_DOCKER, id="no-list"),
        pytest.param(at(f"/{IDENTIFIER}/json", GARBAGE), NOT_DOCKER, id="garbage"),
        pytest.param(at(f"/{IDENTIFIER}/json", b"[" * 100_000), NOT_DOCKER, id="deep"),
        pytest.param(at("/events", b'{"timeNano": "x"}\n'), NOT_DOCKER, id="no-event"),
    ],
)
def test_what_is_no_daemon_is_a_broken_source(answer: Answer, said: str, tmp_path: Path) -> None:
    with (
        daemon(tmp_path, answer) as host,
        ExporterProcess(tmp_path, f"docker: {{host: '{host}'}}\n") as exporter,
    ):
        deadline = time.monotonic() + 25
        while "docker: " not in exporter.log.read_text():
            assert time.monotonic() < deadline, exporter.log.read_text()
            time.sleep(0.1)
            exporter.scrape()
        text = exporter.log.read_text()
        assert said in text
        assert "Traceback" not in text
        assert "\nlevel=info msg=forged" not in text
        exporter.wait_for("source_up", 0, source="docker")
        ends_at_once(exporter)


def test_a_flood_of_events_fills_no_memory(tmp_path: Path) -> None:
    with (
        daemon(tmp_path, flooding) as host,
        ExporterProcess(tmp_path, f"docker: {{host: '{host}'}}\n") as exporter,
    ):
        time.sleep(3)
        first = psutil.Process(exporter.pid).memory_info().rss
        time.sleep(3)
        begun = time.monotonic()
        exporter.scrape()
        assert time.monotonic() - begun < 1
        assert psutil.Process(exporter.pid).memory_info().rss - first < 30 * 2**20
        ends_at_once(exporter)


def ends_at_once(exporter: ExporterProcess) -> None:
    begun = time.monotonic()
    assert exporter.end(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 2
