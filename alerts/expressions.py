"""The PromQL of the rules, composed from named pieces.

Everything is judged per ``(job, instance, backend)``: one exporter's view of one backend, so that
any number of failing probes, vantages, sites and sources is one alert.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from alerts import thresholds as at
from badgateway import vocabulary

SCOPE: Final = "job, instance, backend"
JOB: Final = f'job="{at.JOB}"'
DOWN: Final = f"up{{{JOB}}} == 0"

# Recorded in the same group as the alerts that read them, and before them: a rule of another
# group would be one evaluation old, and late by as much.
FAILED_PROBES: Final = "backend:badgateway_probe_consecutive_failures:users"
STATUS: Final = "backend:badgateway_probe_status_code:users"
FAILING_SINCE: Final = "backend:badgateway_failing_since:timestamp"
ERROR_RATIO: Final = "backend:badgateway_gateway_error_ratio:paging"
DIAGNOSIS: Final = "backend:badgateway_diagnosis:known"
DEPLOYING: Final = "backend:badgateway_deploying_until:timestamp"
PAGE_HELD: Final = "backend:badgateway_page_held:deploying"

GATEWAY_ERRORS: Final = 'code=~"502|503|504"'
USERS: Final = 'vantage=~"edge|proxy"'

# Starts that someone asked for, or that follow from something else that someone did.
ORDERED: Final = frozenset(
    ("manual", "killed", "propagated", "host_boot", "recreated", "daemon_restart")
)
PLANNED: Final = vocabulary.PLANNED_WORKER_ENDS
GRAVE_DRIFT: Final = tuple(
    kind for kind, severity in vocabulary.DRIFT_SEVERITY.items() if severity in ("fatal", "high")
)


def alternatives(values: Iterable[str]) -> str:
    """Return a regular expression matching exactly ``values``."""
    return "|".join(values)


def metric(name: str, *matchers: str) -> str:
    """Return a selector of the exporter's metric ``name``, given without its prefix."""
    return f"badgateway_{name}{{{', '.join((JOB, *matchers))}}}"


def seen_by_users(name: str) -> str:
    """Return the probe series of ``name`` that stand for what users get.

    That is edge and proxy; the origin's only for a backend that is probed nowhere else, since an
    origin may fail while its users are served by another.
    """
    outside = metric(name, USERS)
    origin = metric(name, 'vantage="origin"')
    return f"{outside}\nor\n({origin} unless on ({SCOPE}) {outside})"


def held(record: str, expression: str) -> str:
    """Return ``expression``, or while the exporter is down what ``record`` said last.

    Without it the death of the exporter in mid-outage would send "resolved".
    """
    return f"{expression}\nor\n({record} and on (job, instance) {DOWN})"


def failed_probes() -> str:
    """Failed probes in a row, as users see it."""
    return held(
        FAILED_PROBES,
        f"max by ({SCOPE}) (\n{_indent(seen_by_users('probe_consecutive_failures'))}\n)",
    )


def status() -> str:
    """Return the highest status of the failing probes users stand behind; 0 is no answer."""
    failing = f"{metric('probe_consecutive_failures')} > 0"
    inner = (
        f"({_indent(seen_by_users('probe_status_code')).lstrip()})\n"
        f"and on ({SCOPE}, probe, vantage) {failing}"
    )
    return held(STATUS, f"max by ({SCOPE}) (\n{_indent(inner)}\n)")


def failing_since() -> str:
    """When the failure in course was first seen, Unix seconds."""
    return (
        f"({FAILING_SINCE} and on ({SCOPE}) {FAILED_PROBES} > 0)\n"
        f"or\n"
        f"(time() + 0 * ({FAILED_PROBES} > 0))"
    )


def error_ratio() -> str:
    """Share of gateway errors in the last minute; 0 if they are few, absent if they are old."""
    window = at.ERROR_WINDOW
    errors = metric("proxy_responses_total", GATEWAY_ERRORS)
    answers = metric("proxy_responses_total")
    fresh = (
        f"(\n"
        f"  sum by ({SCOPE}) (rate({errors}[{window}]))\n"
        f"  /\n"
        f"  sum by ({SCOPE}) (rate({answers}[{window}]))\n"
        f")\n"
        f"* on ({SCOPE})\n"
        f"(sum by ({SCOPE}) (increase({errors}[{window}])) >= bool {at.ERROR_COUNT})\n"
        f"{not_catching_up(at.CATCHING_UP_WINDOW)}"
    )
    return held(ERROR_RATIO, f"(\n{_indent(fresh)}\n)")


def not_catching_up(window: str) -> str:
    """Return the gate of what is derived from logs: lines of an absence are not about now."""
    source = metric("source_catching_up")
    return f"unless on (job, instance) (max_over_time({source}[{window}]) > 0)"


def not_paged_by(alert: str) -> str:
    """Return the gate of a page that would only repeat another one about the same backend.

    A ratio over a minute outlives the outage by a minute; without the gate it would page after
    the recovery, when the cause is gone.
    """
    return f"unless on ({SCOPE}) {_firing(alert)}"


