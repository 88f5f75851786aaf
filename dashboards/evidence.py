"""The rows that show what the verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alerts import thresholds as at
from badgateway import vocabulary
from dashboards import queries as pq
from dashboards import style
from dashboards.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Query, State

_TOTAL: Final = 'phase="total"'
_SERVICE_COLORS: Final = {
    "active": GREEN,
    "reloading": GREEN,
    "refreshing": GREEN,
    "activating": ORANGE,
    "deactivating": ORANGE,
    "inactive": GREY,
    "failed": RED,
    "not_found": PURPLE,
    "maintenance": BLUE,
    "paused": BLUE,
    "unknown": GREY,
}
_VERDICT_COLORS: Final = {"ok": GREEN, "may_fail": ORANGE, "will_fail": RED, "unknown": GREY}
_GRAVITY: Final = {"fatal": RED, "high": RED, "warn": ORANGE, "info": GREY}


def symptom() -> list[Any]:
    """What clients and probes get."""
    return [
        style.graph(
            "Answers by status",
            "What the proxy answered to clients, per second.",
            [Query(pq.per_second("proxy_responses_total", "code"), "{{code}}")],
            unit="reqps",
            stacked=True,
            colors=(("^2..$", GREEN), ("^3..$", BLUE), ("^4..$", ORANGE), ("^5..$", RED)),
        ),
        style.graph(
            "Share of 502, 503 and 504",
            f"Above the dashed line ({at.ERROR_RATIO:.0%}) it pages.",
            [Query(pq.error_ratio("backend", "$__rate_interval"), "{{backend}}")],
            unit="percentunit",
            limit=at.ERROR_RATIO,
        ),
        style.graph(
            "Failed probes in a row",
            "From the dashed line on it pages, at edge and proxy. The origin is the application "
            "itself: if it answers while the others fail, the fault lies before it.",
            [
                Query(
                    f"max by (backend, probe, vantage) ({pq.metric('probe_consecutive_failures')})",
                    "{{backend}} {{vantage}} {{probe}}",
                )
            ],
            unit="short",
            limit=at.FAILED_PROBES,
        ),
        style.graph(
            "Probe duration",
            "From start to end, the slowest of each vantage.",
            [
                Query(
                    f"max by (backend, vantage) ({pq.metric('probe_duration_seconds', _TOTAL)})",
                    "{{backend}} {{vantage}}",
                )
            ],
            unit="s",
        ),
    ]


def upstream() -> list[Any]:
    """What the proxy meets behind it."""
    return [
        style.graph(
            "Failed attempts by reason",
            "Attempts of the proxy to get an answer from the application, retried ones included.",
            [
                Query(pq.per_second("upstream_failures_total", "backend, reason"), "{{reason}}"),
                Query(
                    pq.per_second("upstream_failures_masked_total", "backend"),
                    "hidden from clients by a retry",
                ),
            ],
            unit="ops",
            span=8,
        ),
        style.graph(
            "5xx by who made them",
            "upstream: no usable answer came; application: it answered so itself; proxy: it was "
            "told to answer so.",
            [Query(pq.per_second("proxy_errors_total", "origin, code"), "{{origin}} {{code}}")],
            unit="reqps",
            span=8,
            stacked=True,
        ),
        style.graph(
            "Time to answer",
            "Of requests whose log line tells it: half, 95 and 99 of 100 took no longer.",
            [
                Query(pq.quantile(share, "upstream_response_duration_seconds"), name)
                for share, name in ((0.5, "50 %"), (0.95, "95 %"), (0.99, "99 %"))
            ],
            unit="s",
            span=8,
        ),
        style.timeline(
            "Listening",
            "Whether something listens at the address the proxy sends to.",
            Query(f"max by (upstream) ({pq.metric('upstream_listening')})", "{{upstream}}"),
            (State(0, "nothing listens", RED), State(1, "listening", GREEN)),
            height=4,
        ),
        style.timeline(
            "Proxy's configuration",
            "Files that changed since the proxy loaded them wait for the next reload; the proxy's "
            "own test says of some that it would refuse them.",
            Query(pq.proxy_configuration(), "{{proxy}}"),
            (
                State(0, "loaded", GREEN),
                State(1, "changed on disk", ORANGE),
                State(2, "would be refused", RED),
            ),
            height=4,
        ),
        style.graph(
            "Waiting to be accepted",
            "Connections that no worker has taken yet, and how many may wait. Above that, TCP "
            "times out (504) and a unix socket refuses at once (502).",
            [
                Query(
                    f"max by (backend, upstream) ({pq.metric('accept_queue_length')})",
                    "{{upstream}}",
                ),
                Query(
                    f"max by (backend, upstream) ({pq.metric('accept_queue_limit')})",
                    "{{upstream}} limit",
                ),
            ],
            unit="short",
            span=12,
            height=6,
        ),
        style.graph(
            "Timeouts as configured",
            "How long each hop waits. A worker that is killed before the proxy gives up is a 502.",
            [
                Query(
                    f"max by (backend, hop, setting) ({pq.metric('timeout_seconds')})",
                    "{{hop}} {{setting}}",
                )
            ],
            unit="s",
            span=12,
            height=6,
        ),
    ]


def lifecycle() -> list[Any]:
    """What the service and its workers do, and what was changed."""
    states = style.codes(vocabulary.SERVICE_STATES)
    return [
        style.timeline(
            "State of the service",
            "As its manager sees it. A unit may be active while no worker lives.",
            Query(pq.active("service_state", "state", states), "{{backend}}"),
            _colored(states, _SERVICE_COLORS),
            span=16,
        ),
        style.tile(
            "Last change on disk",
            "When what the service runs last changed.",
            Query(
                f"1000 * max by (backend, kind) ({pq.metric('deploy_last_timestamp_seconds')})",
                "{{kind}}",
            ),
            span=8,
            unit="dateTimeFromNow",
            steps=((None, BLUE),),
            empty="not known",
        ),
        style.graph(
            "Starts and ends",
            "Starts by what led to them, ends by reason.",
            [
                Query(pq.times("service_restarts_total", "reason"), "start: {{reason}}"),
                Query(pq.times("service_exits_total", "reason"), "end: {{reason}}"),
                Query(pq.times("server_exits_total", "reason"), "server end: {{reason}}"),
            ],
            unit="short",
            span=8,
        ),
        style.graph(
            "Workers",
            "Alive, and asked for.",
            [
                Query(f"sum by (backend) ({pq.metric('workers')})", "{{backend}} alive"),
                Query(f"sum by (backend) ({pq.metric('workers_target')})", "{{backend}} asked for"),
            ],
            unit="short",
            span=8,
        ),
        style.graph(
            "Workers ended by reason",
            "Recycled as configured, or died.",
            [Query(pq.times("worker_recycles_total", "reason"), "{{reason}}")],
            unit="short",
            span=8,
        ),
        style.graph(
            "Memory",
            "Of the unit's or container's control group, without what the kernel would give back "
            "at once; and what it may use.",
            [
                Query(f"max by (backend) ({pq.metric('memory_bytes')})", "{{backend}}"),
                Query(f"max by (backend) ({pq.metric('memory_limit_bytes')})", "{{backend}} limit"),
            ],
            unit="bytes",
            span=24,
            height=6,
        ),
    ]


def drift() -> list[Any]:
    """What the next start will find."""
    verdicts = style.codes(vocabulary.NEXT_START_VERDICTS)
    verdict_states = _colored(verdicts, _VERDICT_COLORS)
    return [
        style.tile(
            "Next start",
            "What would happen if the application were started now.",
            Query(pq.active("next_start", "verdict", verdicts), "{{backend}}"),
            span=6,
            states=verdict_states,
            empty="not examined",
        ),
        style.timeline(
            "Next start over time",
            "Since when the next start would fail: look for the change at its beginning.",
            Query(pq.active("next_start", "verdict", verdicts), "{{backend}}"),
            verdict_states,
            span=12,
        ),
        style.tile(
            "Started anew by",
            "What loads the application again: with worker recycling no restart is needed.",
            Query(f"max by (backend, trigger) ({pq.metric('restart_hazard')}) == 1", "{{trigger}}"),
            span=6,
            steps=((None, BLUE),),
            show_name=True,
            empty="not known",
        ),
        style.grid(
            "Declared, installed, imported",
            "Each difference found, at most 20 a backend.",
            Query(
                "max by (backend, package, kind, declared, installed) "
                f"({pq.metric('dependency_drift_info')})"
            ),
            {
                "backend": "Backend",
                "package": "Package",
                "kind": "Difference",
                "declared": "Declared",
                "installed": "Installed",
            },
            height=6,
            span=14,
            overrides=(
                (
                    "Difference",
                    style.cell_color(
                        [
                            (kind, _GRAVITY[severity])
                            for kind, severity in vocabulary.DRIFT_SEVERITY.items()
                        ]
                    ),
                ),
            ),
            empty="no difference",
        ),
        style.graph(
            "Differences by kind",
            "How many, over time.",
            [Query(f"sum by (backend, kind) ({pq.metric('dependency_drift')})", "{{kind}}")],
            unit="short",
            span=10,
            height=6,
        ),
    ]


def _colored(values: Mapping[str, int], colors: Mapping[str, str]) -> list[State]:
    return [State(code, value.replace("_", " "), colors[value]) for value, code in values.items()]
