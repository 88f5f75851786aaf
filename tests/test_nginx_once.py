"""One request to a real nginx is counted once, however many of its logs tell of it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.caddylog import eventually
from tests.nginxlab import Nginx, application
from tests.servers import ExporterProcess, free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

CONFIG = """
discovery: {{enabled: false, interval: 1s}}
probes: {probes}
proxies:
  - {{name: web, kind: nginx, config: {config}}}
"""
FORMATS = ("combined", "told")


@contextmanager
def watched(
    folder: Path, http: str, format: str, probes: str = "{default: false}"
) -> Iterator[tuple[Nginx, ExporterProcess]]:
    (folder / "nginx").mkdir()
    with Nginx(folder / "nginx", http, format) as nginx:
        config = CONFIG.format(config=nginx.config, probes=probes)
        with ExporterProcess(folder, config) as exporter:
            eventually(lambda: begun(exporter) >= {"web-log", "web-log-2"})
            yield nginx, exporter


def begun(exporter: ExporterProcess) -> set[str]:
    """The sources that are being read."""
    name = "badgateway_log_lines_total"
    return {dict(labels)["source"] for found, labels in exporter.scrape() if found == name}


def server(body: str) -> str:
    return f"server {{ listen PORT; server_name one.test; {body} }}"


def read_everything(exporter: ExporterProcess, nginx: Nginx) -> None:
    """Wait until what nginx has written has been counted, and what waits for it."""
    nginx.get("/last")
    exporter.wait_for("proxy_responses_total", 1, code="418")
    time.sleep(0.5)


LAST = "location /last { return 418; }"


@pytest.mark.parametrize("format", FORMATS)
def test_a_request_in_two_access_logs_is_one_answer(tmp_path: Path, format: str) -> None:
    with application() as port:
        more = f"access_log {tmp_path}/nginx/more.log told; access_log {tmp_path}/nginx/x combined;"
        place = server(f"location / {{ proxy_pass http://127.0.0.1:{port}; }} {LAST}")
        with watched(tmp_path, more + place, format) as (nginx, exporter):
            asked = [nginx.get(path) for path in ("/ok", "/close", "/503", "/ok", "/404")]
            assert asked == [200, 502, 503, 200, 404]
            read_everything(exporter, nginx)
            for code, number in (("200", 2), ("502", 1), ("503", 1), ("404", 1)):
                assert exporter.total("proxy_responses_total", code=code) == number
            # the log that tells most is the one that is read
            assert exporter.total("proxy_errors_total", origin="application", code="503") == 1
            exporter.wait_for("proxy_errors_total", 1, origin="upstream", code="502")
            assert exporter.total("source_gaps_total") == 0


def test_a_log_that_tells_more_is_read_once_nginx_writes_it(tmp_path: Path) -> None:
    with application() as port:
        place = server(f"location / {{ proxy_pass http://127.0.0.1:{port}; }} {LAST}")
        more = f"access_log {tmp_path}/nginx/more.log told;"
        with watched(tmp_path, place, "combined") as (nginx, exporter):
            assert nginx.get("/503") == 503
            exporter.wait_for("proxy_responses_total", 1, code="503")
            nginx.write(more + place)
            time.sleep(2)
            assert nginx.get("/503") == 503  # not reloaded yet
            exporter.wait_for("proxy_responses_total", 2, code="503")
            nginx.reload()
            eventually(lambda: "web-log-3" in begun(exporter))
            exporter.wait_for("source_gaps_total", 1, source="web-log-3")
            assert nginx.get("/503") == 503
            exporter.wait_for("proxy_responses_total", 3, code="503")
            assert exporter.total("proxy_errors_total", origin="application", code="503") == 1
            nginx.write(place)
            nginx.reload()
            eventually(lambda: "web-log-3" not in begun(exporter))
            exporter.wait_for("source_gaps_total", 1, source="web-log-2")
            assert exporter.total("proxy_responses_total", code="503") == 3
            assert nginx.get("/503") == 503
            exporter.wait_for("proxy_responses_total", 4, code="503")


@pytest.mark.parametrize("format", FORMATS)
def test_the_exporters_own_probes_are_no_traffic(tmp_path: Path, format: str) -> None:
    dead = free_port()
    with application() as port:
        place = server(
            f"location = / {{ proxy_pass http://127.0.0.1:{dead}; }} {LAST}"
            f"location /ok {{ proxy_pass http://127.0.0.1:{port}; }}"
        )
        probes = "{interval: 500ms, timeout: 400ms}"
        with watched(tmp_path, place, format, probes) as (nginx, exporter):
            eventually(
                lambda: exporter.total("probe_responses_total", vantage="proxy", code="502") >= 4
            )
            assert "badgateway:probe:" in nginx.log.read_text()
            assert nginx.get("/ok") == 200
            forged = {"Referer": "badgateway:probe:0123456789abcdef"}
            assert nginx.get("/", headers=forged) == 502
            read_everything(exporter, nginx)
            exporter.wait_for("proxy_errors_total", 1, origin="upstream")
            assert exporter.total("upstream_failures_total") == 1
            assert exporter.total("upstream_failures_masked_total") == 0
            assert exporter.total("proxy_responses_total") == 3
            assert exporter.total("client_aborts_total") == 0


def ask(connection: socket.socket, path: str) -> bytes:
    """Ask in a connection that is kept; return the status line."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: one.test\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return answer.partition(b"\r\n")[0]


