"""How our panels look: one function per kind of panel, so that all of a kind are alike.

Seen on a real Grafana 9.4 and kept here: every legend is switched on (the SDK's default hides
it), coloured cells are written in both the old and the new form, nothing is filtered by ``> 0``
in a graph (it draws a line across the gap).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    common as build_common,
)
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    RangeMap,
    RegexMap,
    SpecialValueMap,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, ORANGE, RED, PURPLE, GREY, BLUE = "green", "orange", "red", "purple", "#808080", "blue"
CLEAR: Final = "transparent"

ValueMapping = ValueMap | RangeMap | RegexMap | SpecialValueMap

Step = tuple[float | None, str]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel; ``legend`` is Grafana's template over the series' labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What a value of a state means, and its colour."""

    value: int
    text: str
    color: str


def tile(
    title: str,
    description: str,
    query: Query,
    *,
    span: int,
    unit: str = "none",
    steps: Sequence[Step] = ((None, GREY),),
    states: Sequence[State] = (),
    show_name: bool = False,
    empty: str,
    height: int = 5,
) -> stat.Panel:
    """Return a big value; with ``show_name`` the series' name instead of its value."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .with_target(_target(query, "A", instant=True))
        .unit(unit)
        .thresholds(_thresholds(steps))
        .mappings(_mappings(states))
        .text_mode(common.BigValueTextMode.NAME if show_name else common.BigValueTextMode.AUTO)
        .color_mode(common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(empty)
    )


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    span: int = 12,
    height: int = 8,
    stacked: bool = False,
    limit: float | None = None,
    colors: Sequence[tuple[str, str]] = (),
) -> timeseries.Panel:
    """Return curves; ``limit`` draws the value that pages; ``colors`` fixes names (a regex)."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .unit(unit)
        .min(0)
        .fill_opacity(30 if stacked else 8)
        .line_width(1)
        .show_points(common.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    for letter, query in zip("ABCDEF", queries, strict=False):
        panel = panel.with_target(_target(query, letter))
    if stacked:
        panel = panel.stacking(
            build_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        )
    if limit is not None:
        panel = panel.thresholds(_thresholds(((None, CLEAR), (limit, RED)))).thresholds_style(
            build_common.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    for pattern, color in colors:
        fixed = {"mode": "fixed", "fixedColor": color}
        panel = panel.override_by_regexp(
            f"/{pattern}/", [DynamicConfigValue(id_val="color", value=fixed)]
        )
    return panel


def timeline(
    title: str,
    description: str,
    query: Query,
    states: Sequence[State],
    *,
    span: int = 24,
    height: int = 5,
) -> statetimeline.Panel:
    """Return a band per series, coloured by its state; no data is a gap."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .with_target(_target(query, "A"))
        .mappings(_mappings(states))
        .thresholds(_thresholds(((None, GREY),)))
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .legend(_legend())
    )


def grid(
    title: str,
    description: str,
    query: Query,
    columns: dict[str, str],
    *,
    height: int,
    span: int = 24,
    overrides: Sequence[tuple[str, dict[str, Any]]] = (),
    empty: str,
) -> table.Panel:
    """Return a table; ``columns`` maps labels (or ``Value``) to headings, in order."""
    hidden = {"Time": True} | ({} if "Value" in columns else {"Value": True})
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .with_target(_target(query, "A", instant=True).format(PromQueryFormat.TABLE))
        .no_value(empty)
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": hidden,
                    "indexByName": {name: index for index, name in enumerate(columns)},
                    "renameByName": columns,
                },
            )
        )
    )
    for heading, properties in overrides:
        panel = panel.override_by_name(
            heading, [DynamicConfigValue(id_val=key, value=one) for key, one in properties.items()]
        )
    return panel


def cell_color(states: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the properties that colour a table's cells by their text."""
    options = {text: {"color": color, "index": index} for index, (text, color) in enumerate(states)}
    return {
        "mappings": [{"type": "value", "options": options}],
        "custom.displayMode": "color-text",
        "custom.cellOptions": {"type": "color-text"},
    }


def codes(values: Iterable[str]) -> dict[str, int]:
    """Return a number for each value of a state set, for panels that show one as one band."""
    return {value: index for index, value in enumerate(values)}


def _target(query: Query, letter: str, *, instant: bool = False) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(letter)
        .datasource(SOURCE)
    )
    return target.instant() if instant else target.range()


def _thresholds(steps: Sequence[Step]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=color) for value, color in steps])
    )


def _mappings(states: Sequence[State]) -> list[ValueMapping]:
    if not states:
        return []
    options = {
        str(state.value): ValueMappingResult(text=state.text, color=state.color, index=index)
        for index, state in enumerate(states)
    }
    return [ValueMap(options=options)]


def _legend() -> build_common.VizLegendOptions:
    return (
        build_common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs([])
    )
