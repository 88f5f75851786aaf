"""Ways in sentences: where they lead, since when, who feels it, and how they are set right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from badgateway.collectors.probes import State, Target
from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import RECENT_SECONDS, Evidence
from badgateway.diagnosis.words import clock, site_of
from badgateway.events import UpstreamFailure
from badgateway.topology.backends import is_local, serves
from badgateway.topology.routes import Route
from badgateway.topology.ways import Way

_BRIEF_SECONDS: Final = 120.0
_PORTS: Final = {"http": 80, "https": 443}


def outside(evidence: Evidence) -> tuple[State, ...]:
    """Return the failing probes that go through a proxy."""
    return tuple(p for p in evidence.failing_probes if p.target.vantage != "origin")


def broken(evidence: Evidence) -> tuple[Way, ...]:
    """Return the ways on which a request fails; one that does not run sends none."""
    dead = {name for name, state in evidence.proxies.items() if state.running is False}
    return tuple(way for way in evidence.ways.broken if way.proxy not in dead)


def felt(evidence: Evidence, ways: Iterable[Way]) -> tuple[Way, ...]:
    """Return those of some ways that a failing probe may have taken.

    One that is asked for by no probe may be what a probe took that asks for none of the others.
    """
    failing = outside(evidence)
    known = [way.route for way in evidence.ways.loaded]
    strange = any(not any(asks(p.target, route) for route in known) for p in failing)
    found = []
    for way in ways:
        asked = [p for p in evidence.probes if asks(p.target, way.route)]
        if any(p.failing for p in asked) or (not asked and strange):
            found.append(way)
    return tuple(found)


def asks(target: Target, route: Route) -> bool:
    """Tell whether a probe asks, or may ask, a proxy for the site of a route."""
    if target.vantage == "origin":
        return False
    url = urlsplit(target.url)
    if target.vantage == "proxy":
        port = route.listen.rpartition(":")[2]
        if str(url.port or _PORTS.get(url.scheme, 0)) != port:
            return False
        if target.host is None and route.site.startswith("*"):
            return True  # what is implied for it
    if any(header.name.lower() == "host" for header in target.headers):
        return True  # which one is not looked at: headers may be secrets
    host = (target.host or "").partition(":")[0] or url.hostname
    return host is not None and serves(route.site, host)


def may_take(target: Target, route: Route) -> bool:
    """Tell whether a probe may have been led by a route without asking for its site.

    One that asks this host's own address, by no name, gets whatever site its proxy has for that.
    """
    url = urlsplit(target.url)
    port = str(url.port or _PORTS.get(url.scheme, 0))
    is_unnamed = target.vantage == "edge" and is_local(url.hostname or "?")
    return asks(target, route) or (is_unnamed and route.listen.rpartition(":")[2] == port)


def latest(evidence: Evidence, *reasons: str) -> list[UpstreamFailure]:
    """Return the failed attempts of some reasons; none where others have followed."""
    oldest = max(evidence.now - RECENT_SECONDS, evidence.since - 1)
    recent = [failure for failure in evidence.failures if failure.at > oldest]
    told = [failure for failure in recent if failure.reason in reasons]
    return told if told and max(f.at for f in recent) <= told[-1].at else []


def nobody(way: Way) -> str:
    """Return what is at the end of a broken way, as a clause."""
    return {
        "invalid": ", which is no address",
        "other_family": ", where nothing listens: only the other address family is served",
    }.get(way.destination.state, ", where nothing listens")


def changed(evidence: Evidence, way: Way) -> tuple[str, ...]:
    """Return since when a proxy has a way loaded, and where it led before."""
    state = evidence.proxies.get(way.proxy)
    found = state.found if state is not None else None
    written = f" ({way.route.place})" if way.route.place else ""
    said = []
    if found is not None and found.loaded_at:
        said.append(f"{way.proxy} has it loaded since {clock(found.loaded_at)}{written}.")
    elif written:
        said.append(f"It is written at {way.route.place}.")
    if way.before == way.route.upstream:
        said.append(f"It was right until {evidence.backend.name} moved away from there.")
    elif way.before:
        said.append(f"Before that {site_of(way)} was led to {way.before}.")
    return tuple(said)


def received(evidence: Evidence) -> tuple[str, ...]:
    """Return what the application itself tells of requests."""
    backend, by = evidence.backend, evidence.requests_seen_by
    name = backend.name
    if backend.launch is None and not backend.manager and not evidence.answered:
        return ()  # an address at which nobody is
    if not by:
        return (f"Whether {name} receives requests cannot be seen: it logs none.",)
    if not evidence.last_request:
        since = clock(evidence.requests_watched_since)
        return (f"{name} has received no request since {since} at least, by {by}.",)
    age = evidence.now - evidence.last_request
    if age < _BRIEF_SECONDS and not evidence.last_request < evidence.since:
        return (f"{name} received its last request {age:.0f} s ago, by {by}.",)
    return (f"{name} has received no request since {clock(evidence.last_request)}, by {by}.",)


def elsewhere(evidence: Evidence) -> tuple[str, ...]:
    """Return where the application listens, unless that is where it is reached."""
    own = [a for a in evidence.listens_at if a not in evidence.backend.addresses]
    return (f"{evidence.backend.name} listens at {', '.join(own)}.",) if own else ()


def unused(evidence: Evidence) -> tuple[str, ...]:
    """Return which applications listen and are led to by no proxy."""
    return tuple(f"{i.backend} listens at {i.address}, and no proxy leads there."
                 for i in evidence.idle)  # fmt: skip


def repair(evidence: Evidence, way: Way | None) -> tuple[str, ...]:
    """Return how a way is set right."""
    if way is None:
        return ()
    backend, upstream = evidence.backend.name, way.route.upstream
    own = [a for a in (*evidence.listens_at, *evidence.backend.addresses) if a != upstream]
    if not own and len(evidence.idle) == 1:
        backend, own = evidence.idle[0].backend, [evidence.idle[0].address]
    to = f" to {_dialled(own[0])}" if own else ""
    step = f"correct {written_at(evidence, way)}{to}"
    if way.before == upstream and own:
        step += f", or have {backend} listen at {upstream} again"
    return (
        step,
        f"badgateway check {way.proxy}",
        *commands.reload(evidence.proxies.get(way.proxy)),
        f"badgateway verify {backend}",
    )


def written_at(evidence: Evidence, way: Way) -> str:
    """Return where a way is written: file and line, or the file, as far as that is known."""
    state = evidence.proxies.get(way.proxy)
    config = state.place.config if state is not None and state.place is not None else None
    return way.route.place or config or f"the configuration of {way.proxy}"


def _dialled(address: str) -> str:
    """An address at which something listens, as a proxy is told it."""
    for wildcard, loopback in (("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")):  # noqa: S104
        if address.startswith(f"{wildcard}:"):
            return loopback + address.removeprefix(wildcard)
    return address
