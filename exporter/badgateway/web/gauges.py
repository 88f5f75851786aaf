"""States as gauges: what the exporter knows at this moment, metric by metric."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator

from badgateway import __version__, vocabulary
from badgateway.collectors import settings
from badgateway.collectors.listeners import Listeners, listens, queue
from badgateway.diagnosis import risks
from badgateway.exporter import Exporter
from badgateway.supervision import Run
from badgateway.topology.backends import Backend

Sample = tuple[str, tuple[str, ...], float]

DRIFT_INFOS = 20
_TEXT_LIMIT = 64


def samples(exporter: Exporter) -> Iterator[Sample]:
    """Yield (metric, label values, value) for every gauge."""
    yield "build_info", (__version__, platform.python_version()), 1
    yield "config_last_reload_successful", (), float(exporter.is_configured_as_asked)
    yield "config_last_reload_success_timestamp_seconds", (), exporter.configured
    yield "checkpoint_durable", (), float(exporter.committer.durable)
    for metric, number in exporter.counters.folded().items():
        yield "series_folded", (metric,), number
    yield from _collectors(exporter)
    yield from _sources(exporter)
    yield from _probes(exporter)
    yield from _configurations(exporter)
    for backend in exporter.paths.backends:
        yield from _path(exporter, backend)
        yield from _settings(backend)
        yield from _announced(exporter, backend)
        yield from _service(exporter, backend)
        yield from _packages(exporter, backend)
        yield from _conclusions(exporter, backend)


def _collectors(exporter: Exporter) -> Iterator[Sample]:
    runs = dict(exporter.supervisor.runs)
    dependencies = exporter.dependencies
    if dependencies.last_run:
        runs["dependencies"] = Run(
            not dependencies.problem, dependencies.duration, dependencies.last_run
        )
    for name, run in runs.items():
        yield "collector_success", (name,), float(run.success)
        yield "collector_duration_seconds", (name,), run.duration
        yield "collector_last_run_timestamp_seconds", (name,), run.at


def _sources(exporter: Exporter) -> Iterator[Sample]:
    for name, status in exporter.statuses().items():
        if status.up is None:
            continue
        yield "source_up", (name,), float(status.up)
        yield "source_catching_up", (name,), float(status.catching_up)
        if status.last_event is not None:
            yield "source_last_event_timestamp_seconds", (name,), status.last_event
        if name.partition("-log")[1]:
            yield "source_unread_bytes", (name,), status.unread


def _probes(exporter: Exporter) -> Iterator[Sample]:
    for target, state in list(exporter.probes.states.items()):
        last = state.last
        if state.asked or state.failing:  # an alert that fires must not end by silence
            yield "probe_status_code", target.labels, last.status
            yield "probe_consecutive_failures", target.labels, state.failures
        yield "probe_last_run_timestamp_seconds", target.labels, last.at
        for phase, seconds in last.durations.items() if state.asked else ():
            yield "probe_duration_seconds", (*target.labels, phase), seconds
        if last.certificate_expiry is not None:
            yield (
                "probe_certificate_expiry_timestamp_seconds",
                target.labels,
                last.certificate_expiry,
            )


def _configurations(exporter: Exporter) -> Iterator[Sample]:
    """Proxies' configurations, disk against memory; what is not known is absent."""
    for name, state in exporter.proxywatch.states.items():
        found, tested = state.found, state.tested
        if found is not None and found.loaded_at and state.running is not False:
            yield "proxy_config_loaded_timestamp_seconds", (name,), found.loaded_at
        if found is not None and found.changed:
            yield "proxy_config_changed_timestamp_seconds", (name,), found.changed
        if tested is not None and tested.valid is not None:
            yield "proxy_config_valid", (name,), float(tested.valid)


def _path(exporter: Exporter, backend: Backend) -> Iterator[Sample]:
    environment = exporter.config.environment
    hops = dict.fromkeys((p.proxy, p.route.site, p.route.upstream) for p in backend.paths)
    for proxy, site, upstream in hops or [("", "", next(iter(backend.upstreams), ""))]:
        yield (
            "backend_info",
            (
                backend.name, proxy, site, upstream, backend.manager, backend.unit,
                backend.server, environment,
            ),
            1,
        )  # fmt: skip
    yield from _listening(exporter.host.listeners, backend)


def _settings(backend: Backend) -> Iterator[Sample]:
    for hop, setting, seconds in settings.timeouts(backend):
        yield "timeout_seconds", (backend.name, hop, setting), seconds
    for check, differs in settings.mismatches(backend).items():
        yield "config_mismatch", (backend.name, check), float(differs)


