"""Caddy's admin API switched off, slow, or answering rubbish; backends that come, move and go."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.caddylog import CADDY, append, eventually, failure
from tests.servers import ExporterProcess, free_port

CONFIG = """
discovery: {{enabled: false, interval: 1s}}
probes: {{default: false}}
proxies:
  - name: web
    kind: caddy
    admin: "http://127.0.0.1:{port}"
    logs: [{{file: {log}}}]
"""


Answer = Callable[[Callable[[bytes], object]], object]


class Api(socketserver.ThreadingTCPServer):
    """Stands where Caddy's admin API should, and answers as a test wants."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Answer = lambda _: None
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Api)
        self.request.recv(65536)
        try:
            self.server.answer(self.request.sendall)
        except OSError:
            pass  # the exporter had heard enough


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def dripping(send: Callable[[bytes], object]) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        send(b" ")
        time.sleep(0.3)


def endless(send: Callable[[bytes], object]) -> None:
    send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        send(b"[" * 1024 * 1024)


GOOD = http(json.dumps(CADDY).encode())
RUBBISH: dict[str, Answer] = {
    "silent": lambda send: time.sleep(30),
    "dripping": dripping,
    "endless": endless,
    "closing": lambda send: None,
    "no HTTP": lambda send: send(b"\x16\x03\x01\x00\xff" * 50),
    "no JSON": lambda send: send(http(b"<html>hello")),
    "a list": lambda send: send(http(b"[1, 2]")),
    "deep": lambda send: send(http(b'{"apps":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "other types": lambda send: send(
        http(b'{"apps": {"http": {"servers": [1]}}, "logging": {"logs": 7}}')
    ),
    "types in routes": lambda send: send(
        http(
            b'{"apps": {"http": {"servers": {"s": {"listen": [null, 7], "routes": [1, '
            b'{"match": 3, "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": 5}, '
            b'null]}, {"handler": "subroute", "routes": {}}]}]}}}}}'
        )
    ),
    "refusing": lambda send: send(http(b'{"error": "host not allowed"}', "403 Forbidden")),
    "leading away": lambda send: send(http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n")),
}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "caddy.log"
    path.touch()
    return path


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_is_told_and_forgotten_when_it_answers_well(
    tmp_path: Path, log: Path, api: Api, kind: str
) -> None:
    api.answer = RUBBISH[kind]
    with ExporterProcess(tmp_path, CONFIG.format(port=api.port, log=log)) as running:
        wanted = 'badgateway_source_up{source="caddy-admin"} '
        if kind in ("other types", "types in routes"):  # JSON objects: nothing to proxy to
            wanted += "1.0"
        else:
            wanted += "0.0"
        eventually(lambda: wanted in httpx.get(f"{running.url}/metrics", trust_env=False).text, 15)
        assert running.total("collector_success", collector="discovery") == 1
        begun = time.monotonic()
        running.scrape()
        assert time.monotonic() - begun < 1.0
        running.wait_for("source_up", 1, source="web-log")
        append(log, failure(1))  # whatever the API says, what the log says is counted
        running.wait_for("upstream_failures_total", 1)
        assert "Traceback" not in running.log.read_text()
        api.answer = lambda send: send(GOOD)
        running.wait_for("source_up", 1, source="caddy-admin")
        eventually(lambda: running.total("backend_info", backend="127.0.0.1:9"))


def test_an_api_that_is_off_is_told_with_its_address(tmp_path: Path, log: Path) -> None:
    port = free_port()
    with ExporterProcess(tmp_path, CONFIG.format(port=port, log=log)) as running:
        running.wait_for("source_up", 1, source="web-log")
        key = ("badgateway_source_up", (("source", "caddy-admin"),))
        eventually(lambda: running.scrape().get(key) == 0)
        said = httpx.get(f"{running.url}/api/v1/diagnosis", trust_env=False).json()["sources"]
        assert said["caddy-admin"].startswith(f"http://127.0.0.1:{port}: ")


def test_a_backend_appears_moves_and_vanishes(tmp_path: Path, log: Path, api: Api) -> None:
    def serve(*upstreams: str) -> None:
        route = CADDY["apps"]["http"]["servers"]["s"]["routes"][0]
        handler = {"handler": "reverse_proxy", "upstreams": [{"dial": u} for u in upstreams]}
        routes = [{**route, "handle": [handler]}] if upstreams else []
        body = {"apps": {"http": {"servers": {"s": {"listen": [":9"], "routes": routes}}}}}
        api.answer = lambda send: send(http(json.dumps(body).encode()))

    def known() -> set[str]:
        return {
            dict(labels)["backend"]
            for name, labels in running.scrape()
            if name == "badgateway_backend_info"
        }

    serve()
    with ExporterProcess(tmp_path, CONFIG.format(port=api.port, log=log)) as running:
        running.wait_for("source_up", 1, source="caddy-admin")
        assert known() == set()
        serve("127.0.0.1:9")
        eventually(lambda: known() == {"127.0.0.1:9"})
        append(log, failure(1))
        running.wait_for("upstream_failures_total", 1, backend="127.0.0.1:9")
        serve("127.0.0.1:11")
        eventually(lambda: known() == {"127.0.0.1:11"})
        assert running.total("upstream_failures_total", backend="127.0.0.1:9") == 0
        append(log, failure(2).replace(b"127.0.0.1:9:", b"127.0.0.1:11:"))
        running.wait_for("upstream_failures_total", 1, backend="127.0.0.1:11")
        serve("127.0.0.1:9")
        eventually(lambda: known() == {"127.0.0.1:9"})
        assert running.total("upstream_failures_total", backend="127.0.0.1:9") == 1  # counts on
