"""What is said of each backend, as plain data: for the JSON answer, the page and the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from badgateway.collectors.probes import State, Target
from badgateway.diagnosis.evidence import RECENT_SECONDS, Evidence
from badgateway.diagnosis.verdict import RiskFound, Verdict
from badgateway.exporter import Exporter
from badgateway.redaction import redacted
from badgateway.topology.backends import same_address
from badgateway.vocabulary import DESTINATIONS


class Hop(msgspec.Struct, frozen=True):
    """One station of the path.

    Attributes:
        hop: ``edge``, ``proxy``, ``upstream``, ``service``, ``workers`` or ``packages``.
        name: what it is called there.
        state: ``ok``, ``failing``, ``warning`` or ``unknown``.
        text: what was seen, one sentence.
    """

    hop: str
    name: str
    state: str
    text: str


class Conclusion(msgspec.Struct, frozen=True):
    """A cause or a risk; see ``diagnosis.verdict`` for the fields."""

    name: str
    confidence: float | None
    subject: str
    summary: str
    since: float
    evidence: tuple[str, ...]
    next_steps: tuple[str, ...]


class Announced(msgspec.Struct, frozen=True):
    """A deploy announced: when, until when (seconds since the epoch), and by which user."""

    at: float
    until: float
    by: str


class BackendAnswer(msgspec.Struct, frozen=True):
    """Everything said of one backend."""

    backend: str
    state: str
    hops: tuple[Hop, ...]
    diagnosis: Conclusion
    risks: tuple[Conclusion, ...]
    announced: Announced | None = None


class Answer(msgspec.Struct, frozen=True):
    """Everything said of one host; ``format`` changes when fields change their meaning."""

    format: int
    at: float
    backends: tuple[BackendAnswer, ...]
    sources: dict[str, str]


def answer(exporter: Exporter, at: float) -> Answer:
    """Return what the exporter knows at ``at``."""
    backends = tuple(
        _backend(evidence, exporter.conclusions.verdicts[name], exporter.conclusions.risks[name])
        for name, evidence in sorted(exporter.conclusions.evidence.items())
        if name in exporter.conclusions.verdicts
    )
    sources = {
        name: status.problem or ("" if status.up else "not tried yet")
        for name, status in sorted(exporter.statuses().items())
    }
    return Answer(1, at, backends, sources)


_LISTENING: Final = {
    True: ("ok", "something listens"),
    False: ("failing", "nothing listens"),
    None: ("unknown", "not on this host, as far as its address tells"),
}


def _backend(evidence: Evidence, verdict: Verdict, risks: tuple[RiskFound, ...]) -> BackendAnswer:
    hops = _hops(evidence)
    known = any(hop.state in ("ok", "failing") for hop in hops)
    if verdict.cause != "none":
        state = "failing"
    elif not known or any(probe.failing for probe in evidence.silent_probes):
        state = "unknown"  # nothing has shown that what failed is over
    else:
        state = "warning" if risks else "ok"
    return BackendAnswer(
        evidence.backend.name,
        state,
        hops,
        Conclusion(
            verdict.cause, verdict.confidence, verdict.subject, verdict.summary, verdict.since,
            verdict.evidence, verdict.next_steps,
        ),
        tuple(
            Conclusion(r.risk, None, r.subject, r.summary, r.since, r.evidence, r.next_steps)
            for r in risks
        ),
        _announced(evidence),
    )  # fmt: skip


def _announced(evidence: Evidence) -> Announced | None:
    found = evidence.announced
    return None if found is None else Announced(found.at, found.until, found.by)


def _hops(evidence: Evidence) -> tuple[Hop, ...]:
    hops = []
    probes = (*evidence.probes, *evidence.silent_probes)
    for vantage in ("edge", "proxy"):
        for probe in probes:
            if probe.target.vantage == vantage:
                hops.append(Hop(vantage, _asked(probe.target), *_probe(probe)))
    backend = evidence.backend
    seen = {way.route.upstream: way.destination for way in evidence.ways.loaded}
    for upstream in backend.upstreams:
        state, text = _LISTENING[evidence.listening]
        if upstream not in backend.addresses and upstream in seen:
            state, text = "failing", DESTINATIONS[seen[upstream].state]
        elif evidence.stranger:
            text = f"something else listens there: {evidence.stranger}"
        elif evidence.listening and evidence.listener == backend.unit != "":
            text = f"{backend.unit} listens"
        hops.append(Hop("upstream", upstream, state, text + _failed(evidence, upstream)))
    for probe in probes:
        if probe.target.vantage == "origin":
            hops.append(Hop("origin", _asked(probe.target), *_probe(probe)))
    service = evidence.service
    if service is not None:
        name = backend.unit or backend.server
        running = service.active == "active"
        state = "ok" if running else "unknown" if service.active == "unknown" else "failing"
        text = f"{service.active}{f' ({service.sub})' if service.sub else ''}"
        text += f", {len(evidence.recent_starts)} automatic restarts in 15 min"
        hops.append(Hop("service", name, state, text))
    hops += _workers(evidence)
    report = evidence.next_start
    if report is not None:
        state = {"ok": "ok", "will_fail": "warning", "may_fail": "warning"}.get(
            report.verdict, "unknown"
        )
        worst = report.findings[0].severity if report.findings else ""
        grave = [f.message for f in report.findings if f.severity == worst in ("fatal", "high")]
        words = f"next start: {report.verdict.replace('_', ' ')}"
        text = "; ".join([words, *(grave[:3] or ([report.problem] if report.problem else []))])
        hops.append(Hop("packages", report.virtualenv or report.project, state, text))
    return tuple(hops)


def _workers(evidence: Evidence) -> list[Hop]:
    """The server's workers, where they can be seen, or something was told of them."""
    backend, alive = evidence.backend, evidence.workers_alive
    oldest = evidence.now - RECENT_SECONDS
    ended = Counter(end.reason for end in evidence.worker_ends if end.at > oldest)
    if alive is None and not ended:
        return []
    words = [] if alive is None else [f"{alive} of {backend.workers} alive"]
    if ended:
        by_reason = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in ended.items())
        words.append(f"ended in 15 min: {by_reason}")
    if evidence.orphans:
        words.append(f"{evidence.orphans} live on without their server")
    state = "ok"
    if evidence.felt_ends or alive == 0:
        state = "failing"
    elif (alive is not None and alive < backend.workers) or evidence.orphans:
        state = "warning"
    return [Hop("workers", backend.server, state, "; ".join(words))]