def _listening(listeners: Listeners | None, backend: Backend) -> Iterator[Sample]:
    for upstream in backend.upstreams if listeners is not None else ():
        assert listeners is not None
        labels = (backend.name, upstream)
        listening = listeners.at(upstream)
        if backend.container is not None:
            listening = listens(listeners, backend)
        if listening is not None:
            yield "upstream_listening", labels, float(listening)
        waiting = queue(listeners, backend, upstream)
        if waiting is not None:
            yield "accept_queue_length", labels, waiting.length
            if waiting.limit:
                yield "accept_queue_limit", labels, waiting.limit


def _announced(exporter: Exporter, backend: Backend) -> Iterator[Sample]:
    found = exporter.announcements.open(backend.name, time.time())
    if found is not None:
        yield "deploying_until_timestamp_seconds", (backend.name,), found.until
    last = exporter.announcements.last(backend.name)
    if last:
        yield "deploy_last_timestamp_seconds", (backend.name, "marker"), last


def _service(exporter: Exporter, backend: Backend) -> Iterator[Sample]:
    evidence = exporter.conclusions.evidence.get(backend.name)
    if evidence is None or not backend.manager:
        return
    service = evidence.service
    labels = (backend.name, backend.manager, backend.unit)
    contained = backend.manager == "docker"
    readable = exporter.docker.up if contained else (
        backend.manager != "systemd" or exporter.bus.status.up
    )  # fmt: skip
    now = service.active if service is not None and readable else "unknown"
    now = now.replace("-", "_") if now.replace("-", "_") in vocabulary.SERVICE_STATES else "unknown"
    for state in vocabulary.SERVICE_STATES:
        yield "service_state", (*labels, state), float(state == now)
    kept = exporter.docker.collector if contained else exporter.services
    ended = kept.last_exits().get(backend.unit)
    if ended is not None:
        yield "service_last_exit_timestamp_seconds", (*labels, ended[1]), ended[0]
    if backend.launch is not None:
        yield "workers_target", (backend.name, backend.server), backend.workers
        alive = exporter.workers.alive.get(backend.name)
        if alive is not None and readable:
            yield "workers", (backend.name, backend.server), alive
    memory = exporter.host.memory.get(backend.name)
    if memory is not None:
        yield "memory_bytes", (backend.name,), memory.used
        if memory.limit is not None:
            yield "memory_limit_bytes", (backend.name,), memory.limit
    for kind, at in exporter.dependencies.deployed(backend.name).items():
        yield "deploy_last_timestamp_seconds", (backend.name, kind), at


def _packages(exporter: Exporter, backend: Backend) -> Iterator[Sample]:
    report = exporter.dependencies.report(backend.name)
    if report is None:
        return
    for verdict in vocabulary.NEXT_START_VERDICTS:
        yield "next_start", (backend.name, verdict), float(verdict == report.verdict)
    evidence = exporter.conclusions.evidence.get(backend.name)
    if evidence is not None:
        hazards = risks.restart_hazards(evidence)
        for trigger in vocabulary.RESTART_TRIGGERS:
            yield "restart_hazard", (backend.name, trigger), float(trigger in hazards)
    for kind in vocabulary.DRIFT_KINDS:
        number = sum(1 for finding in report.findings if finding.kind == kind)
        yield "dependency_drift", (backend.name, kind), number
    seen: set[tuple[str, ...]] = set()
    for finding in report.findings:
        if finding.kind not in vocabulary.DRIFT_KINDS:
            continue
        labels = (
            backend.name,
            finding.subject[:_TEXT_LIMIT],
            finding.kind,
            finding.declared[:_TEXT_LIMIT],
            finding.installed[:_TEXT_LIMIT],
        )
        if labels not in seen and len(seen) < DRIFT_INFOS:
            seen.add(labels)
            yield "dependency_drift_info", labels, 1


def _conclusions(exporter: Exporter, backend: Backend) -> Iterator[Sample]:
    verdict = exporter.conclusions.verdicts.get(backend.name)
    if verdict is None:
        return
    for cause in vocabulary.CAUSES:
        active = cause == verdict.cause
        yield "diagnosis", (backend.name, cause), float(active)
        confidence = verdict.confidence if active else 0.0
        yield "diagnosis_confidence_ratio", (backend.name, cause), confidence
    if verdict.cause != "none":
        subject = verdict.subject[:_TEXT_LIMIT]
        yield "diagnosis_info", (backend.name, verdict.cause, subject), 1
    found = {risk.risk: risk for risk in exporter.conclusions.risks.get(backend.name, ())}
    for name, about in found.items():
        yield "risk_info", (backend.name, name, about.subject[:_TEXT_LIMIT]), 1
    for risk in vocabulary.RISKS:
        yield "risk", (backend.name, risk), float(risk in found)
