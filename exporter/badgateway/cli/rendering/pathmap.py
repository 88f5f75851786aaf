"""The path map of a host as plain data: what ``badgateway discover`` found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from badgateway.cli.hostlook import Host, is_application
from badgateway.topology.backends import Backend
from badgateway.topology.destinations import Sight, destination
from badgateway.topology.discovery import Findings
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route


class Upstream(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address that a site is led to.

    Attributes:
        address: as the proxy's configuration has it.
        state: a key of ``vocabulary.DESTINATIONS``.
        owner: the unit or container that listens there; empty if not known.
        application: whose address it is; empty where that is not known.
        place: file and line that say so; empty where nothing tells.
        backup: whether it is used only while others fail.
    """

    address: str
    state: str
    owner: str = ""
    application: str = ""
    place: str = ""
    backup: bool = False


class Site(msgspec.Struct, frozen=True):
    """A site of a proxy: host name, the address it is served at, and where it leads."""

    site: str
    listen: str
    tls: bool
    upstreams: tuple[Upstream, ...]


class FoundProxy(msgspec.Struct, frozen=True):
    """A proxy.

    Attributes:
        name: its name.
        kind: ``caddy`` or ``nginx``.
        unit: its systemd unit; empty for none.
        container: its container; empty for none.
        config: its configuration file; empty where that is not known.
        admin: Caddy's admin API; empty for none.
        running: whether a process of it is seen; None where that cannot be told.
        sites: what it serves.
        answers_itself: sites that it answers by itself with an error, with the status.
    """

    name: str
    kind: str
    unit: str
    container: str
    config: str
    admin: str
    running: bool | None
    sites: tuple[Site, ...]
    answers_itself: Mapping[str, int]


class Application(msgspec.Struct, frozen=True):
    """An application.

    Attributes:
        name: the ``backend`` label.
        manager: ``systemd``, ``docker``, ``process``; empty where nothing of it is seen here but
            its name in the configuration.
        unit: its unit or container; empty for none.
        server: the program that serves it, ``unknown`` if that is not known.
        entry: what that loads, as ``pkg.mod:attr``; empty if not known.
        workers: how many it is told to run.
        listens: addresses it listens at.
        upstreams: addresses at which proxies reach it.
        project: folder of its declarations; None if not known.
        virtualenv: its virtualenv; None if not known.
        led_to: whether a proxy leads to it.
    """

    name: str
    manager: str
    unit: str
    server: str
    entry: str
    workers: int
    listens: tuple[str, ...]
    upstreams: tuple[str, ...]
    project: str | None
    virtualenv: str | None
    led_to: bool


class Discovered(msgspec.Struct, frozen=True):
    """Everything.

    Attributes:
        proxies: in the order of their names.
        applications: likewise; without what only an address is known of.
        elsewhere: addresses that proxies lead to and that nothing here is known of; without
            those at which nothing answers, as far as can be seen.
        problems: source → why it cannot be read.
    """

    proxies: tuple[FoundProxy, ...]
    applications: tuple[Application, ...]
    elsewhere: tuple[str, ...]
    problems: Mapping[str, str]


def discovered(host: Host, sight: Sight) -> Discovered:
    """Return what was found as plain data.

    Args:
        host: one look at it.
        sight: where the proxies' routes lead.
    """
    findings = host.findings
    known = findings.paths.backends
    return Discovered(
        tuple(_proxy(place, findings, known, sight) for place in findings.places),
        tuple(_application(backend) for backend in known if is_application(backend)),
        tuple(b.name for b in known if not is_application(b) and _may_answer(b, sight)),
        {name: status.problem for name, status in host.statuses.items() if status.problem},
    )


def _proxy(
    place: ProxyPlace, findings: Findings, known: Iterable[Backend], sight: Sight
) -> FoundProxy:
    found = findings.answers.get(place.name, ProxyFound())
    sites: dict[tuple[str, str, bool], dict[str, Upstream]] = {}
    for route in found.routes:
        key = (route.site, route.listen, route.tls)
        sites.setdefault(key, {}).setdefault(route.upstream, _upstream(route, place, known, sight))
    return FoundProxy(
        place.name, place.kind, place.unit, place.container, place.config or "",
        found.admin or place.admin or "", _runs(place, found),
        tuple(Site(*key, tuple(upstreams.values())) for key, upstreams in sites.items()),
        {answer.site: answer.status for answer in found.local},
    )  # fmt: skip


def _runs(place: ProxyPlace, found: ProxyFound) -> bool | None:
    if place.pid or found.loaded is not None:
        return True
    return False if place.unit or place.container else None


def _upstream(route: Route, place: ProxyPlace, known: Iterable[Backend], sight: Sight) -> Upstream:
    if place.is_apart:  # its addresses and names mean something else
        own = next((b for b in known if is_application(b) and b.listens_at(route.upstream)), None)
        name, unit = (own.name, own.unit) if own is not None else ("", "")
        return Upstream(route.upstream, "unknown", unit, name, route.place, route.backup)
    applications = tuple(filter(is_application, known))
    seen = destination(route, sight, applications)
    return Upstream(route.upstream, seen.state, seen.owner, seen.backend, route.place, route.backup)


def _may_answer(backend: Backend, sight: Sight) -> bool:
    return any(not destination(path.route, sight).is_broken for path in backend.paths)


def _application(backend: Backend) -> Application:
    launch = backend.launch
    return Application(
        backend.name, backend.manager, backend.unit, backend.server,
        launch.entry if launch is not None else "", backend.workers, backend.listens,
        backend.addresses if backend.paths else (), backend.project, backend.virtualenv,
        bool(backend.paths),
    )  # fmt: skip
