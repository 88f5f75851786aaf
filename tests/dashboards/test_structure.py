"""The shipped JSON: generated, portable, laid out, and about metrics that exist."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models import units

from alerts import thresholds, wording
from badgateway.catalogue import BY_NAME
from dashboards import build, incident
from tests.alerts import promql
from tests.dashboards.board import BOARD, TEXT, expressions, filled, panels

CHOSEN = {"job", "instance", "backend"}
UNITS = {value for value in vars(units).values() if isinstance(value, str)}


def test_the_committed_dashboard_is_the_generated_one() -> None:
    assert build.render() == {"incident.json": TEXT}, "run python -m dashboards.build"


def test_alerts_link_to_this_dashboard() -> None:
    assert BOARD["uid"] == wording.DASHBOARD_UID == "badgateway-incident"


def test_it_loads_everywhere() -> None:
    assert BOARD["schemaVersion"] == 39
    assert "id" not in BOARD
    assert BOARD["editable"] is False
    assert "${DS_" not in TEXT
    first = BOARD["templating"]["list"][0]
    assert (first["name"], first["type"]) == ("datasource", "datasource")
    for placed in (*BOARD["links"], *BOARD["annotations"]["list"]):
        assert "placement" not in placed


def test_rows_tell_the_story_in_order() -> None:
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Now", "Why", "Symptom", "Upstream", "Lifecycle", "Drift"]
    assert rows == [title for title, _panels in incident.ROWS]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    everything = BOARD["panels"]
    assert sorted(panel["id"] for panel in everything) == list(range(1, len(everything) + 1))
    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in combinations(everything, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one["title"], other["title"])


def test_the_first_screen_answers_the_first_questions() -> None:
    first = [panel["title"] for panel in panels() if panel["gridPos"]["y"] < 12]
    assert {"Users", "Failing since", "Cause", "It is about", "What to do first"} <= set(first)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panels_are_described_and_read_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"]["uid"] == "${datasource}"
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    if panel["type"] in ("stat", "timeseries"):
        assert defaults["unit"] in UNITS
    if panel["type"] in ("timeseries", "state-timeline"):
        assert panel["options"]["legend"]["showLegend"] is True
        assert all(target["legendFormat"] for target in panel["targets"])
    if panel["type"] == "table":
        assert isinstance(defaults["custom"], dict)
    if panel["type"] == "stat":
        assert defaults["noValue"]


@pytest.mark.parametrize("name", ["job", "instance", "backend"])
def test_variables_may_take_several_values_and_follow_the_time_range(name: str) -> None:
    (found,) = [one for one in BOARD["templating"]["list"] if one["name"] == name]
    assert found["multi"] is True
    assert found["includeAll"] is True
    assert found["allValue"] == ".+"
    assert found["refresh"] == 2
    selector = re.fullmatch(r"label_values\((.+), (\w+)\)", found["query"])
    assert selector is not None
    labels, reading = promql.read(selector[1], {})
    assert reading.faults == []
    assert selector[2] in labels


@pytest.mark.parametrize("expression", expressions())
def test_queries_read_what_exists_and_select_what_is_chosen(expression: str) -> None:
    _labels, reading = promql.read(filled(expression), {})
    assert reading.faults == []
    for node, parents in promql.nodes(promql_parser.parse(filled(expression))):
        if promql.kind(node) != "VectorSelector":
            continue
        chosen = {matcher.name: matcher.value for matcher in node.matchers.matchers}
        wanted = {"job"}
        if node.name.startswith("badgateway_"):
            known = BY_NAME.get(node.name.removeprefix("badgateway_"))
            wanted = {"job", "instance"} if known and known.labels == ("proxy",) else CHOSEN
        assert wanted <= chosen.keys(), node.name
        if node.name.endswith("_total"):
            calls = [one.func.name for one in parents if promql.kind(one) == "Call"]
            assert {"rate", "increase", "changes"} & set(calls), f"{node.name} is a counter"


def test_legends_name_only_labels_that_their_queries_return() -> None:
    for panel in panels():
        for target in panel["targets"]:
            labels, _reading = promql.read(filled(target["expr"]), {})
            named = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert named <= labels, panel["title"]


def test_graphs_draw_no_line_across_what_a_filter_left_out() -> None:
    for panel in panels():
        if panel["type"] == "timeseries":
            for target in panel["targets"]:
                assert not re.search(r"[<>]=? ?[\d.]+$", target["expr"]), panel["title"]


def test_the_lines_that_page_are_the_rules_own() -> None:
    limits = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        for panel in panels()
        if panel["type"] == "timeseries" and "thresholds" in panel["fieldConfig"]["defaults"]
    }
    assert limits["Failed probes in a row"] == thresholds.FAILED_PROBES
    assert limits["Share of 502, 503 and 504"] == thresholds.ERROR_RATIO
