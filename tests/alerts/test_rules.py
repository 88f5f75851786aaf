"""The rule file: generated, accepted, and about metrics that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import build, causes, wording
from badgateway import vocabulary
from badgateway.catalogue import METRICS, PREFIX
from tests.alerts import promql
from tests.lab.require import require

ALERTS = build.TARGET.parent
CASES = sorted((Path(__file__).parent / "rules").glob("*.yml"))
TEXT = build.TARGET.read_text(encoding="utf-8")
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(TEXT)["groups"] for rule in group["rules"]
]
ALERTING = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTING})


def recorded_labels() -> dict[str, frozenset[str]]:
    """Return record → labels; a record that reads itself is settled by reading it twice."""
    records = {rule["record"]: frozenset[str]() for rule in RULES if "record" in rule}
    for _ in range(2):
        for rule in RULES:
            if "record" in rule:
                records[rule["record"]], _reading = promql.read(rule["expr"], records)
    return records


RECORDS = recorded_labels()


def queries(rule: dict[str, Any]) -> set[str]:
    """Return the PromQL that a rule's annotations ask, with labels filled in."""
    text = "\n".join(rule["annotations"].values())
    asked = re.findall(r"printf `([^`]+)`", text)
    return {re.sub(r"%\[\d\]q", '"x"', query) for query in asked}


def test_the_committed_rules_are_the_generated_ones() -> None:
    assert build.render() == TEXT, "run python -m alerts.build"


def test_promtool_accepts_the_rules_and_the_scrape_configuration() -> None:
    promtool = require("promtool")
    for what, file in (("rules", "rules.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(
            [promtool, "check", what, ALERTS / file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(case: Path) -> None:
    done = subprocess.run(
        [require("promtool"), "test", "rules", case], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_both_firing_and_silent() -> None:
    firing: set[str] = set()
    silent: set[str] = set()
    for case in CASES:
        for story in yaml.safe_load(case.read_text(encoding="utf-8"))["tests"]:
            for expected in story.get("alert_rule_test", ()):
                (firing if expected["exp_alerts"] else silent).add(expected["alertname"])
    assert sorted(firing) == NAMES
    assert sorted(silent | {"Watchdog"}) == NAMES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert", rule.get("record")))
def test_rules_read_metrics_labels_and_values_that_exist(rule: dict[str, Any]) -> None:
    _labels, reading = promql.read(rule["expr"], RECORDS)
    faults = reading.faults
    for query in queries(rule) if "alert" in rule else ():
        faults += promql.read(query, RECORDS)[1].faults
    assert faults == []


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: rule["alert"])
def test_annotations_name_only_labels_the_alert_has(rule: dict[str, Any]) -> None:
    labels, _reading = promql.read(rule["expr"], RECORDS)
    named = set(re.findall(r"\$labels\.(\w+)", "\n".join(rule["annotations"].values())))
    assert named <= labels


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert {"summary", "description", "action", "runbook_url", "dashboard_url"} <= said.keys()
    assert said["runbook_url"] == f"{wording.RUNBOOKS}/{rule['alert'].lower()}"
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    assert rule["labels"]["category"] in ("symptom", "early-warning", "meta")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    runbooks = sorted(path.stem for path in (ALERTS / "runbooks").glob("*.md"))
    assert runbooks == [name.lower() for name in NAMES]


def test_runbooks_name_only_metrics_that_exist() -> None:
    metrics = {PREFIX + metric.name for metric in METRICS}
    for runbook in (ALERTS / "runbooks").glob("*.md"):
        named = set(re.findall(r"\bbadgateway_\w+", runbook.read_text(encoding="utf-8")))
        assert named <= metrics, runbook.name


def test_every_cause_has_a_first_step() -> None:
    assert set(causes.FIRST_STEP) == set(vocabulary.CAUSES) - {"none"}


def test_fast_alerts_read_only_what_their_own_group_recorded_before() -> None:
    for group in yaml.safe_load(TEXT)["groups"]:
        before: set[str] = set()
        for rule in group["rules"]:
            _labels, reading = promql.read(rule["expr"], RECORDS)
            itself = {rule["record"]} if "record" in rule else set()
            assert {name for name in reading.metrics if ":" in name} <= before | itself
            before |= itself


def test_the_rules_keep_to_what_the_oldest_prometheus_and_jsonnet_read() -> None:
    assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(TEXT))
    for group in yaml.safe_load(TEXT)["groups"]:
        assert group.keys() == {"name", "interval", "rules"}
