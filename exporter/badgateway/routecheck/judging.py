"""What is wrong with where a proxy's configuration leads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from badgateway import vocabulary
from badgateway.packages.findings import Finding
from badgateway.routecheck import expected as listing
from badgateway.routecheck.ladders import ladders
from badgateway.routecheck.misleading import misled
from badgateway.routecheck.reading import ProxyFile, Trouble
from badgateway.topology.backends import Backend, same_address
from badgateway.topology.destinations import Destination, Sight, destination, problem
from badgateway.topology.proxies.selftest import SYNTAX_IS_RIGHT
from badgateway.topology.proxies.state import Tested
from badgateway.topology.routes import Route

_KINDS: Final = {
    "invalid": "upstream_invalid",
    "not_listening": "upstream_not_listening",
    "other_family": "upstream_other_family",
    "name_unresolved": "name_unresolved",
    "socket_missing": "socket_missing",
    "socket_permission": "socket_permission",
}
"""A state of ``vocabulary.DESTINATIONS`` → the finding it is."""
_SITES: Final = 3
_OF_A_TEMPLATE: Final = (
    "A template ({kind}) that is not rendered yet: not judged, but for the addresses that are "
    "written out.",
    "check what it renders to",
)
_OF_VARIABLES: Final = (
    "Not judged: {kind} has no default, and no value here.",
    "set it for this check, or check what `caddy adapt` prints where it is set",
)
_OPEN: Final = re.compile(r"[{}<>$%`@#\s]|__\w+__")
"""What an address holds that only a template's rendering fills."""


@dataclass(frozen=True, slots=True)
class Basis:
    """By what a configuration is judged.

    Attributes:
        sight: what can be seen of the proxy's host; None to judge by syntax.
        expected: addresses that are expected to listen; None without such a list.
        applications: those known on the host.
        today: where the proxy leads now; None where that is not known.
        proxy: the proxy's name on the host; empty for none.
        is_own: whether the file lies where the proxy reads it: what it includes has to be there.
        tested: what the proxy's own test says; None where it was not asked.
    """

    sight: Sight | None = None
    expected: tuple[str, ...] | None = None
    applications: tuple[Backend, ...] = ()
    today: tuple[Route, ...] | None = None
    proxy: str = ""
    is_own: bool = False
    tested: Tested | None = None


@dataclass(slots=True)
class _Told:
    """Findings in the making: routes of the same address belong together."""

    routes: dict[tuple[str, str], list[Route]] = field(default_factory=dict)
    words: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)

    def add(self, kind: str, route: Route, severity: str, message: str, fix: str) -> None:
        key = (kind, route.upstream)
        known = self.words.get(key)
        if known is None or _rank(severity) > _rank(known[0]):
            self.words[key] = (severity, message, fix)
        self.routes.setdefault(key, []).append(route)


def judge(file: ProxyFile, basis: Basis) -> tuple[Finding, ...]:
    """Return what is wrong with a configuration, gravest first."""
    found = [*_about_the_file(file, basis)]
    told = _Told()
    routes = [r for r in file.routes if not (file.templates and _OPEN.search(r.upstream))]
    seen = {r: _seen(r, basis) for r in routes}
    for where in seen.values():
        _about_a_route(told, where, routes, seen, basis)
    found += [_finding(key, told, words) for key, words in told.words.items()]
    found += misled(routes, basis.today, basis.applications, basis.sight)
    found += ladders(file, basis.applications, basis.proxy)
    return ordered(found)


