"""Caddy's own adapter, and the sandbox that proxies' programs are run in."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from badgateway.topology.caddy import adapter
from badgateway.topology.caddy.routes import routes
from badgateway.topology.proxies import landlock, sandbox
from tests.lab.require import require, unavailable
from tests.topology.rootsplace import roots_place

CADDYFILE = "http://one.test {\n\treverse_proxy 127.0.0.1:8001\n}\n"


@pytest.fixture
def caddy() -> str:
    """A caddy that belongs to root alone."""
    binary = str(require("caddy"))
    if os.geteuid() != 0:
        pytest.skip("not root: no program here belongs to root alone")
    return binary


def test_a_caddyfile_is_translated(caddy: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "Caddyfile").write_text(CADDYFILE)
    shared = Path(os.path.join("/var/tmp", f"badgateway-{os.getpid()}"))
    shared.mkdir()
    try:
        config = shared / "Caddyfile"
        config.write_text(CADDYFILE)
        document = asyncio.run(adapter.adapt_caddyfile(caddy, str(config)))
        assert [r.upstream for r in routes(document)] == ["127.0.0.1:8001"]
        assert [path.name for path in shared.iterdir()] == ["Caddyfile"]
        config.write_text("broken {{{")
        with pytest.raises(adapter.AdapterError, match="refused"):
            asyncio.run(adapter.adapt_caddyfile(caddy, str(config)))
    finally:
        shutil.rmtree(shared)


def test_what_only_calls_itself_caddy_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    fake = tmp_path / "caddy"
    fake.write_text(f"#!/bin/sh\ntouch {marker}\n")
    fake.chmod(0o777)
    with pytest.raises(adapter.AdapterError, match="can be written by others than root"):
        asyncio.run(adapter.adapt_caddyfile(str(fake), "/etc/caddy/Caddyfile"))
    assert not marker.exists()


def test_another_program_of_roots_is_not_run_as_caddy() -> None:
    with pytest.raises(adapter.AdapterError, match="is not known as a build of Caddy"):
        asyncio.run(adapter.adapt_caddyfile("/bin/sh", "/etc/caddy/Caddyfile"))


def test_a_link_to_a_writable_program_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("#!/bin/sh\n")
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "caddy").symlink_to(tmp_path / "real")
    assert "can be written" in sandbox.trusted(str(tmp_path / "caddy"))


def test_a_missing_program_is_told() -> None:
    assert sandbox.trusted("/nonexistent/caddy") == (
        "/nonexistent/caddy: No such file or directory"
    )


@pytest.mark.parametrize("has_landlock", [True, False])
def test_a_caddyfile_is_translated_without_landlock_too(
    caddy: str, monkeypatch: pytest.MonkeyPatch, has_landlock: bool
) -> None:
    if not has_landlock:
        monkeypatch.setattr(landlock, "version", lambda: 0)
    with roots_place() as place:
        config = place / "Caddyfile"
        config.write_text(CADDYFILE)
        document = asyncio.run(adapter.adapt_caddyfile(caddy, str(config)))
    assert [r.upstream for r in routes(document)] == ["127.0.0.1:8001"]


def test_a_program_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 1.0)
    with pytest.raises(sandbox.SandboxError, match="did not end within 1 s"):
        asyncio.run(sandbox.run(("/bin/sleep", "60"), strict=False))


def test_what_it_runs_in_turn_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    if landlock.version() == 0:
        unavailable("this kernel has no Landlock")
    ran = asyncio.run(sandbox.run(("/usr/bin/env", "/bin/echo", "was run"), strict=True))
    assert (ran.status, ran.output) == (126, b"")


def test_it_has_no_rights_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    status = asyncio.run(sandbox.run(("/bin/cat", "/proc/self/status"), strict=False)).output
    fields = dict(line.split(":\t", 1) for line in status.decode().splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert {fields[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert "0" not in fields["Uid"].split()
    environment = asyncio.run(sandbox.run(("/usr/bin/env",), strict=False)).output
    assert b"hunter2" not in environment


def test_what_says_too_much_is_ended() -> None:
    with pytest.raises(sandbox.SandboxError, match="`yes` wrote too much"):
        asyncio.run(sandbox.run(("/usr/bin/yes",), strict=False))


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(60)",
        "import os, time\nif not os.fork():\n    os.setsid(); time.sleep(3)",
        "print('x' * 99_999_999)",
    ],
    ids=["does not end", "leaves a child that holds its pipes", "says too much"],
)
def test_nothing_of_it_is_left_to_the_event_loop(program: str) -> None:
    script = (
        "import asyncio, sys\nfrom badgateway.topology.proxies import sandbox\n"
        "sandbox.SECONDS = 0.5\n"
        "try:\n    asyncio.run(sandbox.run(('/usr/bin/python3', '-c', sys.argv[1]), False))\n"
        "except sandbox.SandboxError as error:\n    print(error)\n"
    )
    words = [sys.executable, "-X", "dev", "-c", script, program]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    assert "`python3` " in ended.stdout
    assert ended.stderr == ""


def test_it_reaches_nobody_by_tcp() -> None:
    if landlock.version() < 4:
        unavailable("this kernel's Landlock knows nothing of networks")
    python = Path("/usr/bin/python3")
    if not python.exists():
        unavailable("no python3 of root's")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        ran = asyncio.run(sandbox.run((str(python), "-c", code), strict=True))
    assert b"Permission denied" in ran.errors
