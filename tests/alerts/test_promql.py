"""The reader that the rules' and dashboards' tests rely on finds what Prometheus would not."""

from __future__ import annotations

import pytest

from tests.alerts.promql import read


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("badgateway_probe_consecutive_failure > 3", "no such metric"),
        ('badgateway_risk{target="x"}', "has no label target"),
        ('badgateway_risk{risk="next_start_fail"}', "no risk is next_start_fail"),
        ('badgateway_probe_status_code{vantage=~"edge|inside"}', "no vantage is inside"),
        ('badgateway_worker_recycles_total{reason!~"stop|gone"}', "no reason is gone"),
        ("sum by (unit) (badgateway_risk)", "by (unit): never there"),
        ("badgateway_risk and on (job, source) badgateway_source_up", "on (source)"),
    ],
)
def test_what_does_not_exist_is_a_fault(expression: str, fault: str) -> None:
    _labels, reading = read(expression, {})
    assert any(fault in found for found in reading.faults), reading.faults


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("badgateway_source_up == 0", {"job", "instance", "source"}),
        ("sum by (backend) (increase(badgateway_worker_recycles_total[10m])) > 3", {"backend"}),
        ('absent(up{job="badgateway"})', {"job"}),
        ("topk(1, badgateway_source_up)", {"job", "instance", "source"}),
        ("badgateway_risk and on (job, instance) up == 0", {"job", "instance", "backend", "risk"}),
        ("badgateway_source_up * on (job) up", {"job"}),
        ("sum without (source) (badgateway_source_up)", {"job", "instance"}),
        ("vector(1)", set()),
    ],
)
def test_labels_are_those_that_survive_the_expression(expression: str, labels: set[str]) -> None:
    found, reading = read(expression, {})
    assert reading.faults == []
    assert found == labels
