"""The PromQL of the panels. They need the exporter's metrics only, not the recording rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from alerts import thresholds as at

HOSTS: Final = 'job=~"$job", instance=~"$instance"'
CHOSEN: Final = f'{HOSTS}, backend=~"$backend"'
GATEWAY_ERRORS: Final = 'code=~"502|503|504"'
BACKEND: Final = "job, instance, backend"
DOWN: Final = 'up{job=~"$job", instance=~"$instance"} == 0'


def metric(name: str, *matchers: str) -> str:
    """Return a selector of the exporter's metric ``name``, given without its prefix."""
    return f"badgateway_{name}{{{', '.join((CHOSEN, *matchers))}}}"


def proxy_configuration() -> str:
    """0 loaded, 1 its files changed since, 2 it would refuse them; by proxy of the same hosts."""
    changed, loaded, valid = (
        f"badgateway_proxy_config_{name}{{{HOSTS}}}"
        for name in ("changed_timestamp_seconds", "loaded_timestamp_seconds", "valid")
    )
    refused = f"2 + ({valid} == 0)"
    return f"max by (proxy) (({refused}) or ({changed} > bool {loaded}))"


def per_second(name: str, by: str, *matchers: str) -> str:
    """Return a counter's rate, summed by labels."""
    return f"sum by ({by}) (rate({metric(name, *matchers)}[$__rate_interval]))"


def times(name: str, by: str) -> str:
    """Return how often a counter rose between two points of a graph, summed by labels."""
    return f"sum by ({by}) (increase({metric(name)}[$__rate_interval]))"


def quantile(share: float, name: str) -> str:
    """Return what a share of a histogram's observations did not exceed."""
    buckets = f"sum by (le) (rate({metric(f'{name}_bucket')}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def seen_by_users(name: str) -> str:
    """Return probes at edge and proxy; of a backend that has neither, those at its origin."""
    outside = metric(name, 'vantage=~"edge|proxy"')
    origin = metric(name, 'vantage="origin"')
    return f"{outside} or ({origin} unless on ({BACKEND}) {outside})"


def failed_probes() -> str:
    """Failed probes in a row, as users see it, per exporter and backend."""
    return f"max by ({BACKEND}) ({seen_by_users('probe_consecutive_failures')})"


def error_ratio(by: str, window: str) -> str:
    """Share of 502, 503 and 504 among the answers."""
    errors = metric("proxy_responses_total", GATEWAY_ERRORS)
    answers = metric("proxy_responses_total")
    return f"sum by ({by}) (rate({errors}[{window}])) / sum by ({by}) (rate({answers}[{window}]))"


def users() -> str:
    """0 served, 1 some requests fail, 2 the page's own condition holds, 3 nobody can tell.

    It judges by probes and by the last minute's answers, whichever is worse, and is not green
    while the exporter is down.
    """
    failed = failed_probes()
    ratio = error_ratio(BACKEND, at.ERROR_WINDOW)
    by_ratio = f"2 * ({ratio} > bool {at.ERROR_RATIO}) + ({ratio} > bool 0)"
    by_probes = f"2 * ({failed} >= bool {at.FAILED_PROBES}) + ({failed} > bool 0)"
    known = f"max by ({BACKEND}) (last_over_time({metric('diagnosis')}[1h]))"
    return (
        f"max by (backend) (clamp_max("
        f"(({by_probes}) + ({by_ratio})) or ({by_probes}) or ({by_ratio}), 2)"
        f" or (3 + 0 * {known} and on (job, instance) {DOWN}))"
    )


def failing_since() -> str:
    """When a probe that fails now last succeeded, in milliseconds; at most a day ago."""
    failures = metric("probe_consecutive_failures")
    return (
        f"1000 * min by (backend) ("
        f"(max_over_time(timestamp({failures} == 0)[1d:1m]) and {failures} > 0)"
        f" or (time() - 86400 + 0 * ({failures} > 0)))"
    )


def active(name: str, label: str, codes: Mapping[str, int]) -> str:
    """Return a state set as one number per backend: ``codes`` of the value that is on."""
    return " or ".join(
        f"({code} * (max by (backend) ({metric(name, _equals(label, value))}) == 1))"
        for value, code in codes.items()
    )


def causes_with_subjects() -> str:
    """The concluded causes with their subjects; the value is how sure the diagnosis is."""
    key = f"{BACKEND}, cause"
    sure = f"max by ({key}) ({metric('diagnosis_confidence_ratio')})"
    about = f"max by ({key}, subject) ({metric('diagnosis_info')})"
    concluded = metric("diagnosis", 'cause!="none"') + " == 1"
    found = (
        f"(({about} * on ({key}) group_left () {sure}) or on ({key}) {sure})"
        f" and on ({key}) {concluded}"
    )
    return f'label_replace({found}, "step", "$1", "cause", "(.*)")'


def _equals(label: str, value: str) -> str:
    return f'{label}="{value}"'
