"""Backends and their hops: the path map.

Pure: what was found on the host and in the configuration comes in, ``PathMap`` goes out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from badgateway.topology.containers.container import Container as ContainerHop
from badgateway.topology.launch.command import Launch
from badgateway.topology.routes import Route

UNKNOWN: Final = "other"
WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  compared with, never bound


@dataclass(frozen=True, slots=True)
class ProxyPath:
    """How clients reach a backend through a proxy.

    Attributes:
        proxy: the proxy's name.
        route: the site and the address it leads to.
        astray: whether that address is nobody's, and it is the backend's by its site alone.
    """

    proxy: str
    route: Route
    astray: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    """An application and the hops of its path.

    Attributes:
        name: the ``backend`` label.
        manager: ``systemd``, ``docker`` or ``process``; empty when nothing of it was found on
            this host.
        unit: its systemd unit, or compose project and service (``shop/web``), or its container's
            name, or an empty string.
        launch: what its command line runs, where that is known.
        next_launch: what its next start would run, where that is another command line.
        container: its container, if it runs in one.
        listens: addresses it listens at, as its command line or experience says.
        aliases: further addresses by which a proxy may reach it, as in a container's network.
        paths: the proxies' routes to it.
        project: directory of its declarations.
        virtualenv: its virtualenv.
        extras: extras it is installed with.
    """

    name: str
    manager: str = ""
    unit: str = ""
    launch: Launch | None = None
    listens: tuple[str, ...] = ()
    paths: tuple[ProxyPath, ...] = ()
    project: str | None = None
    virtualenv: str | None = None
    extras: tuple[str, ...] = ()
    next_launch: Launch | None = None
    container: ContainerHop | None = None
    aliases: tuple[str, ...] = ()

    @property
    def server(self) -> str:
        """The application server, a key of ``vocabulary.SERVERS``."""
        return (self.launch.server if self.launch else None) or "unknown"

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Every address a proxy uses for it, else those it listens at."""
        return self._used(self.paths) or self.listens

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is reached in truth: without names, and what a proxy wrongly takes for it."""
        used = self._used(path for path in self.paths if not path.astray)
        own = tuple(u for u in used if any(same_address(listens, u) for listens in self.listens))
        return own or self.listens or used

    def _used(self, paths: Iterable[ProxyPath]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path.route.upstream for path in paths))

    def listens_at(self, address: str) -> bool:
        """Tell whether it can be reached at an address."""
        return any(same_address(own, address) for own in (*self.listens, *self.aliases))

    @property
    def workers(self) -> int:
        """How many workers its command line asks for."""
        return (self.launch.workers if self.launch else None) or 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where something that a proxy told belongs.

    Attributes:
        backend: a backend's name; ``UNKNOWN`` when it may be one of several.
        site: a site as the proxy's configuration writes it; ``UNKNOWN`` as above.
        upstream: an address or group as the proxy's configuration writes it; ``unknown`` when
            it may be one of several.
    """

    backend: str
    site: str
    upstream: str


@dataclass(frozen=True, slots=True)
class PathMap:
    """All backends, and which of them an address or a site belongs to."""

    backends: tuple[Backend, ...] = ()

    def by_name(self, name: str) -> Backend | None:
        """Return the backend of this name."""
        return next((backend for backend in self.backends if backend.name == name), None)

    def behind(self, proxy: str, site: str | None, upstream: str | None) -> Place | None:
        """Return where a proxy's event belongs.

        Args:
            proxy: the proxy's name.
            site: host name the client asked for; never used as a label unless it is configured.
            upstream: address or group, where the event names one.

        Returns:
            None when no route fits.
        """
        fitting = [
            (backend, path.route)
            for backend in self.backends
            for path in backend.paths
            if path.proxy == proxy and serves(path.route.site, site)
        ]
        exact = [item for item in fitting if item[1].site == site]
        candidates = exact or fitting
        if upstream is not None:
            named = [item for item in candidates if _is_meant(item[1], upstream)]
            if not named:
                named = [
                    (backend, path.route)
                    for backend in self.backends
                    for path in backend.paths
                    if path.proxy == proxy and _is_meant(path.route, upstream)
                ]
            # a name leads to addresses that are written nowhere
            candidates = named or [i for i in candidates if resolves(i[1].upstream, upstream)]
        if not candidates:
            return None
        groups = (r.group if r.group == upstream else r.upstream for _, r in candidates)
        return Place(
            _only(backend.name for backend, _ in candidates),
            _only(route.site for _, route in candidates),
            _only(groups, "unknown"),
        )


def _only(found: Iterable[str], otherwise: str = UNKNOWN) -> str:
    """What they all are; something else when they differ."""
    values = set(found)
    return values.pop() if len(values) == 1 else otherwise


def _is_meant(route: Route, upstream: str) -> bool:
    """Whether an event's upstream is a route's address, or the group it belongs to."""
    return route.group == upstream or same_address(route.upstream, upstream)


def serves(site: str, host: str | None) -> bool:
    """Tell whether a configured site answers for a host name (Caddy's host matcher)."""
    if site == "*" or host is None:
        return True
    if site.startswith("*."):
        return host.partition(".")[2] == site[2:]
    return site == host


def same_address(one: str, other: str) -> bool:
    """Tell whether two upstream addresses are the same; ``localhost`` is each loopback address."""
    if one == other:
        return True
    if one.startswith("unix:") or other.startswith("unix:"):
        return False
    host, _, port = one.rpartition(":")
    other_host, _, other_port = other.rpartition(":")
    return port == other_port and (
        host == other_host or (_wild(host) and is_local(other_host)) or (
            _wild(other_host) and is_local(host)
        )
    )  # fmt: skip


def resolves(configured: str, address: str) -> bool:
    """Tell whether an address may be what a configured name or placeholder stands for."""
    if "{" in configured:
        return True
    host, _, port = configured.rpartition(":")
    other_host, _, other_port = address.rpartition(":")
    return port == other_port and not _is_address(host) and _is_address(other_host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Tell whether a host is this one for sure: a loopback address or name."""
    host = host.strip("[]")
    if _wild(host):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wild(host: str) -> bool:
    return host in ("", "localhost", *WILDCARDS, "[::]")
