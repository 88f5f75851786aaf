"""An exporter that uses secrets shows them nowhere: not in answers, logs or its state."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.lab.hung import PRIVATE, Hung, require_hung
from tests.servers import ExporterProcess

SECRETS = ("hunter2-plain", "hunter2-header", "hunter2-file", "hunter2-bearer", "hunter2-query")

CONFIG = """
discovery: {{enabled: false}}
probes: {{interval: 300ms, timeout: 200ms, default: false}}
backends:
  - name: api
    upstreams: ["127.0.0.1:1"]
    probes:
      - name: plain
        url: {url}/?token=hunter2-query
        basic_auth: {{username: monitor, password: hunter2-plain}}
        headers: {{X-Key: hunter2-header}}
      - {{name: file, url: "{url}/", headers_file: {{X-Key: kept}}}}
      - {{name: bearer, url: "{url}/502", authorization: {{credentials: hunter2-bearer}}}}
      - {{name: refused, url: "http://127.0.0.1:1/", headers: {{X-Key: hunter2-header}}}}
      - {{name: broken, url: "{url}/", basic_auth: {{username: m, password_file: broken}}}}
"""


class _Echo(BaseHTTPRequestHandler):
    """An application that answers with what it was sent, as a hostile one might."""

    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {dict(self.headers)}")
        said = str(self.headers).replace("\n", " ").replace("\r", "").encode()
        self.send_response(502 if self.path == "/502" else 200)
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_secret_leaves_an_exporter(tmp_path: Path, url: str) -> None:
    (tmp_path / "kept").write_text("hunter2-file\n")
    (tmp_path / "broken").write_text("hunter2-file\nhunter2-file\n")
    with ExporterProcess(tmp_path, CONFIG.format(url=url)) as exporter:
        for name, reason in (("bearer", "status"), ("broken", "configuration")):
            deadline = time.monotonic() + 15
            while exporter.total("probe_failures_total", probe=name, reason=reason) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert exporter.total("probe_consecutive_failures", probe="plain") == 0
        assert exporter.total("probe_consecutive_failures", probe="file") == 0
        answers = [
            httpx.get(f"{exporter.url}{path}", trust_env=False).text
            for path in ("/metrics", "/", "/api/v1/diagnosis", "/nothing-here")
        ]
        exporter.end()
    texts = {"answers": "".join(answers), "log": exporter.log.read_text()}
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            texts[path.name] = path.read_bytes().decode("latin-1")
    assert len(texts) > 2
    shown = {(name, s) for name, text in texts.items() for s in SECRETS if s in text}
    assert shown == set()
    assert all(any(secret in seen for seen in _Echo.seen) for secret in SECRETS[1:])
    said = texts["log"].count("no probe without its secret")
    assert said == 1
    assert f"{tmp_path / 'broken'}: holds more than one line" in texts["log"]


def test_a_secret_on_a_hung_disk_delays_no_scrape_and_heals(tmp_path: Path, url: str) -> None:
    require_hung()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("hunter2-file")
    config = f"""
discovery: {{enabled: false}}
probes: {{interval: 300ms, timeout: 200ms, default: false}}
backends:
  - name: api
    probes:
      - {{name: kept, url: "{url}/", headers_file: {{X-Key: secrets/key}}}}
      - {{name: other, url: "{url}/"}}
"""
    with ExporterProcess(tmp_path, config, wrapper=PRIVATE) as exporter:
        exporter.wait_for("probe_status_code", 200, probe="kept")
        with Hung(exporter.pid, tmp_path / "secrets"):
            deadline = time.monotonic() + 15
            while not exporter.total("probe_failures_total", probe="kept", reason="configuration"):
                assert time.monotonic() < deadline
            waited = []
            with httpx.Client(trust_env=False) as client:
                for _ in range(100):
                    begun = time.monotonic()
                    client.get(f"{exporter.url}/metrics")
                    waited.append(time.monotonic() - begun)
            # a busy machine may delay some
            assert sorted(waited)[-10] < 0.05, waited
            answered = exporter.total("probe_responses_total", probe="other")
            while exporter.total("probe_responses_total", probe="other") < answered + 2:
                assert time.monotonic() < deadline + 15
        exporter.wait_for("probe_status_code", 200, probe="kept")
        said = exporter.log.read_text()
        assert said.count(f"{tmp_path / 'secrets' / 'key'}: the disk does not answer") == 1
        assert "its secrets can be read again" in said


def test_a_deploy_is_not_verified_by_a_probe_without_its_secret(tmp_path: Path, url: str) -> None:
    file = tmp_path / "badgateway.yml"
    file.write_text(
        "discovery: {enabled: false}\nprobes: {default: false}\nbackends:\n- name: api\n  probes:\n"
        f"  - {{name: edge, url: '{url}/', headers_file: {{X-Key: key}}}}\n"
    )
    command = [sys.executable, "-m", "badgateway", "verify", f"--config.file={file}", "api"]
    command += ["--wait", "3s", "--steady", "1s"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "configuration" in done.stdout
    (tmp_path / "key").write_text("hunter2-file")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