@pytest.mark.parametrize("format", FORMATS)
def test_failures_in_one_connection_are_each_counted(tmp_path: Path, format: str) -> None:
    dead = free_port()
    with application() as port:
        place = server(
            f"location / {{ proxy_pass http://127.0.0.1:{port}; }} {LAST}"
            f"location /dead {{ proxy_pass http://127.0.0.1:{dead}; }}"
        )
        with watched(tmp_path, place, format) as (nginx, exporter):
            with socket.create_connection(("127.0.0.1", nginx.port)) as connection:
                for path in ("/dead", "/dead", "/ok", "/close", "/dead/2", "/503", "/dead", "/ok"):
                    ask(connection, path)
            read_everything(exporter, nginx)
            exporter.wait_for("proxy_errors_total", 5, origin="upstream", code="502")
            assert exporter.total("upstream_failures_total") == 5
            assert exporter.total("proxy_errors_total", code="503", origin="upstream") == 0
            assert exporter.total("upstream_failures_masked_total") == 0


@pytest.mark.parametrize("format", FORMATS)
def test_error_logs_at_several_places_are_one_story(tmp_path: Path, format: str) -> None:
    folder = tmp_path / "nginx"
    http = f"error_log {folder}/http.log info; error_log {folder}/again.log error;"
    inner = f"location /in {{ error_log {folder}/in.log; proxy_pass http://127.0.0.1:PORT2/; }}"
    with application() as port:
        place = server(
            f"location / {{ proxy_pass http://127.0.0.1:{port}; }} {LAST}"
            + inner.replace("PORT2", str(port))
        )
        with watched(tmp_path, http + place, format) as (nginx, exporter):
            assert [nginx.get(p) for p in ("/close", "/in/close", "/close", "/ok")] == [
                502, 502, 502, 200,
            ]  # fmt: skip
            for _ in range(2):  # at `info` the error log tells of it too
                with contextlib.suppress(OSError):
                    assert nginx.get("/hang", timeout=0.3) == 0
            read_everything(exporter, nginx)
            exporter.wait_for("proxy_errors_total", 3, origin="upstream", code="502")
            assert exporter.total("upstream_failures_total") == 3
            exporter.wait_for("client_aborts_total", 2)


def test_an_outage_slept_through_is_counted_request_by_request(tmp_path: Path) -> None:
    folder, requests, failing = tmp_path, 30_000, 5
    error, access = folder / "error.log", folder / "access.log"
    (folder / "nginx.conf").write_text(
        f"error_log {error}; http {{ access_log {access}; server {{ listen 1; "
        "server_name one.test; location / { proxy_pass http://127.0.0.1:1; } } }"
    )
    error.touch()
    access.touch()
    config = CONFIG.format(config=folder / "nginx.conf", probes="{default: false}")
    with ExporterProcess(folder, config) as exporter:
        eventually(lambda: begun(exporter) >= {"web-log", "web-log-2"})
        time.sleep(0.5)
        exporter.end()
        with error.open("w") as errors, access.open("w") as answers:
            for number in range(requests):
                second, status = number // 100, 200 if number % failing else 502
                when = f"08:{second // 60:02}:{second % 60:02}"
                client, asked = f"10.0.0.{number % 7}", f"GET /{number % 11} HTTP/1.1"
                if status == 502:
                    errors.write(
                        f"2026/11/21 {when} [error] 7#7: *{number} connect() failed (111: "
                        f"Connection refused) while connecting to upstream, client: {client}, "
                        f'server: one.test, request: "{asked}", '
                        'upstream: "http://127.0.0.1:1/", host: "one.test"\n'
                    )
                answers.write(
                    f'{client} - - [21/Nov/2026:{when} +0000] "{asked}" {status} 9 "-" "curl/8"\n'
                )
        exporter.start()
        exporter.wait_for("proxy_responses_total", requests, seconds=60)
        exporter.wait_for("upstream_failures_total", requests / failing)
        exporter.wait_for("proxy_errors_total", requests / failing, origin="upstream", code="502")
        assert exporter.total("upstream_failures_masked_total") == 0
        assert exporter.total("source_gaps_total") == 0
