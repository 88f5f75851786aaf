"""Rules about the proxy itself: it does not run, or it answers without asking the application."""

from __future__ import annotations

from typing import Final

from badgateway.collectors.probes import State
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import facts
from badgateway.topology.proxystate import ProxyState
from badgateway.topology.routes import LocalAnswer

_UNHEARD: Final = ("connect_refused", "connect_failed", "reset")


def proxy_down(evidence: Evidence) -> Verdict | None:
    """The proxy does not run, or does not listen."""
    outside = _outside(evidence)
    if not outside or any(p.last.reason not in _UNHEARD for p in outside):
        return None
    for name, state in sorted(evidence.proxies.items()):
        deaf = evidence.proxies_deaf.get(name, ())
        if state.running is not False and not deaf:
            continue
        what = "does not run" if state.running is False else f"does not listen at {deaf[0]}"
        said, steps = _refused(name, state)
        holder = [f"{owner} listens at {address}." for address, owner in evidence.holders.items()]
        well = f" {evidence.backend.name} itself answers." if evidence.answered else ""
        return Verdict(
            "proxy_down",
            0.95 if state.running is False else 0.8,
            name,
            f"{name}, which leads to {evidence.backend.name}, {what}.{well}",
            evidence.since,
            (*said, *holder, *facts(evidence)),
            (*steps, f"systemctl status {name}", f"journalctl -u {name} -n 50 --no-pager"),
        )
    return None


def proxy_answers_itself(evidence: Evidence) -> Verdict | None:
    """The proxy was told to answer with the error; the application was not asked."""
    outside = _outside(evidence)
    if not outside or not evidence.answered:
        return None
    status = outside[0].last.status
    for name, state in sorted(evidence.proxies.items()):
        found = state.found
        for local in found.local if found is not None else ():
            if local.status == status and _is_of(local, outside[0], evidence):
                return _own_answer(evidence, name, status, f"told to at {local.place}"
                                   if local.place else "by its configuration", 0.9)  # fmt: skip
    told = [a for a in evidence.own_answers if a.at >= evidence.since - 1]
    if not told or status < 500:
        return None
    name = next(iter(sorted(evidence.proxies)), "the proxy")
    return _own_answer(evidence, name, status, f"as its log says ({told[-1].detail})", 0.8)


def _own_answer(evidence: Evidence, name: str, status: int, why: str, confidence: float) -> Verdict:
    return Verdict(
        "proxy_answers_itself",
        confidence,
        name,
        f"{name} answers {status} by itself, {why}; {evidence.backend.name} is not asked, and "
        "answers.",
        evidence.since,
        facts(evidence),
        (f"see what {name} is told to answer for this site", f"badgateway check {name}"),
    )


def _refused(name: str, state: ProxyState) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What keeps a proxy from starting, as its own test says."""
    tested = state.tested
    if tested is None or tested.valid is not False:
        return (), ()
    return (f"It would refuse its configuration: {tested.message}",), (
        f"correct {tested.place or 'its configuration'}, then systemctl start {name}",
    )


def _outside(evidence: Evidence) -> tuple[State, ...]:
    return tuple(p for p in evidence.failing_probes if p.target.vantage != "origin")


def _is_of(local: LocalAnswer, probe: State, evidence: Evidence) -> bool:
    """Whether an answer is given for the site that a probe asks for."""
    asked = probe.target.host
    if local.site == "*" or asked is None:
        return True
    return local.site == asked or any(way.route.site == local.site for way in evidence.ways.loaded)
