"""What is plain to see, in sentences: the facts a verdict shows and the commands it advises."""

from __future__ import annotations

import time

from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import Evidence
from badgateway.events import BootFailure
from badgateway.topology.ways import Way


def last_end(evidence: Evidence) -> str:
    """Return how the service last ended, in words."""
    ends = [h.reason for h in evidence.happenings if h.what == "exit" and h.reason != "start_limit"]
    result = evidence.service.result if evidence.service else ""
    return (ends[-1] if ends else result or "unknown").replace("_", " ").replace("-", " ")


def told(failure: BootFailure) -> str:
    """Return what a server said when it did not load."""
    who = f"{failure.server} {failure.role}"
    who += f" {failure.pid}" if failure.pid else ""
    return f"{clock(failure.at)} {who} said: {failure.exception}: {failure.message}"


def facts(evidence: Evidence) -> tuple[str, ...]:
    """What is plain to see, in the order of the path."""
    facts = []
    for probe in evidence.probes:
        if probe.failing:
            answer = probe.last.status or probe.last.reason
            outcome = f"failed {probe.failures} times since {clock(probe.since)}: {answer}"
        else:
            outcome = f"answers {probe.last.status}"
        host = f" of {probe.target.host}" if probe.target.host else ""
        facts.append(f"Probe {probe.target.name} ({probe.target.vantage}){host} {outcome}.")
    if evidence.listening is not None and evidence.backend.addresses:
        who = "Something" if evidence.listening else "Nothing"
        if evidence.listening and evidence.listener == evidence.backend.unit:
            who = evidence.listener or who
        if evidence.stranger:
            who = f"Something else ({evidence.stranger})"
        facts.append(f"{who} listens at {', '.join(evidence.backend.addresses)}.")
    service = evidence.service
    if service is not None:
        name = evidence.backend.unit or "The process"
        state = f"{service.active} ({service.sub})" if service.sub else service.active
        facts.append(f"{name} is {state}.")
        silent = evidence.listening is False and not evidence.listens_at
        if silent and service.active == "active" and service.started:
            age = evidence.now - service.started
            facts.append(f"It was started {age:.0f} s ago and does not listen.")
        if service.exited and service.down:
            facts.append(
                f"Its main process ended at {clock(service.exited)} with status "
                f"{service.exit_status}."
            )
    if evidence.recent_starts:
        facts.append(f"Restarted {len(evidence.recent_starts)} times in the last 15 minutes.")
    facts += _container(evidence)
    ends = [e for e in evidence.worker_ends if e.at > evidence.now - 120]
    if ends:
        reasons = ", ".join(dict.fromkeys(e.reason.replace("_", " ") for e in ends))
        facts.append(f"{several(len(ends), 'worker')} ended in the last 2 minutes: {reasons}.")
    if evidence.orphans:
        facts.append(f"Living on without their server: {several(evidence.orphans, 'worker')}.")
    recent = [f for f in evidence.failures if f.at > evidence.now - 120]
    if recent:
        what = f"{several(len(recent), 'attempt')} of the proxy"
        reason = recent[-1].reason.replace("_", " ")
        facts.append(f"{what} failed in the last 2 minutes, the last one: {reason}.")
    return tuple(facts)


def _container(evidence: Evidence) -> list[str]:
    """What is to be known of how its container starts and stops it."""
    container = evidence.backend.container
    if container is None:
        return []
    found = [f"Its container's health check says {container.health}."] if container.health else []
    if container.shell_first:
        found.append(
            "The container's first process is a shell, which hands no signal on: to stop it "
            "takes until Docker kills it, and cuts requests off."
        )
    if container.pauses:
        found.append(
            f"It waits {span(container.pauses)} before it starts the server: for so long after "
            "each start nothing answers."
        )
    return found


def site_of(way: Way | None) -> str:
    """Return a way's site as sentences call it."""
    if way is None or way.route.site == "*":
        return "every host"
    return way.route.site


def several(number: int, thing: str) -> str:
    """Return a number of things: ``1 worker``, ``2 workers``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def span(seconds: float) -> str:
    """Return a time as settings write it: ``30 s``, ``1.5 s``."""
    return f"{seconds:g} s"


def logs(evidence: Evidence) -> tuple[str, ...]:
    """Return the commands that show a unit's log and state."""
    return commands.show(evidence.backend)


def clock(at: float) -> str:
    """Return a moment as this host writes it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
