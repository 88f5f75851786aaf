"""Rules about the proxy itself: it does not run, or it answers without asking the application."""

from __future__ import annotations

from typing import Final

from badgateway.collectors.probes import State
from badgateway.diagnosis import commands, directions
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import facts
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.routes import LocalAnswer, Route

_UNHEARD: Final = ("connect_refused", "connect_failed", "reset")


def proxy_down(evidence: Evidence) -> Verdict | None:
    """The proxy does not run, or does not listen."""
    outside = directions.outside(evidence)
    if not outside or any(p.last.reason not in _UNHEARD for p in outside):
        return None
    for name, state in sorted(evidence.proxies.items()):
        deaf = evidence.proxies_deaf.get(name, ())
        if state.running is not False and not deaf:
            continue
        what = "does not run" if state.running is False else f"does not listen at {deaf[0]}"
        said, steps = _refused(name, state)
        holder = [f"{owner} listens at {address}." for address, owner in evidence.holders.items()]
        well, own = "", tuple[str, ...]()
        if evidence.answered:
            well = f" {evidence.backend.name} itself answers."
        elif evidence.service_down:
            well = f" {evidence.backend.name} does not run either."
            own = (commands.start(evidence.backend),)
        return Verdict(
            "proxy_down",
            0.95 if state.running is False else 0.8,
            name,
            f"{name}, which leads to {evidence.backend.name}, {what}.{well}",
            evidence.since,
            (*said, *holder, *facts(evidence)),
            (*steps, *commands.show_proxy(state), *own),
        )
    return None


def proxy_answers_itself(evidence: Evidence) -> Verdict | None:
    """The proxy was told to answer with the error; the application was not asked."""
    outside = directions.outside(evidence)
    if not outside or not evidence.answered:
        return None
    for probe in outside:
        for name, state in sorted(evidence.proxies.items()):
            for local in state.found.local if state.found is not None else ():
                if local.status == probe.last.status and _is_of(local, probe):
                    return _told(evidence, name, local)
    answered = [a for a in evidence.own_answers if a.at >= evidence.since - 1]
    status = outside[0].last.status
    if not answered or status < 500:
        return None
    name = next(iter(sorted(evidence.proxies)), "the proxy")
    why = f"as its log says ({answered[-1].detail})"
    return _own_answer(evidence, name, status, why, 0.8)


def _told(evidence: Evidence, name: str, local: LocalAnswer) -> Verdict:
    """A proxy whose configuration has it answer so."""
    why = f"told to at {local.place}" if local.place else "by its configuration"
    see = f"see {local.place}" if local.place else ""
    if not local.conditional:
        return _own_answer(evidence, name, local.status, why, 0.9, see)
    why += ", under a condition that seems to hold now"
    return _own_answer(evidence, name, local.status, why, 0.8, see)


def _own_answer(
    evidence: Evidence, name: str, status: int, why: str, confidence: float, see: str = ""
) -> Verdict:
    return Verdict(
        "proxy_answers_itself",
        confidence,
        name,
        f"{name} answers {status} by itself, {why}; {evidence.backend.name} is not asked, and "
        "answers.",
        evidence.since,
        facts(evidence),
        (see or f"see what {name} is told to answer for this site", f"badgateway check {name}"),
    )


def _refused(name: str, state: ProxyState) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What keeps a proxy from starting, as its own test says."""
    tested = state.tested
    if tested is None or tested.valid is not False:
        return (), ()
    return (f"It would refuse its configuration: {tested.message}",), (
        f"correct {tested.place or 'its configuration'}",
        f"badgateway check {name}",
    )


def _is_of(local: LocalAnswer, probe: State) -> bool:
    """Whether an answer is given for the site that a probe asks for."""
    return directions.asks(probe.target, Route(local.site, local.listen, ""))
