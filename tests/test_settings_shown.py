"""The served side of settings: times of both hops, what does not fit, and a start foretold."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ExporterProcess, free_port


def configuration(folder: Path, port: int, *options: str) -> str:
    (folder / "app.py").write_text("def app(environ, start_response): pass\n")
    (folder / "nginx.conf").write_text(
        "events {} http { proxy_read_timeout 180s; server { listen 8080; server_name one.test; "
        f"location / {{ proxy_pass http://127.0.0.1:{port}; }} }} }}"
    )
    command = [sys.executable, "-m", "gunicorn", "app:app", "-b", f"127.0.0.1:{port}", *options]
    config: dict[str, Any] = {
        "discovery": {"enabled": False},
        "probes": {"enabled": False},
        "backends": [{"name": "api", "command": command, "working_directory": str(folder)}],
        "proxies": [{"name": "web", "kind": "nginx", "config": str(folder / "nginx.conf")}],
    }
    return json.dumps(config)


@pytest.mark.lab
def test_what_is_configured_is_served_and_by_itself_no_alarm(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), "-t", "30", "--keepalive", "5")
    with ExporterProcess(tmp_path, config) as exporter:
        exporter.wait_for("timeout_seconds", 180, hop="proxy", setting="read", backend="api")
        exporter.wait_for("timeout_seconds", 60, hop="proxy", setting="connect")
        exporter.wait_for("timeout_seconds", 30, hop="server", setting="worker")
        exporter.wait_for("config_mismatch", 1, check="timeout_ladder")
        assert exporter.total("risk", risk="timeout_ladder") == 0
        # and what would keep it from starting, before anybody starts it
        exporter.wait_for("next_start", 1, verdict="will_fail", backend="api")
        exporter.wait_for("risk", 1, risk="next_start_fails", backend="api")
        kinds = {dict(labels).get("kind") for (name, labels) in exporter.scrape()
                 if name == "badgateway_dependency_drift_info"}  # fmt: skip
        assert "option_unknown" not in kinds


@pytest.mark.lab
def test_settings_that_fit_are_told_to_fit(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), "-t", "240")
    with ExporterProcess(tmp_path, config) as exporter:
        exporter.wait_for("timeout_seconds", 240, hop="server", setting="worker")
        series = [
            value
            for (name, labels), value in exporter.scrape().items()
            if name == "badgateway_config_mismatch" and ("check", "timeout_ladder") in labels
        ]
        assert series == [0]