def diagnosis() -> str:
    """The cause, if one was concluded, and its subject; the value is how sure the diagnosis is."""
    key = f"{SCOPE}, cause"
    concluded = metric("diagnosis", 'cause!~"none|undetermined"') + " == 1"
    confidence = f"max by ({key}) ({metric('diagnosis_confidence_ratio')})"
    about = f"max by ({key}, subject) ({metric('diagnosis_info')})"
    fresh = (
        f"(\n"
        f"  ({about} * on ({key}) group_left () {confidence})\n"
        f"  or on ({key})\n"
        f"  {confidence}\n"
        f")\n"
        f"and on ({key}) {concluded}"
    )
    return held(DIAGNOSIS, f"(\n{_indent(fresh)}\n)")


def deploying_until() -> str:
    """When the announced deploy ends, Unix seconds; an exporter that dies takes nothing back."""
    announced = metric("deploying_until_timestamp_seconds")
    return held(DEPLOYING, f"max by ({SCOPE}) ({announced})")


def page_held() -> str:
    """There while a page waits: for an announced deploy, or a restart under way.

    Both end by themselves, and neither holds a failing backend's page for longer than
    ``HOLD_LIMIT_SECONDS`` and ``UNTOLD_LIMIT_SECONDS``, however often it happens.
    """
    starting = metric("diagnosis", 'cause="deploying"')
    failing = f"time() - {FAILING_SINCE}"
    return (
        f"(\n"
        f"  {DEPLOYING} > time()\n"
        f"  unless on ({SCOPE}) {failing} > {at.HOLD_LIMIT_SECONDS}\n"
        f")\n"
        f"or on ({SCOPE})\n"
        f"(\n"
        f"  max by ({SCOPE}) ({starting}) == 1\n"
        f"  unless on ({SCOPE}) {failing} > {at.UNTOLD_LIMIT_SECONDS}\n"
        f")"
    )


def not_held(alert: str) -> str:
    """Return the gate of a page that waits; one that fires already goes on."""
    return f"unless on ({SCOPE}) ({PAGE_HELD} unless on ({SCOPE}) {_firing(alert)})"


def ratio_not_held(alert: str) -> str:
    """Return the same gate for a share of the last minute, which may still contain the deploy.

    It may contain an ordered restart too, and that may have been too short for any scrape to see.
    No share that has been too high for ``HOLD_LIMIT``, or ``UNTOLD_LIMIT``, waits any longer.
    """
    restarts = metric("service_restarts_total", 'reason="manual"')
    return (
        f"unless on ({SCOPE}) (\n"
        f"  (\n"
        f"    (\n"
        f"      max_over_time({PAGE_HELD}[{at.HELD_WINDOW}])\n"
        f"      unless on ({SCOPE}) ({_high_for(at.HOLD_LIMIT)})\n"
        f"    )\n"
        f"    or on ({SCOPE})\n"
        f"    (\n"
        f"      sum by ({SCOPE}) (increase({restarts}[{at.HELD_WINDOW}])) > 0\n"
        f"      unless on ({SCOPE}) ({_high_for(at.UNTOLD_LIMIT)})\n"
        f"    )\n"
        f"  )\n"
        f"  unless on ({SCOPE}) {_firing(alert)}\n"
        f")"
    )


def _high_for(limit: str) -> str:
    return (
        f"min_over_time({ERROR_RATIO}[{limit}]) > {at.ERROR_RATIO} "
        f"and on ({SCOPE}) {ERROR_RATIO} offset {limit}"
    )


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname="{alert}", alertstate="firing"}}'


def next_start_fails(*, soon: bool) -> str:
    """Return the risk; ``soon`` where the next worker to be recycled meets it without a restart."""
    risk = metric("risk", 'risk="next_start_fails"')
    hazard = metric("restart_hazard", 'trigger="worker_recycle"')
    return (
        f"max by ({SCOPE}) ({risk}) == 1\n{'and' if soon else 'unless'} on ({SCOPE}) {hazard} == 1"
    )


def next_reload_harms() -> str:
    """Return the risks of a proxy's next reload."""
    risk = metric("risk", 'risk=~"next_reload_fails|next_reload_misroutes"')
    return f"max by ({SCOPE}) ({risk}) == 1"


def service_restarting() -> str:
    """Starts that nobody asked for."""
    restarts = metric("service_restarts_total", f'reason!~"{alternatives(sorted(ORDERED))}"')
    return f"sum by ({SCOPE}) (increase({restarts}[{at.RESTARTS_WINDOW}])) >= {at.RESTARTS}"


def workers_dying() -> str:
    """Workers that ended without anybody having meant it."""
    ends = metric("worker_recycles_total", f'reason!~"{alternatives(sorted(PLANNED))}"')
    return (
        f"sum by ({SCOPE}) (increase({ends}[{at.WORKERS_WINDOW}])) >= {at.WORKERS}\n"
        f"{not_catching_up(at.WORKERS_CATCHING_UP_WINDOW)}"
    )


def dependency_drift() -> str:
    """Grave differences that are not already warned of as a next start that fails."""
    drift = metric("dependency_drift", f'kind=~"{alternatives(GRAVE_DRIFT)}"')
    risk = metric("risk", 'risk="next_start_fails"')
    return f"sum by ({SCOPE}) ({drift}) > 0\nunless on ({SCOPE}) {risk} == 1"


def probe_stalled() -> str:
    """Age of the oldest last probe, seconds."""
    last = metric("probe_last_run_timestamp_seconds")
    return f"time() - min by ({SCOPE}) ({last}) > {at.PROBE_AGE_SECONDS}"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
