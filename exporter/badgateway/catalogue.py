"""Every metric, declared once: name, type, help, labels.

Nothing is exposed that is not declared here. ``Metric.labels`` is the order in which values are
given everywhere. A label whose values are closed names its vocabulary in ``CLOSED``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from badgateway import vocabulary

PREFIX: Final = "badgateway_"

SERIES_LIMIT: Final = 1000
"""Series per counter that log lines may bring forth; beyond it the free label becomes ``other``."""

DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""Upper bounds in seconds, the usual timeouts among them."""

SUM: Final = "sum"
"""Stands for the sum of a histogram's observations where a bucket's bound would."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    Attributes:
        name: without the prefix; counters carry ``_total``.
        kind: its Prometheus type.
        help: one sentence for the operator.
        labels: label names, in the order values are given.
        buckets: upper bounds in seconds, histograms only.
        free: the label that folds into ``other`` past ``SERIES_LIMIT``.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    free: str | None = None

    @property
    def series_labels(self) -> tuple[str, ...]:
        """The labels that tell its series apart: a histogram has one for each bucket."""
        return (*self.labels, "le") if self.kind == "histogram" else self.labels


def _counter(name: str, text: str, *labels: str, free: str | None = None) -> Metric:
    return Metric(name, "counter", text, labels, free=free)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", text, labels)


METRICS: Final[tuple[Metric, ...]] = (
    # -- the exporter itself
    _gauge("build_info", "1, with the exporter's version.", "version", "python"),
    _gauge("config_last_reload_successful", "1 if the last configuration read was accepted."),
    _gauge(
        "config_last_reload_success_timestamp_seconds", "When a configuration was last accepted."
    ),
    _gauge("collector_success", "1 if the collector's last run succeeded.", "collector"),
    _gauge("collector_duration_seconds", "How long the collector's last run took.", "collector"),
    _gauge(
        "collector_last_run_timestamp_seconds", "When the collector last ended a run.", "collector"
    ),
    _gauge("source_up", "1 if the source can be read.", "source"),
    _gauge(
        "source_last_event_timestamp_seconds", "Time of the last line or event read.", "source"
    ),
    _gauge("source_unread_bytes", "Bytes of the source's files not read yet.", "source"),
    _gauge("source_catching_up", "1 while lines from an absence are being read.", "source"),
    _counter("source_gaps_total", "Times at which events may have been lost.", "source"),
    _counter("log_lines_total", "Log lines read, by what they were.", "source", "result"),
    _gauge("series_folded", "Series folded into `other` because of the limit.", "metric"),
    _gauge("checkpoint_durable", "1 if the last checkpoint reached the disk."),
    # -- the path
    _gauge(
        "backend_info",
        "1 for each backend, with the hops of its path.",
        "backend",
        "proxy",
        "site",
        "upstream",
        "manager",
        "unit",
        "server",
        "environment",
    ),
    # -- probes
    _counter(
        "probe_responses_total", "Probes answered, by status.",
        "backend", "probe", "vantage", "code",
    ),
    _counter(
        "probe_failures_total", "Probes failed, by reason.",
        "backend", "probe", "vantage", "reason",
    ),
    _gauge(
        "probe_status_code", "Status of the last probe, 0 without an answer.",
        "backend", "probe", "vantage",
    ),
    _gauge(
        "probe_consecutive_failures",
        "Probes failed in a row; stays as it was while one cannot ask for want of its secret.",
        "backend", "probe", "vantage",
    ),
    _gauge(
        "probe_duration_seconds", "How long the last probe took.",
        "backend", "probe", "vantage", "phase",
    ),
    _gauge(
        "probe_last_run_timestamp_seconds", "When the last probe ended.",
        "backend", "probe", "vantage",
    ),
    _gauge(
        "probe_certificate_expiry_timestamp_seconds", "When the certificate seen expires.",
        "backend", "probe", "vantage",
    ),
    # -- the proxy
    _counter(
        "proxy_responses_total", "Responses to clients, by status.",
        "backend", "proxy", "site", "code", free="site",
    ),
    _counter(
        "proxy_errors_total", "5xx responses, by who made them.",
        "backend", "proxy", "site", "code", "origin", free="site",
    ),
    _counter(
        "client_aborts_total", "Requests the client gave up.",
        "backend", "proxy", "site", free="site",
    ),
    _counter(
        "upstream_failures_total", "Failed attempts to get an answer from an upstream.",
        "backend", "proxy", "upstream", "reason", free="upstream",
    ),
    _counter(
        "upstream_failures_masked_total",
        "Failed attempts whose client got an answer all the same.",
        "backend", "proxy", "upstream", free="upstream",
    ),
    Metric(
        "upstream_response_duration_seconds", "histogram",
        "How long upstreams took to answer, of requests whose log line tells.",
        ("backend", "proxy"), DURATION_BUCKETS,
    ),
    _gauge("upstream_listening", "1 if something listens at the address.", "backend", "upstream"),
    _gauge(
        "accept_queue_length", "Connections that wait to be accepted at the address.",
        "backend", "upstream",
    ),
    _gauge(
        "accept_queue_limit", "How many connections may wait to be accepted at the address.",
        "backend", "upstream",
    ),
    # -- the service
    _counter(
        "service_restarts_total", "Starts seen after the first, by what led to them.",
        "backend", "manager", "unit", "reason",
    ),
    _counter(
        "service_exits_total", "Ends and refused starts, by reason.",
        "backend", "manager", "unit", "reason",
    ),
    _gauge(
        "service_state", "1 for the state the service is in.",
        "backend", "manager", "unit", "state",
    ),
    _gauge(
        "service_last_exit_timestamp_seconds", "When the service last ended, by reason.",
        "backend", "manager", "unit", "reason",
    ),
    _gauge(
        "memory_bytes", "Memory used by the cgroup of the unit or container, without what the "
        "kernel would give back at once.", "backend",
    ),
    _gauge(
        "memory_limit_bytes", "Memory the cgroup of the unit or container may use; absent without "
        "a limit.", "backend",
    ),
    _gauge(
        "deploy_last_timestamp_seconds", "When what the service runs last changed on disk.",
        "backend", "kind",
    ),
    _gauge(
        "deploying_until_timestamp_seconds",
        "When the open announcement of a deploy ends; its page is held until then.",
        "backend",
    ),
    # -- server and workers
    _counter(
        "worker_recycles_total", "Workers ended, by reason.", "backend", "server", "reason"
    ),
    _counter("server_exits_total", "Server ends, by reason.", "backend", "server", "reason"),
    _gauge("workers", "Workers alive.", "backend", "server"),
    _gauge("workers_target", "Workers asked for.", "backend", "server"),
    # -- settings
    _gauge("timeout_seconds", "How long a hop waits, by setting.", "backend", "hop", "setting"),
    _gauge(
        "config_mismatch", "1 if settings of two hops do not fit each other; by itself no alarm.",
        "backend", "check",
    ),
    # -- proxies' configurations, disk against memory
    _gauge(
        "proxy_config_loaded_timestamp_seconds",
        "When the proxy last took up a configuration; absent while that is not known.", "proxy",
    ),
    _gauge(
        "proxy_config_changed_timestamp_seconds",
        "When the files of the proxy's configuration last changed.", "proxy",
    ),
    _gauge(
        "proxy_config_valid",
        "1 if the proxy would accept its files, 0 if it would refuse them; absent while that is "
        "not known.", "proxy",
    ),
    # -- packages
    _gauge(
        "dependency_drift", "Differences between declared, installed and imported.",
        "backend", "kind",
    ),
    _gauge(
        "dependency_drift_info", "1 for each difference, the gravest first.",
        "backend", "package", "kind", "declared", "installed",
    ),
    _gauge("next_start", "1 for what the next start is expected to do.", "backend", "verdict"),
    _gauge(
        "restart_hazard", "1 if this starts the application anew.", "backend", "trigger"
    ),
    # -- conclusions
    _gauge("diagnosis", "1 for the cause concluded.", "backend", "cause"),
    _gauge(
        "diagnosis_confidence_ratio", "How sure the diagnosis is, 0 to 1.", "backend", "cause"
    ),
    _gauge(
        "diagnosis_info", "1, with what the cause is about.", "backend", "cause", "subject"
    ),
    _gauge("risk", "1 for what will fail at the next occasion.", "backend", "risk"),
    _gauge("risk_info", "1, with what the risk is about.", "backend", "risk", "subject"),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Metric]] = MappingProxyType({m.name: m for m in METRICS})

CLOSED: Final[Mapping[tuple[str, str], frozenset[str]]] = MappingProxyType(
    {
        ("log_lines_total", "result"): frozenset(vocabulary.LINE_RESULTS),
        ("probe_responses_total", "code"): vocabulary.HTTP_CODES | {"other"},
        ("probe_failures_total", "reason"): frozenset(vocabulary.PROBE_FAILURE_REASONS),
        **{
            (metric.name, "vantage"): frozenset(vocabulary.PROBE_VANTAGES)
            for metric in METRICS
            if "vantage" in metric.labels
        },
        **{
            (metric.name, label): frozenset(values)
            for metric in METRICS
            for label, values in (("manager", vocabulary.MANAGERS), ("server", vocabulary.SERVERS))
            if label in metric.labels and (metric.name, label) != ("backend_info", "manager")
        },
        ("probe_duration_seconds", "phase"): frozenset(vocabulary.PROBE_PHASES),
        ("proxy_responses_total", "code"): vocabulary.HTTP_CODES | {"other"},
        ("proxy_errors_total", "code"): vocabulary.HTTP_CODES | {"other"},
        ("proxy_errors_total", "origin"): frozenset(vocabulary.ERROR_ORIGINS),
        ("upstream_failures_total", "reason"): frozenset(vocabulary.UPSTREAM_FAILURE_REASONS),
        ("service_restarts_total", "reason"): frozenset(vocabulary.SERVICE_REASONS),
        ("service_exits_total", "reason"): frozenset(vocabulary.SERVICE_REASONS),
        ("service_last_exit_timestamp_seconds", "reason"): frozenset(vocabulary.SERVICE_REASONS),
        ("service_state", "state"): frozenset(vocabulary.SERVICE_STATES),
        ("deploy_last_timestamp_seconds", "kind"): frozenset(vocabulary.DEPLOY_KINDS),
        ("worker_recycles_total", "reason"): frozenset(vocabulary.WORKER_END_REASONS),
        ("server_exits_total", "reason"): frozenset(vocabulary.SERVER_END_REASONS),
        ("dependency_drift", "kind"): frozenset(vocabulary.DRIFT_KINDS),
        ("dependency_drift_info", "kind"): frozenset(vocabulary.DRIFT_KINDS),
        ("timeout_seconds", "hop"): frozenset(vocabulary.HOPS),
        ("timeout_seconds", "setting"): frozenset(vocabulary.TIMEOUT_SETTINGS),
        ("config_mismatch", "check"): frozenset(vocabulary.CONFIG_CHECKS),
        ("next_start", "verdict"): frozenset(vocabulary.NEXT_START_VERDICTS),
        ("restart_hazard", "trigger"): frozenset(vocabulary.RESTART_TRIGGERS),
        ("diagnosis", "cause"): frozenset(vocabulary.CAUSES),
        ("diagnosis_confidence_ratio", "cause"): frozenset(vocabulary.CAUSES),
        ("diagnosis_info", "cause"): frozenset(vocabulary.CAUSES),
        ("risk", "risk"): frozenset(vocabulary.RISKS),
        ("risk_info", "risk"): frozenset(vocabulary.RISKS),
    }
)
"""(metric, label) → the values that label may take."""

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "backend": "the application behind the proxy: its name in the configuration, else its unit "
        "without `.service`, else its compose project and service, else its upstream address",
        "proxy": "the reverse proxy: its name in the configuration, else its unit",
        "site": "the host name the proxy serves, as its configuration writes it",
        "upstream": "the address at which the proxy reaches the application, as configured",
        "manager": "what starts the service",
        "unit": "the systemd unit; compose project and service, or the container's name",
        "server": "the application server",
        "environment": "`environment` of the configuration",
        "probe": "the probe's name; `origin` and `proxy` are those asked by default",
        "vantage": "from where the probe looks",
        "code": "the HTTP status",
        "reason": "why it failed, ended or was started",
        "phase": "the part of the request that was timed",
        "collector": "the part of the exporter that reads or concludes",
        "source": "what lines or events are read from; a name, never a path",
        "result": "what a line was",
        "metric": "the metric's name without its prefix",
        "origin": "who made the response",
        "hop": "the hop whose setting it is",
        "setting": "what the time is for",
        "check": "which settings do not fit each other",
        "state": "the service's state",
        "kind": "the kind of the difference or of the change",
        "package": "the distribution's or module's name",
        "declared": "what is declared; `url` for a requirement by URL",
        "installed": "the version installed; empty for none",
        "verdict": "what the next start is expected to do",
        "trigger": "what starts the application anew",
        "cause": "what was concluded",
        "subject": "what the cause is about: a package, an address, a unit, a setting",
        "risk": "what will fail, and at which occasion",
        "version": "the exporter's version",
        "python": "the version of Python it runs on",
    }
)
"""Label → what it says, whichever metric bears it."""
