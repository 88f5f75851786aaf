"""Rules about a service that does not stay up, or was stopped."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import facts, last_end, logs

_JUST_STARTED: Final = 60.0
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
    ends = [e for e in evidence.worker_ends if e.at > evidence.now - 120]
    waiting = service.sub == "auto-restart" and service.restarts > 0
    given_up = service.active == "failed" and (starts > 0 or service.restarts > 0)
    if starts < _LOOP_STARTS and not waiting and not given_up:
        if not (evidence.deaf and len(ends) >= 2 * _LOOP_STARTS):
            return None
    elif not evidence.service_down and evidence.answered:
        return None
    manner = f"restarted {starts} times in 15 min"
    if given_up:
        manner = f"{commands.manager(backend)} has given up starting it"
    elif starts < _LOOP_STARTS and not waiting:
        manner = f"{len(ends)} workers ended in the last 2 minutes"
    return Verdict(
        "crash_loop",
        0.8,
        backend.unit,
        f"{backend.name} does not stay up: {manner}, last end: {last_end(evidence)}.",
        evidence.since,
        facts(evidence),
        logs(evidence),
    )


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
