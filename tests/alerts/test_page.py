"""How long a page takes on real Prometheus and Alertmanager, and what it says when it arrives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from badgateway import vocabulary
from tests.alerts import stack
from tests.lab.require import require

PROBE_SECONDS = 5
DIAGNOSED_AFTER = 3


@dataclass
class Backend:
    """One backend probed every 5 s at three vantages, down from ``down_at`` on."""

    down_at: float | None = None

    def metrics(self) -> str:
        """Return what the exporter would say now."""
        down = 0.0 if self.down_at is None else max(0.0, time.time() - self.down_at)
        failed = int(down // PROBE_SECONDS)
        cause = "none"
        if self.down_at is not None:
            cause = "missing_dependency" if down > DIAGNOSED_AFTER else "undetermined"
        lines = []
        for probe, vantage in (("public", "edge"), ("caddy", "proxy"), ("app", "origin")):
            labels = f'backend="archive-api",probe="{probe}",vantage="{vantage}"'
            lines += [
                f"badgateway_probe_consecutive_failures{{{labels}}} {failed}",
                f"badgateway_probe_status_code{{{labels}}} {502 if failed else 200}",
                f"badgateway_probe_last_run_timestamp_seconds{{{labels}}} {time.time()}",
            ]
        for one in vocabulary.CAUSES:
            labels = f'backend="archive-api",cause="{one}"'
            lines += [
                f"badgateway_diagnosis{{{labels}}} {int(one == cause)}",
                f"badgateway_diagnosis_confidence_ratio{{{labels}}} {0.95 * (one == cause)}",
            ]
        if cause == "missing_dependency":
            lines.append(
                'badgateway_diagnosis_info{backend="archive-api",cause="missing_dependency",'
                'subject="slowapi"} 1'
            )
        return "\n".join(lines) + "\n"


@pytest.mark.lab
@pytest.mark.timeout(240)
def test_a_dead_backend_pages_once_within_a_minute_and_names_the_package(tmp_path: Path) -> None:
    backend = Backend()
    ends = stack.Ends(backend.metrics)
    with stack.running(
        ends, require("prometheus"), require("alertmanager"), tmp_path
    ) as prometheus:
        port = int((tmp_path / "exporter").read_text())
        with stack.served(stack.exporter(ends), port):
            stack.wait_until_watched(prometheus)
            backend.down_at = time.time()
            page = ends.wait("pager", 60)
            time.sleep(16)  # one more group_interval: nothing is added
    print(f"page {page.at - backend.down_at:.1f} s after the first failed request")
    (alert,) = page.alerts("GatewayProbeFailing")
    assert len(page.body["alerts"]) == 1
    assert alert["labels"]["backend"] == "archive-api"
    said = alert["annotations"]
    assert said["summary"] == "archive-api: requests fail with status 502"
    assert (said["cause"], said["subject"]) == ("missing_dependency", "slowapi")
    assert "Cause: missing_dependency slowapi (95%)" in said["description"]
    assert len(ends.at("pager")) == 1