def ordered(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings gravest first, then by kind and place."""
    order = list(vocabulary.ROUTE_SEVERITY)
    return tuple(
        sorted(found, key=lambda f: (-_rank(f.severity), order.index(f.kind), f.where, f.subject))
    )


def severity(kind: str) -> str:
    """Return the usual severity of a kind."""
    return vocabulary.ROUTE_SEVERITY[kind]


def _rank(severity: str) -> int:
    return vocabulary.SEVERITIES.index(severity)


def _about_the_file(file: ProxyFile, basis: Basis) -> Iterator[Finding]:
    proxy = "nginx" if file.kind == "nginx" else "Caddy"
    for path, kind in file.templates:
        words, fix = _OF_VARIABLES if kind.startswith("{$") else _OF_A_TEMPLATE
        yield Finding(
            "proxy_config_template", severity("proxy_config_template"), path,
            words.format(kind=kind), fix, where=path,
        )  # fmt: skip
    if file.templates:
        return
    for trouble in _refused(file, basis.tested):
        yield Finding(
            "proxy_config_invalid", severity("proxy_config_invalid"), trouble.where,
            f"{proxy} would refuse this: {trouble.text}.", trouble.fix, where=trouble.where,
        )  # fmt: skip
    for trouble in file.unmatched if basis.sight is None else ():
        yield Finding(
            "proxy_config_unreadable", "info", trouble.where,
            f"{trouble.text[0].upper()}{trouble.text[1:]}: what it brings on the proxy's host is "
            "not judged.", where=trouble.where,
        )  # fmt: skip
    for trouble in file.unread:
        grade = severity("proxy_config_unreadable")
        if trouble.only_here and not basis.is_own:
            grade = "info"
        yield Finding(
            "proxy_config_unreadable", grade, trouble.where,
            f"This cannot be read: {trouble.text}. What it holds is not judged.",
            where=trouble.where,
        )  # fmt: skip


def _refused(file: ProxyFile, tested: Tested | None) -> tuple[Trouble, ...]:
    """What the proxy would refuse: its own word goes before what is known of its directives."""
    if tested is None:
        return file.refused
    if tested.valid is False:
        return (Trouble(tested.place or file.path, tested.message),)
    knows = tested.valid or tested.message.startswith(SYNTAX_IS_RIGHT)
    return () if knows else file.refused


def _seen(route: Route, basis: Basis) -> Destination:
    if basis.sight is not None:
        return destination(route, basis.sight, basis.applications)
    if "{" in route.upstream or "$" in route.upstream:
        return Destination(route, "unknown")
    return Destination(route, "invalid" if problem(route.upstream) else "unknown")


def _about_a_route(
    told: _Told,
    where: Destination,
    routes: Sequence[Route],
    seen: Mapping[Route, Destination],
    basis: Basis,
) -> None:
    route, upstream = where.route, where.route.upstream
    kind = _KINDS.get(where.state)
    if kind is not None:
        grade = _graded(kind, route, routes, seen)
        message, fix = _words(kind, where, basis)
        # a spare is meant to be elsewhere than what it stands in for
        told.add(kind, route, grade, message, "" if route.backup else fix)
        return
    is_open = "{" in upstream or "$" in upstream
    if basis.expected is None or is_open or listing.fits(upstream, basis.expected):
        return
    meant = listing.nearest(upstream, basis.expected)
    message = f"{upstream} is none of the addresses that are expected to listen"
    fix = f"write {meant} instead of {upstream}" if meant else "list it, if it is right"
    message += f"; did you mean {meant}?" if meant else "."
    grade = "info" if route.backup else severity("upstream_not_expected")
    told.add("upstream_not_expected", route, grade, message, fix)


def _graded(
    kind: str, route: Route, routes: Sequence[Route], seen: Mapping[Route, Destination]
) -> str:
    """How grave it is: less where the proxy has others to turn to."""
    grade = severity(kind)
    if kind == "upstream_invalid":
        return grade
    if kind == "name_unresolved":
        return "high" if route.dynamic else grade
    if route.backup:
        return "info"
    others = [r for r in routes if r.group == route.group and r.site == route.site and r != route]
    if route.group and any(seen[r].state in ("listening", "remote") for r in others):
        return "warn"
    return grade


def _words(kind: str, where: Destination, basis: Basis) -> tuple[str, str]:
    """What to say of an address, and what to do."""
    upstream = where.route.upstream
    host, _, port = upstream.rpartition(":")
    if kind == "upstream_invalid":
        return f"`{upstream[:80]}` is no address: {problem(upstream)}.", ""
    if kind == "name_unresolved":
        return f"The name {host} leads nowhere.", f"getent ahosts {host}"
    if kind == "upstream_other_family":
        other = f"[::1]:{port}" if host == "127.0.0.1" else f"127.0.0.1:{port}"
        owner = where.owner or "What listens at this port"
        return (
            f"Nothing listens at {upstream}: {owner} listens at {other} only.",
            f"write {other} instead of {upstream}",
        )
    if kind == "socket_missing":
        return f"The socket {upstream} does not exist.", _elsewhere(where, basis)
    if kind == "socket_permission":
        return (
            f"The proxy's user may not open the socket {upstream}.",
            f"namei -l {upstream.removeprefix('unix:')}",
        )
    return f"Nothing listens at {upstream}.", _elsewhere(where, basis)


def _elsewhere(where: Destination, basis: Basis) -> str:
    """Where the site's own application listens instead, if that can be told."""
    site = where.route.site
    own = {
        b.name: b.listens
        for b in basis.applications
        for r in basis.today or ()
        if r.site == site and b.listens and b.listens_at(r.upstream)
    }
    meant = [address for listens in own.values() for address in listens]
    if len(own) == 1 and not any(same_address(where.route.upstream, a) for a in meant):
        (name,) = own
        return f"write {meant[0]} instead of {where.route.upstream}: {name} listens there"
    if where.backend:
        return f"start {where.backend}, or lead the site to where it listens"
    known = [address for b in basis.applications for address in b.listens]
    near = listing.nearest(where.route.upstream, known)
    return f"{near} is listened at; did you mean that?" if near else ""


def _finding(key: tuple[str, str], told: _Told, words: tuple[str, str, str]) -> Finding:
    (kind, upstream), (grade, message, fix) = key, words
    routes = told.routes[key]
    place = next((r.place for r in routes if r.place), "")
    return Finding(kind, grade, upstream, f"{message}{_sites(routes)}", fix, where=place)


def _sites(routes: Iterable[Route]) -> str:
    sites = list(dict.fromkeys("every other site" if r.site == "*" else r.site for r in routes))
    more = f" and {len(sites) - _SITES} more" if len(sites) > _SITES else ""
    return f" It is where {', '.join(sites[:_SITES])}{more} would be sent."