def _asked(target: Target) -> str:
    """What a probe asks: its URL, and what the URL does not say."""
    if target.socket:
        return f"unix:{target.socket}"
    url = redacted(target.url)
    return f"{url} for {target.host}" if target.host else url


def _failed(evidence: Evidence, upstream: str) -> str:
    """What the proxies' logs say of attempts at an address; empty when they say of none.

    An attempt at an address that is no upstream, as where a name led, may be at each.
    """
    oldest, known = evidence.now - RECENT_SECONDS, evidence.backend.upstreams
    failed = Counter(
        failure.reason
        for failure in evidence.failures
        if failure.at > oldest
        and (
            same_address(failure.upstream or upstream, upstream)
            or not any(same_address(failure.upstream or "", other) for other in known)
        )
    )
    if not failed:
        return ""
    by_reason = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in failed.most_common(3))
    return f"; attempts that failed in 15 min: {by_reason}"


def _probe(probe: State) -> tuple[str, str]:
    if not probe.asked:
        before = f"; before that it failed {probe.failures} times in a row" if probe.failing else ""
        return "unknown", f"not asked: {probe.silent}{before}"
    if probe.failing:
        what = probe.last.status or probe.last.reason.replace("_", " ")
        return "failing", f"{what}, {probe.failures} in a row"
    return "ok", f"answers {probe.last.status} in {probe.last.durations.get('total', 0):.3f} s"
