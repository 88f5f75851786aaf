"""The rules: each looks at the evidence and concludes one cause, or nothing.

``RULES`` is the table; the first rule that concludes wins, so the more specific stand first. A rule
that is not sure concludes nothing: a wrong cause is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from badgateway.diagnosis import directions
from badgateway.diagnosis.deploys import deploying
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.loading import boot_failure, missing_dependency
from badgateway.diagnosis.proxies import proxy_answers_itself, proxy_down
from badgateway.diagnosis.routing import host_unreachable, name_unresolved, wrong_upstream
from badgateway.diagnosis.services import container_unhealthy, crash_loop, service_stopped
from badgateway.diagnosis.sockets import port_conflict, socket_missing, socket_permission
from badgateway.diagnosis.starting import bad_option
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import facts, logs, site_of
from badgateway.diagnosis.workers import (
    upstream_slow,
    worker_crash,
    worker_oom,
    worker_timeout,
)

Rule = Callable[[Evidence], Verdict | None]

RULES: Final[tuple[Rule, ...]] = (
    missing_dependency,
    bad_option,
    port_conflict,
    boot_failure,
    wrong_upstream,
    name_unresolved,
    proxy_down,
    proxy_answers_itself,
    crash_loop,
    # below what is known to have failed, above what a restart looks like while it lasts
    deploying,
    service_stopped,
    worker_timeout,
    worker_oom,
    worker_crash,
    socket_missing,
    socket_permission,
    host_unreachable,
    upstream_slow,
    container_unhealthy,
)


def diagnose(evidence: Evidence) -> Verdict:
    """Return the verdict on one backend."""
    if not evidence.failing:
        return Verdict("none", 1.0, summary=_healthy(evidence))
    for rule in RULES:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return _undetermined(evidence)


def standing(verdict: Verdict, before: Verdict | None, evidence: Evidence) -> Verdict:
    """Return the verdict that stands: the one before, until what changed since was asked.

    A probe that failed before its proxy took up another configuration tells nothing of that.
    """
    if verdict.cause != "undetermined" or before is None or before.cause == "none":
        return verdict
    found = [state.found for state in evidence.proxies.values() if state.found is not None]
    changed = max((each.loaded_at for each in found), default=0.0)
    failing = evidence.failing_probes
    asked_since = not failing or any(probe.last.at > changed for probe in failing)
    return verdict if asked_since else before


def _healthy(evidence: Evidence) -> str:
    name = evidence.backend.name
    if evidence.laid_to_rest and evidence.service is not None:
        return f"{name} does not run, and nobody asks for it."
    if evidence.is_standby:
        return f"{name} does not run, and others answer for it."
    outside = [probe for probe in evidence.probes if probe.target.vantage != "origin"]
    if evidence.answered or any(not probe.failing for probe in outside):
        return f"{name} answers."
    return f"Nothing is known to be wrong with {name}; it was not seen to answer."


def _undetermined(evidence: Evidence) -> Verdict:
    blind = [f"{name}: {problem}" for name, problem in evidence.sources.items() if problem]
    summary = f"{evidence.backend.name} fails; the evidence does not say why."
    steps = logs(evidence)
    broken = () if steps else directions.felt(evidence, directions.broken(evidence))
    if broken:
        way = broken[0]
        summary = (
            f"{way.proxy} sends {site_of(way)} to {way.route.upstream}{directions.nobody(way)}; "
            "whether that is wrong, or what should be there is down, cannot be told."
        )
        steps = (
            f"see {directions.written_at(evidence, way)} for what should listen there",
            f"badgateway check {way.proxy}",
        )
    told = (*facts(evidence), *directions.unused(evidence)) if broken else facts(evidence)
    return Verdict(
        "undetermined", 0.0, "", summary, evidence.since, (*told, *blind), steps,
    )  # fmt: skip
