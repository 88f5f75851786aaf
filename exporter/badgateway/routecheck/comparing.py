"""Two environments' proxy configurations side by side: do they lead the same sites alike. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from badgateway import vocabulary
from badgateway.packages.findings import Finding
from badgateway.routecheck.reading import ProxyFile
from badgateway.topology.routes import Route

_SEVERITY: Final = vocabulary.ROUTE_SEVERITY["routes_differ"]
_SHOWN: Final = 6


def compare(file: ProxyFile, other: ProxyFile, names: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return where two configurations do not lead the same sites alike.

    Hosts differ between environments by nature: sites are compared, and of their upstreams the
    ports and the names of sockets, the protocols, and how many there are.

    Args:
        file: the one that is checked.
        other: the one it is compared with.
        names: host name in ``file`` → the name that it has in ``other``.
    """
    ours = _by_site(file.routes, names)
    theirs = _by_site(other.routes, {})
    found = []
    for site in dict.fromkeys((*ours, *theirs)):
        mine, yours = ours.get(site, ()), theirs.get(site, ())
        if not mine or not yours:
            routes, there, missing = (
                (mine, file.path, other.path) if mine else (yours, other.path, file.path)
            )
            found.append(
                _finding(
                    site, routes,
                    f"Only {there} leads {_called(site)} anywhere: {_shown(routes)}; "
                    f"{missing} does not.",
                )
            )  # fmt: skip
            continue
        found += _of_site(site, mine, yours, file.path, other.path)
    return tuple(found)


def _by_site(routes: Iterable[Route], names: Mapping[str, str]) -> dict[str, tuple[Route, ...]]:
    found: dict[str, tuple[Route, ...]] = {}
    for route in routes:
        site = _renamed(route.site, names)
        found[site] = (*found.get(site, ()), route)
    return found


def _renamed(site: str, names: Mapping[str, str]) -> str:
    """A site's name on the other side: its own rename, else that of the domain it is below."""
    if site in names:
        return names[site]
    below = [name for name in names if site.endswith(f".{name}")]
    if not below:
        return site
    domain = max(below, key=len)
    return site.removesuffix(domain) + names[domain]


def _of_site(
    site: str, mine: tuple[Route, ...], yours: tuple[Route, ...], here: str, there: str
) -> Iterator[Finding]:
    one, other = _spoken(mine), _spoken(yours)
    if one != other:
        yield _finding(
            site, mine,
            f"{_called(site)}: {here} speaks {' and '.join(one)} to its upstreams, {there} speaks "
            f"{' and '.join(other)}.",
        )  # fmt: skip
    if any(_is_open(route) for route in (*mine, *yours)):
        return  # what only the proxy fills in may be anything
    ports, others = _ends(mine), _ends(yours)
    if set(ports) != set(others):
        yield _finding(
            site, _apart(mine, others) or mine,
            f"{_called(site)} is led to {_shown(mine)} by {here}, and to {_shown(yours)} by "
            f"{there}.",
        )  # fmt: skip
    elif ports.total() != others.total():
        yield _finding(
            site, mine,
            f"{_called(site)} has {ports.total()} upstreams in {here} and {others.total()} in "
            f"{there}.",
        )  # fmt: skip


def _finding(site: str, routes: Iterable[Route], message: str) -> Finding:
    place = next((route.place for route in routes if route.place), "")
    message = message[0].upper() + message[1:] if site == "*" else message
    return Finding("routes_differ", _SEVERITY, site, message, where=place)


def _called(site: str) -> str:
    return "every other site" if site == "*" else site


def _spoken(routes: Iterable[Route]) -> tuple[str, ...]:
    return tuple(
        sorted({f"{r.protocol} over TLS" if r.upstream_tls else r.protocol for r in routes})
    )


def _is_open(route: Route) -> bool:
    return "{" in route.upstream or "$" in route.upstream


def _end(route: Route) -> str:
    """What of an address is the same in every environment: its port, its socket's name."""
    if route.upstream.startswith("unix:"):
        return "unix:" + route.upstream.rpartition("/")[2]
    return route.upstream.rpartition(":")[2]


def _ends(routes: Iterable[Route]) -> Counter[str]:
    return Counter(_end(route) for route in {(r.upstream, r.group): r for r in routes}.values())


def _apart(routes: Iterable[Route], ends: Iterable[str]) -> tuple[Route, ...]:
    known = set(ends)
    return tuple(route for route in routes if _end(route) not in known)


def _shown(routes: Iterable[Route]) -> str:
    known = list(dict.fromkeys(route.upstream for route in routes))
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more
