"""The one program of a target that is run, and when it is not."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from badgateway.topology import adapter
from badgateway.topology.caddy import routes
from tests.lab.require import require

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


def test_a_link_to_a_writable_program_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("#!/bin/sh\n")
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "caddy").symlink_to(tmp_path / "real")
    assert "can be written" in adapter.trusted(str(tmp_path / "caddy"))


def test_a_missing_program_is_told() -> None:
    assert adapter.trusted("/nonexistent/caddy") == (
        "/nonexistent/caddy: No such file or directory"
    )


def test_a_program_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "caddy"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(adapter, "trusted", lambda _: "")
    monkeypatch.setattr(adapter, "SECONDS", 1.0)
    monkeypatch.setattr(adapter, "_drop_privileges", lambda: None)
    with pytest.raises(adapter.AdapterError, match="did not end"):
        asyncio.run(adapter.adapt_caddyfile(str(slow), "/etc/caddy/Caddyfile"))
