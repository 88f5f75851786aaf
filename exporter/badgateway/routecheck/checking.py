"""One proxy's configuration file, judged: reading it, looking where it leads, concluding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from badgateway.blocking import Blocking
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.sight import HostSight
from badgateway.packages.findings import Finding
from badgateway.routecheck import comparing, judging, kinds, sight
from badgateway.routecheck.judging import Basis
from badgateway.routecheck.reading import ProxyFile
from badgateway.topology.backends import Backend
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.proxies.state import Tested
from badgateway.topology.routes import Route


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of a host matters for a proxy's configuration.

    Attributes:
        listeners: who listens.
        applications: those known.
        place: the proxy that the configuration is for; None where none fits.
        today: where it leads now; None where that is not known.
        is_own: whether the file lies where that proxy reads it.
        may_test: whether the proxy's own test may be run.
    """

    listeners: Listeners
    applications: tuple[Backend, ...] = ()
    place: ProxyPlace | None = None
    today: tuple[Route, ...] | None = None
    is_own: bool = False
    may_test: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants of a check.

    Attributes:
        expected: addresses that are expected to listen; None without such a list.
        against: the configuration to compare with; None for none.
        names: host name → its name in ``against``.
        resolve: whether names are looked up where the host is not looked at.
    """

    expected: tuple[str, ...] | None = None
    against: ProxyFile | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    resolve: bool = False


async def judged(
    file: ProxyFile, asked: Asked, host: Surroundings | None
) -> tuple[tuple[Finding, ...], str]:
    """Return what is wrong with a configuration, and by what that was judged.

    Args:
        file: the configuration.
        asked: what is wanted.
        host: the proxy's host; None to judge without it.
    """
    if host is None or (host.place is not None and host.place.is_apart):
        names = asked.resolve and host is None
        found = await sight.lookup(_upstreams(file)) if names else {}
        seen = HostSight(None, found) if names else None
        basis = Basis(seen, asked.expected)
        by = "by syntax and by what names lead to here" if names else "by syntax and names only"
    else:
        who = sight.identity(host.place)
        look = await sight.look(file.routes, host.listeners, who)
        name = host.place.name if host.place is not None else ""
        tested = await _tested(file, host)
        basis = Basis(look, asked.expected, host.applications, host.today, name, host.is_own,
            tested,
        )  # fmt: skip
        by = "against what listens on this host"
    if asked.expected is not None:
        by += f", and by {len(asked.expected)} expected addresses"
    findings = judging.judge(file, basis)
    if asked.against is not None:
        by += f", and against {asked.against.path}"
        findings += comparing.compare(file, asked.against, asked.names)
    return judging.ordered(findings), by


def verdict(findings: tuple[Finding, ...]) -> str:
    """Return whether the next reload goes well, a key of ``vocabulary.NEXT_START_VERDICTS``."""
    severities = {finding.severity for finding in findings}
    if "fatal" in severities:
        return "will_fail"
    return "may_fail" if "high" in severities else "ok"


async def _tested(file: ProxyFile, host: Surroundings) -> Tested | None:
    """What ``nginx -t`` says of a file; None where it is not asked."""
    place = host.place
    if file.kind != kinds.NGINX or not file.is_whole or file.templates:
        return None
    if place is None or not host.may_test:
        return None
    path = str(Path(file.path).resolve())
    return await proxytest.nginx(replace(place, config=path), Blocking("asking a proxy's program"))


def _upstreams(file: ProxyFile) -> set[str]:
    return {route.upstream for route in file.routes}
