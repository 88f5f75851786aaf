"""Rules about a proxy that sends requests to a wrong place, while the application is well."""

from __future__ import annotations

from typing import Final

from badgateway.collectors.probes import State
from badgateway.diagnosis.evidence import RECENT_SECONDS, Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, site_of
from badgateway.events import UpstreamFailure
from badgateway.topology.ways import Way

_WRONG: Final = ("not_listening", "other_family", "invalid")
_DNS: Final = "dns_failure"
_AWAY: Final = ("connect_unreachable", "connect_timeout")
_BRIEF_SECONDS: Final = 120.0


def wrong_upstream(evidence: Evidence) -> Verdict | None:
    """A proxy sends its requests to an address that is not the application's."""
    if not _outside(evidence):
        return None
    ways = evidence.ways
    astray = [
        way for way in ways.broken if way.destination.state in _WRONG and _is_other(evidence, way)
    ]
    if astray:
        return _misled(evidence, astray[0], _nobody(astray[0]), 0.9 if evidence.answered else 0.75)
    taken = [w for w in ways.given_away if w.destination.state in ("listening", "remote")]
    if evidence.answered and taken and not ways.broken:
        way = taken[0]
        other = way.destination.backend or way.destination.owner
        whom = f", which is {other}" if other and other != way.route.upstream else ""
        return _misled(evidence, way, whom, 0.85)
    lost = {way.route.upstream: way for way in evidence.lost if way.destination.state in _WRONG}
    if evidence.answered and len(lost) == 1 and not ways.loaded:
        # nothing remembers where this site led before: of all that leads nowhere it is the only one
        (way,) = lost.values()
        return _misled(evidence, way, _nobody(way), 0.7)
    if len(evidence.idle) == 1 and evidence.service is None and ways.broken:
        way = ways.broken[0]
        if way.destination.state in _WRONG:
            return _misled(evidence, way, _nobody(way), 0.6)
    return None


def name_unresolved(evidence: Evidence) -> Verdict | None:
    """The name that a proxy sends requests to leads nowhere."""
    if not _outside(evidence) and not evidence.failing_probes:
        return None
    ways = [way for way in evidence.ways.broken if way.destination.state == "name_unresolved"]
    told = [f for f in _recent(evidence) if f.reason == _DNS]
    if not ways and not told:
        return None
    way = next(iter(ways), None) or next(iter(evidence.ways.loaded), None)
    name = way.route.upstream.rpartition(":")[0] if way is not None else evidence.backend.name
    if "{" in name or "$" in name:
        name = (told[-1].upstream or "").rpartition(":")[0] or name.strip("{}")
    proxy = way.proxy if way is not None else "the proxy"
    said = [f"{clock(f.at)} {proxy} said: {f.detail}" for f in told[-1:] if f.detail]
    since = [
        f"It has led nowhere since {clock(way.destination.since)}."
        for way in ways[:1]
        if way.destination.since
    ]
    return Verdict(
        "name_unresolved",
        0.95 if ways and told else 0.85,
        name,
        f"{proxy} sends {site_of(way)} to {name}, and that name leads nowhere.",
        evidence.since,
        (*said, *since, *_received(evidence), *_elsewhere(evidence), *facts(evidence)),
        (f"getent hosts {name}", *_repair(evidence, way)),
    )


def host_unreachable(evidence: Evidence) -> Verdict | None:
    """The host that a proxy sends requests to cannot be reached."""
    if not evidence.failing_probes:
        return None
    away = [way for way in evidence.ways.loaded if way.destination.state == "remote"]
    probes = [p for p in evidence.failing_probes
              if p.target.vantage == "origin" and p.last.reason in _AWAY]  # fmt: skip
    told = [f for f in _recent(evidence) if f.reason in _AWAY]
    if not away or not (probes or told):
        return None
    upstream = away[0].route.upstream
    host = upstream.rpartition(":")[0].strip("[]")
    lost = any(p.last.reason == _AWAY[0] for p in probes) or any(f.reason == _AWAY[0] for f in told)
    why = "no route leads there" if lost else "it does not answer a connection"
    return Verdict(
        "host_unreachable",
        0.9 if probes and told else 0.75,
        host,
        f"{away[0].proxy} sends {site_of(away[0])} to {upstream} on another host, and {why}.",
        evidence.since,
        facts(evidence),
        (f"ip route get {host}", f"ping -c 3 {host}"),
    )


