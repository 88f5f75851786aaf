"""Who is told, in what words: the shipped Alertmanager configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.require import require

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
CONFIGURATION = ALERTS / "alertmanager.yml"
CASES = Path(__file__).with_name("routing.yml")
CONFIG: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
RECEIVERS = {one["name"]: one.get("webhook_configs", []) for one in CONFIG["receivers"]}


def amtool(*arguments: str | Path) -> str:
    done = subprocess.run(
        [require("amtool"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def amlint(*arguments: str | Path) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("amlint"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_accepts_the_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", CONFIGURATION)


@pytest.mark.parametrize(
    "case",
    [case for case in yaml.safe_load(CASES.read_text(encoding="utf-8")) if "expect" in case],
    ids=lambda case: case["name"],
)
def test_alerts_reach_their_receiver(case: dict[str, Any]) -> None:
    labels = [f"{name}={value}" for name, value in case["labels"].items()]
    expected = ",".join(case["expect"])
    amtool(
        "config", "routes", "test", f"--config.file={CONFIGURATION}",
        f"--verify.receivers={expected}", *labels,
    )  # fmt: skip


def test_routes_and_inhibitions_do_as_described_and_no_route_is_untested() -> None:
    amlint("test", CONFIGURATION, CASES, "--fail-under", "100")


def test_amlint_finds_nothing_else_against_the_rules() -> None:
    # The watchdog repeats sooner than its groups are flushed on purpose: see the comment there.
    amlint(
        "check", "--strict", "--ignore", "repeat-before-group",
        "--rules", ALERTS / "rules.yml", CONFIGURATION,
    )  # fmt: skip


def test_the_page_route_waits_for_nothing_slow() -> None:
    routes = [route for route in CONFIG["route"]["routes"] if route["receiver"] == "pager"]
    assert [(one["group_wait"], one["group_interval"]) for one in routes] == [("10s", "15s")] * 2


def test_receivers_post_to_one_placeholder_address() -> None:
    urls = {name: [hook["url"] for hook in hooks] for name, hooks in RECEIVERS.items()}
    assert urls == {
        "null": [],
        **{name: [f"http://127.0.0.1:10503/{name}"] for name in ("pager", "tickets", "deadman")},
    }


def test_only_pages_are_said_to_be_resolved_since_tickets_may_be_inhibited() -> None:
    resolved = {name for name, hooks in RECEIVERS.items() for one in hooks if one["send_resolved"]}
    assert resolved == {"pager"}
    targets = [rule["target_matchers"] for rule in CONFIG["inhibit_rules"]]
    assert all('category="early-warning"' in matchers for matchers in targets)


def alert(status: str, **changes: str) -> dict[str, Any]:
    annotations = {
        "summary": "shop: requests fail with status 502",
        "description": "shop: 3 probes in a row failed (last status 502). Cause: not known.",
        "cause": "missing_dependency",
        "subject": "slowapi",
        "since": "2026-01-02 03:04:05 UTC",
        "action": "Install it.",
        "runbook_url": "https://badgateway.example/runbooks/gatewayprobefailing",
        "dashboard_url": "https://badgateway.example/grafana/d/badgateway-incident",
    }
    return {
        "status": status,
        "labels": {"alertname": "GatewayProbeFailing", "backend": "shop", "severity": "critical"},
        "annotations": annotations | changes,
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T04:04:05Z",
    }


def rendered(template: str, folder: Path, *alerts: dict[str, Any]) -> str:
    data = folder / "data.json"
    status = "firing" if any(one["status"] == "firing" for one in alerts) else "resolved"
    data.write_text(json.dumps({"status": status, "receiver": "pager", "alerts": alerts}))
    return amtool(
        "template", "render", f"--template.glob={ALERTS}/templates/*.tmpl",
        f"--template.data={data}", f'--template.text={{{{ template "{template}" . }}}}',
    ).strip()  # fmt: skip


def test_titles_say_backend_symptom_and_cause(tmp_path: Path) -> None:
    page = alert("firing")
    plain = alert("firing", cause="undetermined", subject="")
    title = "[CRITICAL] shop: requests fail with status 502"
    assert rendered("badgateway.title", tmp_path, page) == f"{title} (missing_dependency slowapi)"
    assert rendered("badgateway.title", tmp_path, plain) == title
    assert rendered("badgateway.title", tmp_path, plain, page) == f"{title}, 2 alerts"
    over = rendered("badgateway.title", tmp_path, alert("resolved"))
    assert over == "[RESOLVED] shop: requests fail with status 502"


def test_texts_hold_what_the_annotations_say(tmp_path: Path) -> None:
    text = rendered("badgateway.text", tmp_path, alert("firing"), alert("resolved", summary="blog"))
    assert text.splitlines() == [
        "shop: 3 probes in a row failed (last status 502). Cause: not known.",
        "Since: 2026-01-02 03:04:05 UTC",
        "First: Install it.",
        "Runbook: https://badgateway.example/runbooks/gatewayprobefailing",
        "Dashboard: https://badgateway.example/grafana/d/badgateway-incident",
        "",
        "Resolved: blog",
    ]
