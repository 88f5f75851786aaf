"""Rules about a proxy that sends requests to a wrong place, while the application is well."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis import directions
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, site_of
from badgateway.topology.ways import Way

_WRONG: Final = ("not_listening", "other_family", "invalid")
_DNS: Final = "dns_failure"
_AWAY: Final = ("connect_unreachable", "connect_timeout")


def wrong_upstream(evidence: Evidence) -> Verdict | None:
    """A proxy sends its requests to an address that is not the application's."""
    if not directions.outside(evidence):
        return None
    ways = evidence.ways
    broken = [
        w
        for w in directions.felt(evidence, directions.broken(evidence))
        if w.destination.state in _WRONG
    ]
    astray = [way for way in broken if _is_other(evidence, way)]
    if astray:
        confidence = 0.9 if evidence.answered else 0.75
        return _misled(evidence, astray[0], directions.nobody(astray[0]), confidence)
    given = directions.felt(evidence, ways.given_away)
    taken = [w for w in given if w.destination.state in ("listening", "remote")]
    if evidence.answered and taken and not ways.broken:
        way = taken[0]
        other = way.destination.backend or way.destination.owner
        whom = f", which is {other}" if other and other != way.route.upstream else ""
        return _misled(evidence, way, whom, 0.85)
    failing = directions.outside(evidence)
    lost = {
        way.route.upstream: way
        for way in evidence.lost
        if way.destination.state in _WRONG
        and any(directions.may_take(probe.target, way.route) for probe in failing)
    }
    if evidence.answered and len(lost) == 1 and not ways.loaded:
        # nothing remembers where this site led before: of all that leads nowhere it is the only one
        (way,) = lost.values()
        return _misled(evidence, way, directions.nobody(way), 0.7)
    if len(evidence.idle) == 1 and evidence.service is None and broken and not evidence.ready:
        return _misled(evidence, broken[0], directions.nobody(broken[0]), 0.6)
    return None


def name_unresolved(evidence: Evidence) -> Verdict | None:
    """The name that a proxy sends requests to leads nowhere."""
    if not evidence.failing_probes:
        return None
    ways = [w for w in directions.broken(evidence) if w.destination.state == "name_unresolved"]
    told = directions.latest(evidence, _DNS)
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
        (
            *said,
            *since,
            *directions.received(evidence),
            *directions.elsewhere(evidence),
            *facts(evidence),
        ),
        (f"getent hosts {name}", *directions.repair(evidence, way)),
    )


def host_unreachable(evidence: Evidence) -> Verdict | None:
    """The host that a proxy sends requests to cannot be reached."""
    if not evidence.failing_probes:
        return None
    away = [way for way in evidence.ways.loaded if way.destination.state == "remote"]
    probes = [p for p in evidence.failing_probes
              if p.target.vantage == "origin" and p.last.reason in _AWAY]  # fmt: skip
    told = directions.latest(evidence, *_AWAY)
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
    if not evidence.answered and evidence.listens_at:
        healthy = f" {backend.name} listens at {evidence.listens_at[0]}."
    elif not (where or evidence.service or evidence.answered):
        healthy = "".join(f" {text}" for text in directions.unused(evidence))
    return Verdict(
        "wrong_upstream",
        confidence,
        upstream,
        f"{way.proxy} sends {site_of(way)} to {upstream}{what}.{healthy}",
        evidence.since,
        (
            *directions.changed(evidence, way), *directions.received(evidence),
            *directions.elsewhere(evidence), *facts(evidence),
        ),
        directions.repair(evidence, way),
    )  # fmt: skip


def _is_other(evidence: Evidence, way: Way) -> bool:
    """Whether a way leads to another address than the application's own."""
    astray = any(p.astray and p.route == way.route for p in evidence.backend.paths)
    elsewhere = bool(evidence.listens_at) and not evidence.service_down
    return astray or way.destination.state == "other_family" or elsewhere
