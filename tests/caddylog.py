"""An exporter that reads a Caddy's log file: what it reads, and lines to write into it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ExporterProcess

CONFIG = """
discovery: {{enabled: false}}
probes: {{default: false}}
backends:
  - name: api
    upstreams: ["127.0.0.1:9"]
proxies:
  - name: web
    kind: caddy
    admin: ""
    config: {config}
    logs: [{{file: {log}}}]
"""

CADDY: dict[str, Any] = {
    "apps": {"http": {"servers": {"s": {"listen": [":9"], "routes": [
        {"match": [{"host": ["example.test"]}],
         "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:9"}]}]}
    ]}}}}
}  # fmt: skip


def failure(number: int) -> bytes:
    return (
        json.dumps(
            {
                "level": "error", "ts": time.time(), "logger": "http.log.error",
                "msg": "dial tcp 127.0.0.1:9: connect: connection refused",
                "request": {"host": "example.test", "uri": f"/{number}", "headers": {}},
                "status": 502, "err_trace": "reverseproxy.statusError (x.go:1)",
            }
        )
        + "\n"
    ).encode()  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "caddy.json").write_text(json.dumps(CADDY))
    (tmp_path / "caddy.log").write_bytes(b"")
    return tmp_path


def exporter(place: Path) -> ExporterProcess:
    return ExporterProcess(
        place, CONFIG.format(config=place / "caddy.json", log=place / "caddy.log")
    )


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def eventually(fits: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.05)
