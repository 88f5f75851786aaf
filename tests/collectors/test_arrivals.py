"""When an application last received a request that was none of our own, told by real servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from badgateway.collectors import arrivals
from badgateway.collectors.arrivals import BY_LOG, BY_SOCKETS, Arrival, Arrivals, port_of
from badgateway.collectors.ownports import OwnPorts
from badgateway.collectors.probes import Probes, Target
from badgateway.counters import Counters
from badgateway.dialects import dialect
from badgateway.events import Line, Request
from badgateway.sources import sockdiag
from badgateway.supervision import Supervisor
from badgateway.topology.backends import Backend
from tests.servers import free_port

TOKEN = "0123456789abcdef"
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start):
    start("200 OK", [])
    return [b"ok"]
"""


class App:
    """A real server with its log, asked by probes of ours and by clients."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        self.port, self.log = free_port(), folder / "app.log"
        (folder / "arrivalapp.py").write_text(APPLICATION)
        command = [sys.executable, "-m", *(w.replace("PORT", str(self.port)) for w in words)]
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        self._reader = dialect(words[0])
        self._read = 0
        self.probes = Probes(Counters(), TOKEN, 5.0, 5.0)
        self.backend = Backend("app", listens=(f"127.0.0.1:{self.port}",))
        self.arrivals = Arrivals(Supervisor(), lambda: (self.backend,), self.probes.ports, [TOKEN])
        deadline = time.monotonic() + 20
        while not self._listens():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def probe(self) -> float:
        """Ask as the exporter does; return when that was answered."""
        url = f"http://127.0.0.1:{self.port}/"
        result = asyncio.run(self.probes.ask(Target("app", "origin", "origin", url)))
        assert result.status == 200
        return result.at

    def request(self) -> float:
        """Ask as a client does; return when that was."""
        at = time.time()
        with httpx.Client(trust_env=False) as client:
            assert client.get(f"http://127.0.0.1:{self.port}/").status_code == 200
        return at

    def read(self) -> None:
        """Read what it has written since the last time."""
        time.sleep(0.3)
        lines = self.log.read_text().splitlines()
        for text in lines[self._read :]:
            self._reader.read(Line(time.time(), text, "app-log"))
        self._read = len(lines)
        for event in self._reader.requests.take():  # type: ignore[attr-defined]
            self.arrivals.take("app", event, counted=True)

    def of(self, answered: float) -> Arrival | None:
        """What is known."""
        return self.arrivals.of(self.backend, answered)

    def end(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)


UVICORN = ("uvicorn", "arrivalapp:app", "--port", "PORT")
GUNICORN = ("gunicorn", "arrivalapp:wsgi", "--bind", "127.0.0.1:PORT")
LOGGED = (*GUNICORN, "--access-logfile", "-")
WORKER = (*LOGGED[:1], "arrivalapp:app", *LOGGED[2:], "-k", "uvicorn.workers.UvicornWorker")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Sequence[str]], App]]:
    running: list[App] = []

    def begin(words: Sequence[str]) -> App:
        running.append(App(tmp_path, words))
        return running[-1]

    yield begin
    for app in running:
        app.end()


@pytest.mark.parametrize("words", [UVICORN, LOGGED, WORKER])
def test_its_own_log_tells_requests_from_our_probes(
    start: Callable[[Sequence[str]], App], words: Sequence[str]
) -> None:
    app = start(words)
    answered = app.probe()
    app.read()
    told = app.of(answered)
    assert told is not None
    assert (told.last, told.how) == (0, BY_LOG)
    assert abs(told.since - time.time()) < 5
    asked = app.request()
    answered = app.probe()
    app.read()
    told = app.of(answered)
    assert told is not None
    assert told.last >= asked


def test_a_log_without_our_probes_proves_nothing(start: Callable[[Sequence[str]], App]) -> None:
    app = start(GUNICORN)  # it writes no line of a request
    answered = app.probe()
    app.request()
    app.read()
    assert app.of(answered) is None


@pytest.mark.parametrize("words", [UVICORN, GUNICORN])
def test_sockets_tell_where_no_log_does(
    start: Callable[[Sequence[str]], App], monkeypatch: pytest.MonkeyPatch, words: Sequence[str]
) -> None:
    monkeypatch.setattr(arrivals, "LOOK_SECONDS", 0.2)
    app = start(words)

    async def run() -> None:
        watching = asyncio.create_task(app.arrivals.run())
        try:
            await asyncio.sleep(1.2)
            for _ in range(3):
                await asyncio.to_thread(app.probe)
            await asyncio.sleep(0.6)
            told = app.of(0.0)
            assert told is not None
            assert (told.last, told.how) == (0, BY_SOCKETS)
            asked = await asyncio.to_thread(app.request)
            await asyncio.sleep(0.6)
            told = app.of(0.0)
            assert told is not None
            assert abs(told.last - asked) < 0.5
            await asyncio.sleep(1.0)
            later = app.of(0.0)
            assert later is not None
            assert abs(later.last - asked) < 0.5
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())


def test_an_open_connection_is_as_old_as_its_last_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                assert list(sockdiag.connections(port)) == []  # nothing was asked yet
                client.sendall(b"GET")
                accepted.recv(3)
                time.sleep(0.5)
                (found,) = sockdiag.connections(port)
                assert found.client == client.getsockname()[1]
                assert 0.4 < time.time() - found.at < 1.5


def test_a_connection_to_the_same_port_elsewhere_is_none() -> None:
    assert list(sockdiag.connections(free_port())) == []


def made(ports: OwnPorts) -> Arrivals:
    return Arrivals(Supervisor(), lambda: (), ports, [TOKEN])


def test_a_log_that_falls_silent_is_believed_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ports = OwnPorts()
    ports.add(4000)
    kept, backend = made(ports), Backend("app")
    kept.take("app", Request(1000.0, 4000), counted=True)
    kept.take("app", Request(1001.0, 5000), counted=True)
    assert kept.of(backend, 1002.0) == Arrival(1001.0, 1000.0, BY_LOG)
    now = 1100.0
    assert kept.of(backend, 1099.0) == Arrival(1001.0, 1000.0, BY_LOG)  # the line is on its way
    now = 1125.0
    assert kept.of(backend, 1124.0) is None
    kept.take("app", Request(1130.0, 4000), counted=True)
    assert kept.of(backend, 1129.0) == Arrival(0.0, 1130.0, BY_LOG)


def test_an_application_that_is_down_is_still_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = OwnPorts()
    ports.add(4000)
    kept = made(ports)
    kept.take("app", Request(1000.0, 4000), counted=True)
    monkeypatch.setattr(time, "time", lambda: 9000.0)
    assert kept.of(Backend("app"), 1000.1) == Arrival(0.0, 1000.0, BY_LOG)


def test_a_client_cannot_pass_for_a_probe() -> None:
    kept = made(OwnPorts())
    for probe in ("fedcba9876543210", ""):
        kept.take("app", Request(999.0, None, TOKEN), counted=True)
        kept.take("app", Request(1000.0, None, probe), counted=True)
        told = kept.of(Backend("app"), 0.0)
        assert told is not None
        assert told.last == 1000.0


def test_lines_of_the_past_prove_nothing() -> None:
    kept = made(OwnPorts())
    kept.take("app", Request(1000.0, None, TOKEN), counted=False)
    assert kept.of(Backend("app"), 0.0) is None


def test_old_ports_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = OwnPorts()
    ports.add(4000)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 200)
    ports.add(4001)
    assert 4001 in ports
    assert 4000 not in ports


@pytest.mark.parametrize(
    ("address", "port"),
    [("127.0.0.1:8001", 8001), ("0.0.0.0:8001", 8001), ("[::1]:8001", 8001), ("localhost:81", 81),
     ("unix:/run/app.sock", 0), ("10.1.2.3:8001", 0), ("{name}:80", 0)],
)  # fmt: skip
def test_only_ports_of_this_host_are_looked_at(address: str, port: int) -> None:
    assert port_of(Backend("app", listens=(address,))) == port
