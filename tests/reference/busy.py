"""An exporter with much to tell, and a relay through which Prometheus scrapes it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.servers import ExporterProcess, free_port, serving

CONFIG = """
environment: "rehearsal \\"quoted\\" \\\\ and ümläut"
discovery: {{enabled: false}}
probes: {{interval: 1s, timeout: 500ms, default: false}}
backends:
  - name: api
    upstreams: ["127.0.0.1:{upstream}"]
    project: {place}/project
    virtualenv: {place}/venv
    command: [{place}/venv/bin/python, -m, uvicorn, "app:app"]
    working_directory: {place}/project
    probes:
      - {{name: public, url: "http://127.0.0.1:{upstream}/", expect: {{status: [204]}}}}
      - {{name: nobody, url: "http://127.0.0.1:1/", vantage: origin}}
      - {{name: secretive, url: "http://127.0.0.1:1/", headers_file: {{X-Key: gone}}}}
proxies:
  - name: web
    kind: caddy
    admin: ""
    config: {place}/caddy.json
    logs: [{{file: {place}/caddy.log}}]
"""

ERRORS = {
    "connect_refused": "dial tcp 127.0.0.1:{port}: connect: connection refused",
    "connect_timeout": "dial tcp 127.0.0.1:{port}: i/o timeout",
    "reset": "read tcp 127.0.0.1:4->127.0.0.1:{port}: read: connection reset by peer",
    "premature_close": "EOF",
    "dns_failure": "dial tcp: lookup api on 127.0.0.53:53: no such host",
}
"""Reason → Caddy's words for it."""

REPEATED = 3


def _request(host: str) -> dict[str, Any]:
    return {"host": host, "uri": "/", "method": "GET", "headers": {}}


def _lines(port: int) -> Iterator[str]:
    for said in ERRORS.values():
        for _ in range(REPEATED):
            yield json.dumps(
                {
                    "level": "error", "ts": time.time(), "logger": "http.log.error",
                    "msg": said.format(port=port), "request": _request("example.test"),
                    "status": 502, "err_trace": "reverseproxy.statusError (x.go:1)",
                }
            )  # fmt: skip
    for status in (200, 204, 404, 500, 502, 503, 777):
        for host in ("example.test", 'hostile"\\\n.test', "ümläut.test"):
            yield json.dumps(
                {
                    "level": "info", "ts": time.time(), "logger": "http.log.access.log0",
                    "msg": "handled request", "request": _request(host), "status": status,
                    "duration": 0.01, "size": 1, "resp_headers": {},
                }
            )  # fmt: skip
    yield "no JSON at all"


@contextmanager
def busy_exporter(place: Path) -> Iterator[ExporterProcess]:
    """Run an exporter whose sources have all told something, and wait until it is counted."""
    (place / "project").mkdir()
    (place / "project" / "app.py").write_text("import slowapi_like\n\n\nasync def app(): ...\n")
    (place / "project" / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["slowapi-like>=0.1"]\n'
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Application)) as upstream:
        route = {
            "match": [{"host": ["example.test"]}],
            "handle": [
                {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
            ],
        }
        server = {"listen": [f":{free_port()}"], "routes": [route]}
        caddy = {"apps": {"http": {"servers": {"s": server}}}}
        (place / "caddy.json").write_text(json.dumps(caddy))
        (place / "caddy.log").touch()
        config = CONFIG.format(place=place, upstream=upstream)
        with ExporterProcess(place, config) as exporter:
            exporter.wait_for("source_up", 1, source="web-log")
            with (place / "caddy.log").open("a") as log:
                log.writelines(f"{line}\n" for line in _lines(upstream))
            exporter.wait_for("log_lines_total", 1, source="web-log", result="unknown")
            exporter.wait_for(
                "upstream_failures_total", len(ERRORS) * REPEATED, backend="api", proxy="web"
            )
            exporter.wait_for("next_start", 1, backend="api", verdict="will_fail")
            exporter.wait_for("diagnosis_info", 1, backend="api")
            yield exporter


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


class _Application(_Silent):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


class Relay:
    """Hands on scrapes of ``/JOB/metrics``; for a job in ``accept`` it asks for that format."""

    def __init__(self, target: str, accept: dict[str, str]) -> None:
        self.answered: dict[str, set[str]] = {}
        relay = self

        class Handler(_Silent):
            def do_GET(self) -> None:
                job = self.path.split("/")[1]
                headers = {
                    "Accept": accept.get(job, self.headers["Accept"]),
                    "Accept-Encoding": "identity",
                }
                found = httpx.get(f"{target}/metrics", headers=headers, trust_env=False)
                kind = found.headers["Content-Type"]
                relay.answered.setdefault(job, set()).add(kind)
                self.send_response(found.status_code)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(found.content)

        self.handler = Handler


@contextmanager
def relayed(relay: Relay) -> Iterator[int]:
    """Serve a relay; yields its port."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), relay.handler)) as port:
        yield port
