"""What the dashboard's queries answer, by promtool: in an incident, and where others would lie."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from badgateway import vocabulary
from tests.dashboards.board import expressions, filled, panel
from tests.lab.require import require

TARGET = 'job="badgateway",instance="web1:10502"'
SHOP = f'{TARGET},backend="shop"'

Series = dict[str, str]


def one_hot(metric: str, label: str, values: Any, on: str, more: str = "") -> Series:
    """Return a state set with one value on, for ten minutes."""
    return {
        f'badgateway_{metric}{{{SHOP}{more},{label}="{value}"}}': f"{int(value == on)}x40"
        for value in values
    }


def probes(vantage: str, values: str) -> Series:
    """Return one probe's failures in a row."""
    name = "badgateway_probe_consecutive_failures"
    return {f'{name}{{{SHOP},probe="p",vantage="{vantage}"}}': values}


def answers(code: int, values: str) -> Series:
    """Return one proxy's answers with a status."""
    name = "badgateway_proxy_responses_total"
    return {f'{name}{{{SHOP},proxy="caddy",site="s",code="{code}"}}': values}


UP = {f"up{{{TARGET}}}": "1x40"}
FAILING_SOON = "0x10 0+30x29"
SITE = ',proxy="caddy",site="s"'
UPSTREAM = ',proxy="caddy",upstream="a:1"'
PROXY = ',proxy="caddy"'
DURATION = "badgateway_upstream_response_duration_seconds"
UNIT = ',manager="systemd",unit="shop.service"'
INCIDENT: Series = {
    **UP,
    **probes("edge", "0x10 1+3x29"),
    **probes("origin", "0x10 1+3x29"),
    f'badgateway_probe_duration_seconds{{{SHOP},probe="p",vantage="edge",phase="total"}}': "0.1x40",
    **answers(200, "0+30x10 300x29"),
    **answers(502, FAILING_SOON),
    f'badgateway_proxy_errors_total{{{SHOP}{SITE},code="502",origin="upstream"}}': FAILING_SOON,
    f'badgateway_upstream_failures_total{{{SHOP}{UPSTREAM},reason="reset"}}': FAILING_SOON,
    f"badgateway_upstream_failures_masked_total{{{SHOP}{UPSTREAM}}}": FAILING_SOON,
    f'{DURATION}_bucket{{{SHOP}{PROXY},le="1"}}': FAILING_SOON,
    f'{DURATION}_bucket{{{SHOP}{PROXY},le="+Inf"}}': FAILING_SOON,
    f'badgateway_upstream_listening{{{SHOP},upstream="a:1"}}': "1x10 0x29",
    f'badgateway_backend_info{{{SHOP}{SITE},upstream="a:1"}}': "1x40",
    f'badgateway_proxy_config_changed_timestamp_seconds{{{TARGET},proxy="caddy"}}': "20x40",
    f'badgateway_proxy_config_loaded_timestamp_seconds{{{TARGET},proxy="caddy"}}': "10x40",
    f'badgateway_accept_queue_length{{{SHOP},upstream="a:1"}}': "0+5x40",
    f'badgateway_accept_queue_limit{{{SHOP},upstream="a:1"}}': "128x40",
    f'badgateway_timeout_seconds{{{SHOP},hop="server",setting="worker"}}': "30x40",
    f"badgateway_memory_bytes{{{SHOP}}}": "4e8x40",
    f"badgateway_memory_limit_bytes{{{SHOP}}}": "5e8x40",
    **one_hot("diagnosis", "cause", vocabulary.CAUSES, "missing_dependency"),
    f'badgateway_diagnosis_confidence_ratio{{{SHOP},cause="missing_dependency"}}': "0.95x40",
    f'badgateway_diagnosis_info{{{SHOP},cause="missing_dependency",subject="slowapi"}}': "1x40",
    **one_hot("service_state", "state", vocabulary.SERVICE_STATES, "activating", UNIT),
    f'badgateway_service_restarts_total{{{SHOP}{UNIT},reason="exit_code"}}': "0+1x40",
    f'badgateway_service_exits_total{{{SHOP}{UNIT},reason="exit_code"}}': "0+1x40",
    f'badgateway_server_exits_total{{{SHOP},server="uvicorn",reason="boot_failure"}}': "0+1x40",
    f'badgateway_worker_recycles_total{{{SHOP},server="uvicorn",reason="boot_failure"}}': "0+1x40",
    f'badgateway_workers{{{SHOP},server="uvicorn"}}': "0x40",
    f'badgateway_workers_target{{{SHOP},server="uvicorn"}}': "1x40",
    f'badgateway_deploy_last_timestamp_seconds{{{SHOP},kind="code"}}': "0+15x40",
    **one_hot("next_start", "verdict", vocabulary.NEXT_START_VERDICTS, "will_fail"),
    f'badgateway_restart_hazard{{{SHOP},trigger="restart"}}': "1x40",
    f'badgateway_dependency_drift{{{SHOP},kind="missing"}}': "1x40",
    f'badgateway_dependency_drift_info{{{SHOP},package="slowapi",kind="missing",declared=">=0.1",'
    'installed=""}': "1x40",
    'ALERTS{job="badgateway",alertname="GatewayProbeFailing",alertstate="firing",backend="shop"}': (
        "1x40"
    ),
}


