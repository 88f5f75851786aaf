"""Risks: what is only waiting to happen at the next restart, reload or peak."""

from __future__ import annotations

from badgateway.diagnosis.capacity import memory_near_limit, restart_policy_gives_up
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.ladders import timeout_ladder
from badgateway.diagnosis.reloads import name_pinned, next_reload_fails, next_reload_misroutes
from badgateway.diagnosis.verdict import RiskFound


def find(evidence: Evidence) -> tuple[RiskFound, ...]:
    """Return the risks of one backend."""
    found = (
        next_start_fails(evidence),
        next_reload_fails(evidence),
        next_reload_misroutes(evidence),
        name_pinned(evidence),
        timeout_ladder(evidence),
        memory_near_limit(evidence),
        restart_policy_gives_up(evidence),
    )
    return tuple(risk for risk in found if risk is not None)


def next_start_fails(evidence: Evidence) -> RiskFound | None:
    """The next start will fail, as far as the disk tells."""
    report = evidence.next_start
    if report is None or report.verdict != "will_fail":
        return None
    fatal = [finding for finding in report.findings if finding.severity == "fatal"]
    first = fatal[0]
    more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
    return RiskFound(
        "next_start_fails",
        first.subject,
        f"{evidence.backend.name} will not start again: {first.message}{more}",
        tuple(finding.message for finding in fatal[:10]),
        tuple(dict.fromkeys(finding.fix for finding in fatal if finding.fix)),
        evidence.drift_since,
    )


def restart_hazards(evidence: Evidence) -> tuple[str, ...]:
    """What starts the application anew, of ``vocabulary.RESTART_TRIGGERS``.

    A recycled worker that does not preload loads the application from disk again.
    """
    launch = evidence.backend.launch
    triggers = ["restart"]
    if launch is not None and launch.max_requests and not launch.preload:
        triggers.append("worker_recycle")
    return tuple(triggers)
