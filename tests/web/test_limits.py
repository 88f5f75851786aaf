"""What clients can do to the server: a real exporter, raw sockets, and a scrape beside them."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from badgateway.web import connections
from tests.lab.require import unavailable
from tests.web.world import QUIET, Served, everything, get, one_answer, status

FAST_SECONDS = 0.5
"""A scrape takes some milliseconds; this allows for a busy machine."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("limits")) as served:
        yield served


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An exporter whose scrapes are half a megabyte, and two of them at a time."""
    config = QUIET + "backends:\n"
    for number in range(400):
        config += f"  - {{name: b{number}, upstreams: ['127.0.0.1:{number + 1}']}}\n"
    directory = tmp_path_factory.mktemp("large")
    with Served(directory, "--web.max-requests=2", config=config) as served:
        deadline = time.monotonic() + 10
        while len(served.ask(get("/metrics"))) < 400_000:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield served


@pytest.fixture(scope="module")
def encrypted(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("encrypted")
    for name in ("server.crt", "server.key"):
        shutil.copy(certificates / name, directory)
    web = directory / "web.yml"
    web.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with Served(directory, f"--web.config.file={web}") as served:
        yield served


@pytest.fixture(autouse=True)
def _serves_afterwards(served: Served) -> Iterator[None]:
    """Whatever a client did: the exporter runs, answers fast and has logged no traceback."""
    yield
    assert served.scrape_seconds() < FAST_SECONDS
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 2_000_0, 431),
        (b"a" * 100_000, 431),
        (b"GET /metrics?" + b"name[]=a&" * 1_500 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ],
    ids=["long line", "long header", "many headers", "endless headers", "endless line", "long"],
)
def test_a_head_has_a_size(served: Served, request_: bytes, expected: int) -> None:
    answer = served.ask(request_.replace(b"Host: x", b"Host: x\r\nConnection: close", 1))
    assert status(answer) == expected


def test_the_size_of_a_head_is_told(served: Served) -> None:
    with served.connect() as talking:
        talking.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(17):  # in pieces that the server has read before it answers
            talking.sendall(b"a" * 1000)
            time.sleep(0.01)
        answer = everything(talking)
    assert status(answer) == 431
    assert answer.endswith(b"larger than 16 KiB.\n")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Content-Length: 99999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ],
)
def test_a_body_is_refused_unread(served: Served, method: str, body: bytes) -> None:
    answer = served.ask(f"{method} /metrics HTTP/1.1\r\nHost: x\r\n".encode() + body)
    assert status(answer) == 413
    assert b"100 Continue" not in answer


def test_a_body_of_nothing_is_none(served: Served) -> None:
    assert status(served.ask(get("/metrics", "Content-Length: 0"))) == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\0\xff\xfe" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n X\r\n\xe2\r\n\r\n",
        b"GE T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_by_400_and_closed(served: Served, request_: bytes) -> None:
    answer = served.ask(request_)
    assert status(answer) == 400
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("version", ["2.0", "9.9", "0.9"])
def test_another_version_is_not_spoken(served: Served, version: str) -> None:
    answer = served.ask(f"PRI /metrics HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    assert status(answer) == 505
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd", "/metrics/", "/metrics%00", "/metrics/../../etc/passwd", "/./metrics",
        "/templates/page.html", "/..;/etc/passwd", "/%c0%ae%c0%ae/etc/passwd", "/-/healthy/..",
        "//metrics", "/\\..\\etc\\passwd", "/%ff", "*", "metrics", "http://[/metrics",
    ],
)  # fmt: skip
def test_only_the_pages_there_are_exist(served: Served, target: str) -> None:
    answer = served.ask(get(target))
    assert status(answer) in (400, 404)
    assert b"root:" not in answer
    assert b"\r\nlocation:" not in answer.lower()


@pytest.mark.parametrize(
    "target", ["http://elsewhere.example/metrics", "HTTPS://x:1/metrics?name[]=a", "/metric%73"]
)
def test_a_target_may_be_absolute_or_encoded(served: Served, target: str) -> None:
    assert status(served.ask(get(target))) == 200


@pytest.mark.parametrize("method", ["BREW", "TRACE", "CONNECT", "x" * 1000, "get"])
def test_an_unknown_method_is_not_allowed(served: Served, method: str) -> None:
    answer = served.ask(get("/metrics", method=method))
    assert status(answer) == 405
    assert b"\r\nallow: " in answer


@pytest.mark.parametrize(
    "host", ["", "evil.example", "<script>alert(1)</script>", "127.0.0.1:1", "x" * 500, "[::1"]
)
def test_any_host_is_answered_and_none_is_repeated(served: Served, host: str) -> None:
    for path in ("/", "/metrics", "/nothing"):
        answer = served.ask(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status(answer) in (200, 404)
        assert not host or host.encode() not in answer


def test_requests_in_a_row_are_answered_in_order(served: Served) -> None:
    paths = ["/-/healthy", "/nothing", "/-/healthy", "/metrics"]
    requests = b"".join(
        f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths[:-1]
    ) + get(paths[-1])
    answer = served.ask(requests)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 200]


def test_too_many_requests_in_a_row_are_not_answered(served: Served) -> None:
    answer = served.ask(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    assert answer.count(b"HTTP/1.1 200 ") == connections.PIPELINED + 1


def test_old_clients_are_answered(served: Served) -> None:
    assert status(served.ask(b"GET /metrics HTTP/1.0\r\n\r\n")) == 200


def test_an_upgrade_is_not_made(served: Served) -> None:
    before = len(served.log.read_text())
    answer = served.ask(get("/metrics", "Upgrade: websocket", "Connection: upgrade"))
    assert status(answer) == 200
    assert len(served.log.read_text()) == before


def test_pages_may_neither_be_framed_nor_run_anything(served: Served) -> None:
    for path in ("/", "/metrics", "/nothing"):
        head = served.ask(get(path)).partition(b"\r\n\r\n")[0].lower()
        assert b"\r\ncontent-security-policy: default-src 'none'" in head
        assert b"\r\nx-content-type-options: nosniff" in head
        assert b"\r\nx-frame-options: deny" in head
        assert b"\r\nreferrer-policy: no-referrer" in head
        assert b"\r\nserver:" not in head


def test_a_thousand_bad_requests_leave_some_lines(served: Served) -> None:
    before = len(served.log.read_text().splitlines())
    for _ in range(1000):
        assert status(served.ask(b"\x16\x03\x01")) == 400
    assert len(served.log.read_text().splitlines()) - before < 20


def test_any_bytes_are_answered_or_closed(served: Served) -> None:
    chance = random.Random(20261121)
    whole = b"POST /metrics?name[]=x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nA: b\r\n\r\nabc"
    for _ in range(400):
        data = bytearray(whole * chance.randint(1, 2))
        for _ in range(chance.randint(0, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with served.connect(5) as talking:
            talking.sendall(data[: chance.randint(1, len(data))])
            talking.shutdown(socket.SHUT_WR)
            answer = everything(talking)
        assert status(answer) in (400, 404, 405, 413, 431, 505) or answer == b""


def until_closed(talking: socket.socket, begun: float) -> float:
    """Return the seconds after ``begun`` at which the other end had closed."""
    talking.settimeout(30)
    everything(talking)
    return time.monotonic() - begun


def test_whoever_is_slow_is_cut(served: Served, large: Served, encrypted: Served) -> None:
    """One byte a second, nothing at all, half a request, a half second request; no reading; and
    half a handshake, or none.
    """
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        trickling = [stack.enter_context(served.connect()) for _ in range(5)]
        silent = stack.enter_context(served.connect())
        half = stack.enter_context(served.connect())
        half.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        shy = stack.enter_context(encrypted.connect())
        stuck = stack.enter_context(encrypted.connect())
        stuck.sendall(b"\x16\x03\x01")
        again = stack.enter_context(served.connect())
        again.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(one_answer(again)) == 200
        again.sendall(b"GET /")
        blank = stack.enter_context(served.connect())
        deaf = stack.enter_context(not_reading(large))
        kept = stack.enter_context(served.connect())
        kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(one_answer(kept)) == 200
        cut: dict[int, float] = {}
        while len(cut) < len(trickling) and time.monotonic() - begun < 14:
            for number, talking in enumerate(trickling):
                if number not in cut and not alive(talking, b"G"):
                    cut[number] = time.monotonic() - begun
            alive(blank, b"\r\n")
            assert served.scrape_seconds() < FAST_SECONDS
            time.sleep(1)
        assert len(cut) == len(trickling)
        assert all(9 < seconds < 13 for seconds in cut.values())
        for talking in (silent, half, again, blank, shy, stuck):
            assert 9 < until_closed(talking, begun) < 14
        kept.sendall(get())  # between two requests there is more time
        assert status(everything(kept)) == 200
        while has(large, deaf):
            assert time.monotonic() - begun < connections.WRITE_SECONDS + 5
            time.sleep(0.2)
        assert time.monotonic() - begun > connections.WRITE_SECONDS - 1


def alive(talking: socket.socket, data: bytes) -> bool:
    """Send a little, and tell whether the other end still takes it."""
    try:
        talking.sendall(data)
        time.sleep(0.01)
        talking.setblocking(False)
        return talking.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        talking.setblocking(True)


def not_reading(served: Served) -> socket.socket:
    """Return a connection that has asked for megabytes and reads none."""
    talking = socket.socket()
    talking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    talking.connect(("127.0.0.1", served.port))
    talking.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * connections.PIPELINED)
    return talking


def has(served: Served, talking: socket.socket) -> bool:
    """Whether the exporter still has this connection."""
    ours = talking.getsockname()
    found = psutil.Process(served.process.pid).net_connections("tcp")
    return any(c.raddr == ours for c in found)


def test_scrapes_are_bounded(large: Served) -> None:
    with not_reading(large), not_reading(large):
        answer = large.ask(get("/metrics"))
        deadline = time.monotonic() + 5
        while status(answer) != 503:  # until what nobody reads fills the buffers
            assert time.monotonic() < deadline
            answer = large.ask(get("/metrics"))
        assert b"Limit of concurrent requests reached (2), try again later." in answer
        assert status(large.ask(get("/-/healthy"))) == 200
    deadline = time.monotonic() + 5
    while status(large.ask(get("/metrics"))) != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def raise_descriptors(number: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        unavailable(f"only {hard} descriptors may be opened")
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def test_ten_thousand_idle_connections_stop_nothing(served: Served) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_descriptors(12_000)
    process = psutil.Process(served.process.pid)
    assert served.scrape_seconds() < FAST_SECONDS
    memory = process.memory_info().rss
    slowest = 0.0
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        scraper = stack.enter_context(served.connect())
        for number in range(10_000):
            stack.enter_context(served.connect())
            if number % 1000 == 999:
                slowest = max(slowest, served.scrape_seconds())
        assert slowest < FAST_SECONDS
        assert served.descriptors < connections.CONNECTIONS + 60
        assert process.memory_info().rss - memory < 16 * 1024 * 1024
        scraper.close()


def test_clients_that_read_nothing_stop_nothing(large: Served) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(connections.CONNECTIONS + 20):
            stack.enter_context(not_reading(large))
        for _ in range(20):
            begun = time.monotonic()
            assert status(large.ask(get("/-/healthy"))) == 200
            assert time.monotonic() - begun < 2


def test_a_scraper_between_scrapes_is_the_last_to_be_dropped(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        scraper = stack.enter_context(served.connect())
        for _ in range(3):
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status(one_answer(scraper)) == 200
            for _ in range(400):
                stack.enter_context(served.connect())


def test_exhausted_descriptors_are_taken_back_from_idle_connections(tmp_path: Path) -> None:
    with Served(tmp_path) as poor, contextlib.ExitStack() as stack:
        assert poor.scrape_seconds() < FAST_SECONDS
        few = max(int(fd) for fd in os.listdir(f"/proc/{poor.process.pid}/fd")) + 6
        resource.prlimit(poor.process.pid, resource.RLIMIT_NOFILE, (few, few))
        for _ in range(300):
            stack.enter_context(poor.connect())
        assert poor.scrape_seconds() < 2
        assert "no connection can be accepted: Too many open files" in poor.log.read_text()
        assert poor.log.read_text().count("no connection can be accepted") < 10


def test_it_stops_at_once_whatever_is_connected(tmp_path: Path) -> None:
    with Served(tmp_path) as stopped, contextlib.ExitStack() as stack:
        for data in (b"", b"GET /", get().replace(b"close", b"keep-alive"), b"\0"):
            stack.enter_context(stopped.connect()).sendall(data)
        stack.enter_context(stopped.connect()).sendall(get() * 3)
        begun = time.monotonic()
        assert stopped.end() == 0
        assert time.monotonic() - begun < 3
        assert "Traceback" not in stopped.log.read_text()


def test_few_descriptors_are_enough(tmp_path: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    with Served(tmp_path, prepare=few) as poor, contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(poor.connect())
        assert poor.scrape_seconds() < 2
        assert poor.end() == 0
