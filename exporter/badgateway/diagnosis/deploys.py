"""The rule about a backend that is being deployed or restarted, and not up yet.

While that lasts its clients may get 502, and nothing is wrong. It is bounded: an announcement
ends, a start has ``START_SECONDS``, a stop ``STOP_SECONDS`` to be followed by a start, and
``DISK_SECONDS`` where what it runs is being changed on disk. ``TRIES`` starts in one failure are
no deploy but an attempt at a cure.
"""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, logs, span

START_SECONDS: Final = 30.0
"""How long an application may load after it was started, before its silence is a failure."""
STOP_SECONDS: Final = 6.0
"""How long a service may be stopped on order before it counts as stopped."""
DISK_SECONDS: Final = 60.0
"""The same, since its code or packages last changed."""
TRIES: Final = 3
"""So many starts on order, within ``TRIES_SECONDS`` and without an answer between."""
TRIES_SECONDS: Final = 300.0
SETTLE_SECONDS: Final = 10.0
"""How long after an application answers again its proxy may still hold it for dead."""

_PROCESS_GAP_SECONDS: Final = 30.0
_SKEW_SECONDS: Final = 2.0


def deploying(evidence: Evidence) -> Verdict | None:
    """It was announced, or somebody has just stopped or started it."""
    name = evidence.backend.name
    announced = evidence.announced
    if announced is not None:
        by = f" by {announced.by}" if announced.by else ""
        return _verdict(
            evidence,
            0.9,
            f"{name} is being deployed and does not answer yet: announced{by} at "
            f"{clock(announced.at)}, until {clock(announced.until)}.",
        )
    if _tries(evidence) >= TRIES:
        return None
    what = being_stopped(evidence) or being_started(evidence)
    return _verdict(evidence, 0.6, f"{name} {what}.") if what else None


def being_started(evidence: Evidence) -> str:
    """Say that it was just started and is still loading; empty when it was not."""
    service, now = evidence.service, evidence.now
    if service is None or service.down or service.active == "deactivating":
        return ""
    started = evidence.ordered_start or (0.0 if evidence.backend.unit else service.started)
    pause = evidence.backend.container.pauses if evidence.backend.container else 0.0
    if not started or not 0 <= now - started <= START_SECONDS + pause:
        return ""
    if not evidence.backend.unit and _failing_since(evidence) < started - _PROCESS_GAP_SECONDS:
        return ""  # nobody says who starts it: it may be a loop
    answering = [
        max(probe.since, started)  # a probe may have missed that it was away
        for probe in evidence.probes
        if probe.target.vantage == "origin" and not probe.failing and probe.last.at > started
    ]
    if answering and now - min(answering) > SETTLE_SECONDS:
        return ""
    if len([end for end in evidence.worker_ends if end.at > started]) > 1:
        return ""
    why = f": its container waits {span(pause)} before it starts the server" if pause else ""
    return f"was started {now - started:.0f} s ago and is still starting{why}"


def being_stopped(evidence: Evidence) -> str:
    """Say that it was just stopped on order, as before a start; empty when it was not."""
    service, now = evidence.service, evidence.now
    if service is None or not evidence.backend.unit:
        return ""
    if service.active == "deactivating":
        told = _within(now - service.changed, START_SECONDS)
        return "is being stopped" if told else ""
    if service.active not in ("inactive", "failed") or not _stopped_on_order(evidence):
        return ""
    age = now - max(service.exited, service.changed)
    changing = now - evidence.disk_changed <= DISK_SECONDS
    if not _within(age, DISK_SECONDS if changing else STOP_SECONDS):
        return ""
    why = " while its code or packages change" if changing else ""
    return f"was stopped {max(age, 0):.0f} s ago{why}"


def _within(age: float, seconds: float) -> bool:
    """Whether something is so old at most; what is of the future, since the clock was set back, is
    of unknown age.
    """
    return -_SKEW_SECONDS <= age <= seconds


def _stopped_on_order(evidence: Evidence) -> bool:
    """Whether its last end was ordered; before that is counted, whether it looks like it."""
    service = evidence.service
    assert service is not None
    ends = [happening for happening in evidence.happenings if happening.what == "exit"]
    if ends and ends[-1].at > service.exited - 1:
        return ends[-1].reason == "manual"
    return service.active == "inactive" and service.result in ("success", "")


def _tries(evidence: Evidence) -> int:
    """Count how often somebody has started it since what fails now last succeeded."""
    succeeded = [probe.succeeded for probe in evidence.failing_probes]
    oldest = max([evidence.now - TRIES_SECONDS, *(succeeded or [evidence.now])])
    return sum(
        happening.what == "start" and not happening.automatic and happening.at > oldest
        for happening in evidence.happenings
    )


def _failing_since(evidence: Evidence) -> float:
    begun = [probe.since for probe in evidence.failing_probes]
    return min(begun) if begun else evidence.now


def _verdict(evidence: Evidence, confidence: float, summary: str) -> Verdict:
    backend = evidence.backend
    return Verdict(
        "deploying",
        confidence,
        backend.unit,
        summary,
        evidence.since,
        facts(evidence),
        (f"badgateway verify {backend.name}", *logs(evidence)),
    )
