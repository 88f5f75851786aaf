"""Risks of a proxy's next reload, and of what it holds on to until then."""

from __future__ import annotations

from badgateway.diagnosis import commands, directions
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound
from badgateway.diagnosis.words import clock, site_of
from badgateway.topology.ways import Way
from badgateway.vocabulary import DESTINATIONS


def next_reload_misroutes(evidence: Evidence) -> RiskFound | None:
    """After a reload a proxy would send its sites to a wrong place."""
    coming = [way for way in evidence.ways.coming if not _refuses(way)]
    if not coming:
        return None
    way = coming[0]
    route, destination = way.route, way.destination
    other = destination.backend if not destination.is_broken else ""
    what = f"which is {other}" if other else DESTINATIONS[destination.state]
    own = [was.upstream for was in way.was] or list(evidence.backend.addresses)
    written = [
        f"{w.route.upstream} is written at {w.route.place}." for w in coming if w.route.place
    ]
    instead = f" (now {', '.join(own)})" if own else ""
    return RiskFound(
        "next_reload_misroutes",
        route.upstream,
        f"After the next reload {way.proxy} sends {site_of(way)} to {route.upstream}{instead}: "
        f"{what}.",
        (*written, *_since(evidence, way)),
        (
            f"do not reload {way.proxy}; correct {directions.written_at(evidence, way)}",
            f"badgateway check {way.proxy}",
        ),
        _pending_since(evidence, way),
    )


def next_reload_fails(evidence: Evidence) -> RiskFound | None:
    """A proxy would refuse its configuration at the next reload, and not start with it."""
    for name, state in sorted(evidence.proxies.items()):
        tested = state.tested
        if tested is not None and tested.valid is False:
            return RiskFound(
                "next_reload_fails",
                name,
                f"{name} would refuse its configuration, and not start again: {tested.message}",
                (f"Said by {name}'s own test.",),
                (f"correct {tested.place or 'its configuration'}", f"badgateway check {name}"),
                state.pending_since,
            )
    for way in evidence.ways.coming:
        if _refuses(way):
            name = way.route.upstream.rpartition(":")[0]
            return RiskFound(
                "next_reload_fails",
                name,
                f"{way.proxy} would refuse its configuration, and not start again: {name} leads "
                "nowhere, and it looks names up when it loads them.",
                (f"It is written at {way.route.place}.",) if way.route.place else (),
                (f"getent hosts {name}", f"correct {directions.written_at(evidence, way)}"),
                _pending_since(evidence, way),
            )
    return None


def name_pinned(evidence: Evidence) -> RiskFound | None:
    """A proxy goes on using the address that a name led to when it was loaded."""
    for way in evidence.ways.loaded:
        if way.moved:
            name = way.route.upstream.rpartition(":")[0]
            since = way.moved_since
            return RiskFound(
                "name_pinned",
                name,
                f"{way.proxy} still sends {site_of(way)} to "
                f"{', '.join(way.destination.addresses)}, which {name} led to when it was loaded; "
                f"now it leads to {', '.join(way.moved)}.",
                (f"It has led there since {clock(since)}.",) if since else (),
                commands.reload(evidence.proxies.get(way.proxy)),
                since,
            )
    return None


def _refuses(way: Way) -> bool:
    """Whether the proxy would not load it: it looks such a name up when it loads it."""
    return way.destination.state == "name_unresolved" and not way.route.dynamic


def _since(evidence: Evidence, way: Way) -> tuple[str, ...]:
    at = _pending_since(evidence, way)
    return (f"Its files say so since {clock(at)}; it is not loaded yet.",) if at else ()


def _pending_since(evidence: Evidence, way: Way) -> float:
    state = evidence.proxies.get(way.proxy)
    return state.pending_since if state is not None else 0.0
