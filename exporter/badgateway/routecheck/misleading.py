"""Sites that a configuration would lead to the application of another site. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from badgateway import vocabulary
from badgateway.packages.findings import Finding
from badgateway.topology.backends import Backend
from badgateway.topology.destinations import Sight
from badgateway.topology.routes import Route

_KIND: Final = "upstream_other_application"
_SHOWN: Final = 3


def misled(
    routes: Collection[Route],
    today: Collection[Route] | None,
    applications: Iterable[Backend],
    sight: Sight | None,
) -> Iterator[Finding]:
    """Yield the sites that would be led to another application, and no site to their own.

    An application that serves no other site may be the successor of the one that is left, and one
    that nothing listens for any more is not missed.

    Args:
        routes: where the configuration leads.
        today: where the proxy leads now; None where that is not known.
        applications: those known.
        sight: what can be seen of the host; None for nothing.
    """
    if today is None or sight is None:
        return
    known = tuple(applications)
    owners = {route: _owner(route.upstream, known, sight) for route in (*today, *routes)}
    now = _by_site(today, owners)
    then = _by_site(routes, owners)
    led = {name for names in then.values() for name in names}
    for site, names in then.items():
        for lost in sorted(now.get(site, set()) - names - led - {""}):
            for route in (r for r in routes if r.site == site):
                other = owners[route]
                others = sorted(s for s, found in now.items() if other in found and s != site)
                if not other or other in now[site] or not others:
                    continue
                meant = next(r.upstream for r in today if r.site == site and owners[r] == lost)
                yield Finding(
                    _KIND, vocabulary.ROUTE_SEVERITY[_KIND], route.upstream,
                    f"{site} leads to {lost} today and would be led to {other}, which serves "
                    f"{', '.join(others[:_SHOWN])}; nothing would lead to {lost}.",
                    f"write {meant} instead of {route.upstream}", where=route.place,
                )  # fmt: skip
                break


def _by_site(routes: Iterable[Route], owners: dict[Route, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in routes:
        found.setdefault(route.site, set()).add(owners[route])
    return found


def _owner(upstream: str, applications: Iterable[Backend], sight: Sight) -> str:
    """Whose an address is: an application, a unit or container, or whatever listens there."""
    if not sight.listens(upstream):
        return ""
    known = next((b.name for b in applications if b.listens_at(upstream)), "")
    return known or sight.owner(upstream) or upstream