def promtool(folder: Path, series: Series, tests: list[dict[str, Any]]) -> str:
    """Return what promtool finds wrong with ``tests``, on ``series`` a scrape of 15 s apart."""
    story = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": tests,
    }
    file = folder / "case.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [story]}))
    done = subprocess.run(
        [require("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_query_finds_something_in_an_incident(tmp_path: Path) -> None:
    tests = [
        {"expr": filled(expression), "eval_time": "5m", "exp_samples": []}
        for expression in expressions()
    ]
    # Nothing is expected, so every query that answers is complained of, with its answer.
    complaints = promtool(tmp_path, INCIDENT, tests)
    assert "err:" not in complaints
    assert complaints.count("got:") == len(tests), "a query without an answer"
    assert "got:nil" not in complaints.replace(" ", "")


SERVED, SOME, FAILING, BLIND = 0, 1, 2, 3
OK = one_hot("diagnosis", "cause", vocabulary.CAUSES, "none")


@pytest.mark.parametrize(
    ("state", "series"),
    [
        pytest.param(SERVED, UP | OK | probes("edge", "0x40"), id="probes get through"),
        pytest.param(
            SERVED,
            UP | OK | probes("edge", "0x40") | probes("origin", "9x40"),
            id="an origin fails, its users are served",
        ),
        pytest.param(SOME, UP | OK | probes("edge", "1x40"), id="one probe failed"),
        pytest.param(FAILING, UP | OK | probes("edge", "3x40"), id="the page's condition"),
        pytest.param(FAILING, UP | OK | probes("origin", "3x40"), id="an origin without a proxy"),
        pytest.param(
            FAILING,
            UP | OK | probes("edge", "0x40") | answers(200, "0+9x40") | answers(502, "0+9x40"),
            id="half of the answers fail between good probes",
        ),
        pytest.param(
            SOME,
            UP | OK | probes("edge", "0x40") | answers(200, "0+99x40") | answers(502, "0+1x40"),
            id="one answer in a hundred fails",
        ),
        pytest.param(
            SERVED,
            UP | OK | probes("edge", "0x40") | answers(200, "9x40") | answers(502, "9x40"),
            id="nobody asks",
        ),
        pytest.param(
            FAILING,
            UP | OK | answers(200, "0+9x40") | answers(504, "0+9x40"),
            id="probes switched off",
        ),
        pytest.param(
            BLIND,
            {f"up{{{TARGET}}}": "1x10 0x29"}
            | {name: f"{values.split('x')[0]}x10 stale" for name, values in OK.items()}
            | probes("edge", "0x10 stale"),
            id="the exporter is dead",
        ),
    ],
)
def test_the_first_tile_is_never_green_while_users_fail(
    state: int, series: Series, tmp_path: Path
) -> None:
    (target,) = panel("Users")["targets"]
    expected = {
        "expr": filled(target["expr"]),
        "eval_time": "5m",
        "exp_samples": [{"labels": '{backend="shop"}', "value": state}],
    }
    assert promtool(tmp_path, series, [expected]) == ""


def test_failing_since_is_when_the_failing_probe_last_succeeded(tmp_path: Path) -> None:
    (target,) = panel("Failing since")["targets"]
    expected = {
        "expr": filled(target["expr"]),
        "eval_time": "6m",
        "exp_samples": [{"labels": '{backend="shop"}', "value": 120_000}],
    }
    series = UP | probes("edge", "0x9 1+3x30") | probes("origin", "0x40")
    assert promtool(tmp_path, series, [expected]) == ""
