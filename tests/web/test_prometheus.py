"""Real Prometheus scrapes what is protected: TLS, a client certificate and a password."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import yaml

from tests.lab.require import require
from tests.servers import free_port
from tests.web.world import PASSWORDS, Served, hashed


def test_prometheus_scrapes_a_protected_exporter(certificates: Path, tmp_path: Path) -> None:
    program = require("prometheus-3")
    for name in ("server.crt", "server.key", "client.crt", "client.key"):
        shutil.copy(certificates / name, tmp_path)
    (tmp_path / "web.yml").write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n"
        f"basic_auth_users:\n  alice: {hashed('alice')}\n"
    )
    with Served(tmp_path, f"--web.config.file={tmp_path / 'web.yml'}") as served:
        jobs = {"right": PASSWORDS["alice"], "wrong": "guess"}
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": job,
                    "scheme": "https",
                    "params": {"collect[]": ["exporter"]},
                    "basic_auth": {"username": "alice", "password": password},
                    "tls_config": {
                        "ca_file": str(tmp_path / "server.crt"),
                        "cert_file": str(tmp_path / "client.crt"),
                        "key_file": str(tmp_path / "client.key"),
                    },
                    "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}],
                }
                for job, password in jobs.items()
            ],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        address = f"127.0.0.1:{free_port()}"
        with (tmp_path / "prometheus.log").open("wb") as log:
            scraper = subprocess.Popen(
                [
                    program, f"--config.file={tmp_path / 'prometheus.yml'}",
                    f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={address}",
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            health = _health(f"http://{address}/api/v1/targets", set(jobs))
        finally:
            scraper.send_signal(signal.SIGTERM)
            scraper.wait(20)
    assert health["right"] == ("up", "")
    assert health["wrong"][0] == "down"
    assert "401 Unauthorized" in health["wrong"][1]


def _health(url: str, jobs: set[str]) -> dict[str, tuple[str, str]]:
    """Return job → health and error, once every job has been scraped."""
    deadline = time.monotonic() + 30
    found: dict[str, tuple[str, str]] = {}
    while time.monotonic() < deadline:
        try:
            targets = httpx.get(url, trust_env=False).json()["data"]["activeTargets"]
        except (httpx.HTTPError, ValueError):
            targets = []
        found = {t["labels"]["job"]: (t["health"], t["lastError"]) for t in targets}
        if set(found) == jobs and all(health != "unknown" for health, _ in found.values()):
            return found
        time.sleep(0.1)
    raise AssertionError(found)
