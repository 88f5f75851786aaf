"""The incident dashboard: what a page links to. Read from top to bottom it tells the story."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from alerts import thresholds as at
from alerts import wording
from dashboards import evidence, style, verdict
from dashboards import queries as pq
from dashboards.style import BLUE, PURPLE, RED

_STEP_SECONDS: Final = 30
# A change is seen in exactly one window if windows overlap by one scrape: a moment, not a region.
_MOMENT: Final = f"[{_STEP_SECONDS + at.SCRAPE_SECONDS}s]"

ROWS: Final = (
    ("Now", verdict.now),
    ("Why", verdict.why),
    ("Symptom", evidence.symptom),
    ("Upstream", evidence.upstream),
    ("Lifecycle", evidence.lifecycle),
    ("Drift", evidence.drift),
)


def build() -> dashboard.Dashboard:
    """Return the dashboard, before normalising."""
    board = (
        dashboard.Dashboard("badgateway / Incident")
        .uid(wording.DASHBOARD_UID)
        .description("What fails, since when, why, and what to do first.")
        .tags(["badgateway"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("badgateway")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["badgateway"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(_variable("job", "Job", "label_values(badgateway_build_info, job)"))
        .with_variable(
            _variable(
                "instance", "Instance", 'label_values(badgateway_build_info{job=~"$job"}, instance)'
            )
        )
        .with_variable(
            _variable(
                "backend",
                "Backend",
                'label_values(badgateway_diagnosis{job=~"$job", instance=~"$instance"}, backend)',
            )
        )
        .annotation(
            _moment(
                "Starts",
                BLUE,
                "sum by (backend, reason) "
                f"(changes({pq.metric('service_restarts_total')}{_MOMENT})) > 0",
                "{{backend}} started: {{reason}}",
                shown=True,
            )
        )
        .annotation(
            _moment(
                "Changes on disk",
                PURPLE,
                "sum by (backend, kind) "
                f"(changes({pq.metric('deploy_last_timestamp_seconds')}{_MOMENT})) > 0",
                "{{backend}}: {{kind}} changed",
                shown=True,
            )
        )
        .annotation(
            _moment(
                "Alerts",
                RED,
                'ALERTS{job=~"$job", alertname=~"Gateway.+", alertstate="firing"}',
                "{{alertname}} {{backend}}",
                shown=False,
            )
        )
    )
    for title, panels in ROWS:
        board = board.with_row(dashboard.Row(title))
        for panel in panels():
            board = board.with_panel(panel)
    return board


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(style.SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def _moment(
    name: str, color: str, expr: str, title: str, *, shown: bool
) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(style.SOURCE)
        .enable(shown)
        .icon_color(color)
        .expr(expr)
        .title_format(title)
        .step(f"{_STEP_SECONDS}s")
    )