def _misled(evidence: Evidence, way: Way, what: str, confidence: float) -> Verdict:
    backend, upstream = evidence.backend, way.route.upstream
    where = [a for a in (*evidence.listens_at, *backend.addresses) if a != upstream]
    healthy = (
        f" {backend.name} itself answers at {where[0]}." if evidence.answered and where else ""
    )
    if not where and evidence.idle:
        healthy = f" {evidence.idle[0]}, and no proxy leads there."
    return Verdict(
        "wrong_upstream",
        confidence,
        upstream,
        f"{way.proxy} sends {site_of(way)} to {upstream}{what}.{healthy}",
        evidence.since,
        (
            *_changed(evidence, way), *_received(evidence), *_elsewhere(evidence),
            *facts(evidence),
        ),
        _repair(evidence, way),
    )  # fmt: skip


def _nobody(way: Way) -> str:
    return {
        "invalid": ", which is no address",
        "other_family": ", where nothing listens: only the other address family is served",
    }.get(way.destination.state, ", where nothing listens")


def _is_other(evidence: Evidence, way: Way) -> bool:
    """Whether a way leads to another address than the application's own."""
    astray = any(p.astray and p.route == way.route for p in evidence.backend.paths)
    elsewhere = bool(evidence.listens_at) and not evidence.service_down
    return astray or way.destination.state == "other_family" or elsewhere


def _outside(evidence: Evidence) -> tuple[State, ...]:
    """The failing probes that go through a proxy."""
    return tuple(p for p in evidence.failing_probes if p.target.vantage != "origin")


def _changed(evidence: Evidence, way: Way) -> tuple[str, ...]:
    """Since when a proxy has this loaded, and what it was before."""
    state = evidence.proxies.get(way.proxy)
    found = state.found if state is not None else None
    written = f" ({way.route.place})" if way.route.place else ""
    said = []
    if found is not None and found.loaded_at:
        said.append(f"{way.proxy} has it loaded since {clock(found.loaded_at)}{written}.")
    elif written:
        said.append(f"It is written at {way.route.place}.")
    before = [a for a in evidence.backend.addresses if a != way.route.upstream]
    if before:
        said.append(f"Before that {site_of(way)} was led to {', '.join(before)}.")
    return tuple(said)


def _received(evidence: Evidence) -> tuple[str, ...]:
    """What the application itself tells of requests."""
    name = evidence.backend.name
    if not evidence.requests_seen_by:
        return (f"Whether {name} receives requests cannot be seen: it logs none.",)
    by = evidence.requests_seen_by
    if not evidence.last_request:
        since = clock(evidence.requests_watched_since)
        return (f"{name} has received no request since {since} at least, by {by}.",)
    age = evidence.now - evidence.last_request
    if age < _BRIEF_SECONDS and not evidence.last_request < evidence.since:
        return (f"{name} received its last request {age:.0f} s ago, by {by}.",)
    return (f"{name} has received no request since {clock(evidence.last_request)}, by {by}.",)


def _elsewhere(evidence: Evidence) -> tuple[str, ...]:
    own = evidence.listens_at
    return (f"{evidence.backend.name} listens at {', '.join(own)}.",) if own else ()


def _repair(evidence: Evidence, way: Way | None) -> tuple[str, ...]:
    """How the way is set right."""
    if way is None:
        return ()
    where = way.route.place or f"the configuration of {way.proxy}"
    own = evidence.listens_at or tuple(
        a for a in evidence.backend.addresses if a != way.route.upstream
    )
    to = f" to {own[0]}" if own else ""
    return (
        f"correct {where}{to}",
        f"badgateway check {way.proxy}",
        f"systemctl reload {way.proxy}",
        f"badgateway verify {evidence.backend.name}",
    )


def _recent(evidence: Evidence) -> list[UpstreamFailure]:
    oldest = evidence.now - RECENT_SECONDS
    return [f for f in evidence.failures if f.at > max(oldest, evidence.since - 1)]
