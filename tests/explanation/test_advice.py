"""What `badgateway explain --advice` prints is taken by the real programs, and tells more."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from badgateway.cli import main
from badgateway.explanation.advice import ADVICE, program
from tests.explanation.told import brief, told
from tests.lab.parts import PartMissing, unpacked
from tests.lab.require import require, unavailable
from tests.servers import free_port

LIBRARIES = ("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
"""What Debian's HAProxy is linked with and a bare machine may lack."""


def advice(name: str) -> str:
    done = CliRunner().invoke(main, ["explain", "--advice", name])
    assert done.exit_code == 0
    return done.output


def test_there_is_advice_for_the_dialects_of_a_program() -> None:
    assert [program(name) for name in ("nginx-error", "nginx-access", "caddy", "gunicorn")] == [
        "nginx", "nginx", "caddy", None,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ADVICE)
def test_advice_says_how_to_reload(name: str) -> None:
    assert re.search(rf"^# Then: .*systemctl reload {name}$", advice(name), re.M)


def nginx_configuration(folder: Path, port: int, upstream: int) -> Path:
    pasted = advice("nginx").replace("/var/log/nginx/", f"{folder}/")
    configuration = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/start.log; events {{}}\n"
        f"http {{ {temporary}\n{pasted}\n"
        f"server {{ listen 127.0.0.1:{port}; server_name app.test;\n"
        f"location / {{ proxy_pass http://127.0.0.1:{upstream}; }}\n"
        "location /closed { return 503; } } }\n"
    )
    return configuration


def test_nginx_takes_it_and_its_lines_then_tell_everything(tmp_path: Path) -> None:
    nginx = require("nginx")
    port, upstream = free_port(), free_port()
    command = [str(nginx), "-c", str(nginx_configuration(tmp_path, port, upstream)),
               "-p", str(tmp_path), "-e", str(tmp_path / "start.log")]  # fmt: skip
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
    assert tested.returncode == 0, tested.stderr
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        answered = until_it_answers(f"http://127.0.0.1:{port}/closed")
        assert answered == 503
        assert httpx.get(f"http://127.0.0.1:{port}/a?token=x", trust_env=False).status_code == 502
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)
    found = told((tmp_path / "upstream.json").read_text(), (tmp_path / "error.log").read_text())
    assert sorted(set(brief(found, "status", "upstream", "request"))) == [
        ("upstream_failure", "connect_refused", 502, f"127.0.0.1:{upstream}", "GET /a"),
        ("upstream_failure", "proxy_local", 503, None, "GET /closed"),
    ]


def until_it_answers(url: str) -> int:
    deadline = time.monotonic() + 10
    while True:
        try:
            return httpx.get(url, trust_env=False).status_code
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def adapts(caddy: Path, pasted: str, folder: Path) -> None:
    file = folder / "Caddyfile"
    file.write_text(pasted)
    command = [str(caddy), "adapt", "--adapter", "caddyfile", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "http.log.error" in done.stdout


def test_caddy_takes_it(tmp_path: Path) -> None:
    adapts(require("caddy"), advice("caddy"), tmp_path)


def test_a_caddy_of_today_takes_what_is_commented_out(tmp_path: Path) -> None:
    try:
        newer = unpacked("caddy/forky") / "usr/bin/caddy"
    except PartMissing as missing:
        unavailable(str(missing))
    pasted = advice("caddy").replace("#log_append", "log_append")
    assert pasted.count("    log_append ") == 4
    adapts(newer, pasted, tmp_path)


def test_haproxy_takes_it_and_its_lines_are_read(tmp_path: Path) -> None:
    haproxy = require("haproxy")
    try:
        folders = [unpacked(name) / "usr/lib" for name in LIBRARIES]
    except PartMissing as missing:
        unavailable(str(missing))
    search = ":".join(str(path) for folder in folders for path in folder.glob("*-linux-gnu"))
    port, upstream = free_port(), free_port()
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "global\n    log stdout format raw local0\n"
        "defaults\n    mode http\n    retries 0\n    timeout connect 1s\n    timeout client 1s\n"
        f"    timeout server 1s\n{advice('haproxy')}\n"
        f"frontend fe\n    bind 127.0.0.1:{port}\n    default_backend be\n"
        f"backend be\n    server s1 127.0.0.1:{upstream}\n"
    )
    command, environment = (
        [str(haproxy), "-f", str(file)],
        {**os.environ, "LD_LIBRARY_PATH": search},
    )
    done = subprocess.run(
        [*command, "-c"], capture_output=True, text=True, timeout=30, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    server = subprocess.Popen(
        [*command, "-db"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        assert until_it_answers(f"http://127.0.0.1:{port}/a") == 503
    finally:
        server.send_signal(signal.SIGUSR1)  # ends when what it does is done, logging too
        output, _ = server.communicate(timeout=10)
    assert b"bc_err=" in output
    (failure,) = told(output.decode())
    assert (failure["reason"], failure["status"]) == ("connect_failed", 503)
    assert failure["upstream"] in ("be/s1", f"127.0.0.1:{upstream}")
