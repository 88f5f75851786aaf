"""Rules about a service that does not stay up, or was stopped."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import facts, last_end, logs
from badgateway.vocabulary import PLANNED_WORKER_ENDS

_JUST_STARTED: Final = 60.0
_OF_OTHERS: Final = PLANNED_WORKER_ENDS | {"timeout", "oom"}
"""Ends of workers that are no loop, or have a rule of their own."""
_LOOP_STARTS: Final = 3
"""Automatic restarts within a quarter of an hour from which on it is a loop."""


def crash_loop(evidence: Evidence) -> Verdict | None:
    """The service is started again and again and does not stay up."""
    service, backend = evidence.service, evidence.backend
    if service is None or service.active in ("inactive", "not_found"):
        return None
    starts = len(evidence.recent_starts)
    if evidence.now - service.started < _JUST_STARTED:
        # systemd's own count goes back to before the exporter was started
        starts = max(starts, service.restarts)
    ends = [
        e for e in evidence.worker_ends
        if e.at > evidence.now - 120 and e.reason not in _OF_OTHERS
    ]  # fmt: skip
    waiting = service.sub == "auto-restart" and service.restarts > 0
    given_up = service.active == "failed" and (starts > 0 or service.restarts > 0)
    if starts < _LOOP_STARTS and not waiting and not given_up:
        # a server may live on, and listen, while no worker of it does
        if len(ends) < 2 * _LOOP_STARTS or not (evidence.deaf or not evidence.answered):
            return None
    elif not evidence.service_down and evidence.answered:
        return None
    manner = f"restarted {starts} times in 15 min"
    if given_up:
        manner = f"{commands.manager(backend)} has given up starting it"
    elif starts < _LOOP_STARTS and not waiting:
        reasons = ", ".join(dict.fromkeys(e.reason.replace("_", " ") for e in ends))
        return Verdict(
            "crash_loop",
            0.8,
            backend.unit,
            f"The workers of {backend.name} do not stay up: {len(ends)} ended in the last "
            f"2 minutes ({reasons}).",
            evidence.since,
            facts(evidence),
            logs(evidence),
        )
    return Verdict(
        "crash_loop",
        0.8,
        backend.unit,
        f"{backend.name} does not stay up: {manner}, last end: {last_end(evidence)}.",
        evidence.since,
        facts(evidence),
        logs(evidence),
    )


def container_unhealthy(evidence: Evidence) -> Verdict | None:
    """It fails, and its container's own health check says so too."""
    container, backend = evidence.backend.container, evidence.backend
    if container is None or container.health != "unhealthy" or evidence.service_down:
        return None
    return Verdict(
        "container_unhealthy",
        0.6,
        backend.unit,
        f"{backend.name} runs, and the health check of its container fails too.",
        evidence.since,
        facts(evidence),
        (f"docker inspect --format '{{{{json .State.Health}}}}' {container.identifier[:12]}",
         *logs(evidence)),
    )  # fmt: skip


def service_stopped(evidence: Evidence) -> Verdict | None:
    """The service was stopped, or ended and is not started again."""
    service, backend = evidence.service, evidence.backend
    if service is None or service.active not in ("inactive", "failed", "not_found"):
        return None
    exits = [h.reason for h in evidence.happenings if h.what == "exit"]
    start: tuple[str, ...] = (commands.start(backend),)
    if service.active == "not_found":
        ended, start = f"does not run: {backend.unit} does not exist any more", ()
    elif service.active == "failed":
        ended = f"ended ({last_end(evidence)}) and is not started again"
    elif exits and exits[-1] == "clean_exit":
        ended = "ended by itself, without an error, and is not started again"
    else:
        ended = "is stopped"
    return Verdict(
        "service_stopped",
        0.9,
        backend.unit,
        f"{backend.name} {ended}.",
        evidence.since,
        facts(evidence),
        (*start, *logs(evidence)),
    )
