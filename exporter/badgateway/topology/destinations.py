"""Where a route leads, as far as can be seen: the one judgement of an upstream's address.

Pure: a route and what is known of the host come in, a ``Destination`` goes out. The same judgement
holds for what a proxy has loaded, for what its next reload would load, and for a file in CI.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from badgateway.topology.backends import Backend, is_local
from badgateway.topology.routes import Route, is_name, joined

_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_LONGEST: Final = 253
_LONGEST_SOCKET: Final = 107
"""Bytes that ``sun_path`` of ``sockaddr_un`` holds, without its end."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name leads to.

    Attributes:
        addresses: IP addresses, sorted; none when it leads nowhere or that is not known.
        known: whether a resolver answered: it may have said that there is no such name.
        since: since when that is so, seconds since the epoch.
    """

    addresses: tuple[str, ...] = ()
    known: bool = False
    since: float = 0.0

    @property
    def is_nothing(self) -> bool:
        """Whether the name is known to lead nowhere."""
        return self.known and not self.addresses


class Sight(Protocol):
    """What can be seen of the host that a proxy runs on."""

    def listens(self, address: str) -> bool | None:
        """Tell whether something listens at ``host:port`` or ``unix:/path``; None for unknown."""

    def owner(self, address: str) -> str:
        """Return the unit or container that listens there; empty where nobody can tell."""

    def resolved(self, name: str) -> Resolved:
        """Return what a name leads to."""

    def socket(self, path: str) -> str:
        """Return ``missing``, ``denied`` (to the proxy) or an empty string for a unix socket."""

    def is_here(self, address: str) -> bool:
        """Tell whether an IP address is one of this host's own, or of its containers."""

    def asks(self, servers: Collection[str]) -> bool:
        """Tell whether names come from these name servers (as of ``Route.resolvers``) here too."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a route leads.

    Attributes:
        route: the route.
        state: a key of ``vocabulary.DESTINATIONS``.
        owner: the unit or container that listens there; empty if not known.
        addresses: what its name leads to now; empty for one without a name.
        backend: the application that the address belongs to; empty if none is known.
        since: since when its name leads there, seconds since the epoch; 0 for not known.
    """

    route: Route
    state: str
    owner: str = ""
    addresses: tuple[str, ...] = ()
    backend: str = ""
    since: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether a request sent there fails, as far as can be seen."""
        return self.state not in ("listening", "remote", "unknown")


def destination(route: Route, sight: Sight, applications: Iterable[Backend] = ()) -> Destination:
    """Return where a route leads.

    Args:
        route: the route; its upstream may have placeholders, which only the proxy can fill.
        sight: what can be seen.
        applications: those known, to tell whose the address is.
    """
    applications, upstream = tuple(applications), route.upstream
    own = next((b.name for b in applications if b.listens_at(upstream)), "")
    if "{" in upstream or "$" in upstream:
        return Destination(route, "unknown", backend=own)
    if problem(upstream):
        return Destination(route, "invalid", backend=own)
    if upstream.startswith("unix:"):
        return Destination(route, *_of_socket(upstream, sight), backend=own)
    host, _, port = upstream.rpartition(":")
    host = host.strip("[]")
    if is_name(host):
        return _of_name(route, host, port, sight, applications, own)
    if not is_local(host) and not sight.is_here(host):
        return Destination(route, "remote", backend=own)
    listens = sight.listens(upstream)
    if listens is None:
        return Destination(route, "unknown", backend=own)
    if listens:
        return Destination(route, "listening", sight.owner(upstream), backend=own)
    other = _other_family(host, port)
    if other and sight.listens(other):
        return Destination(route, "other_family", sight.owner(other), backend=own)
    return Destination(route, "not_listening", backend=own)


def _of_name(
    route: Route, host: str, port: str, sight: Sight, applications: Iterable[Backend], own: str
) -> Destination:
    found = sight.resolved(host)
    # another name server may know it, or know it otherwise
    shared = sight.asks(route.resolvers)
    if found.is_nothing:
        state = "name_unresolved" if shared else "unknown"
        return Destination(route, state, backend=own, since=found.since)
    reached = {joined(address, port) for address in found.addresses}
    known = (b.name for b in applications if any(b.listens_at(a) for a in reached))
    own = next(known, own)
    places = [a for a in found.addresses if sight.is_here(a)]
    if not found.addresses or len(places) < len(found.addresses):
        state = "remote" if found.addresses else "unknown"
        return Destination(route, state, "", found.addresses, own, found.since)
    heard = [sight.listens(joined(address, port)) for address in places]
    if any(heard):
        owner = sight.owner(joined(places[heard.index(True)], port))
        return Destination(route, "listening", owner, found.addresses, own, found.since)
    state = "unknown" if None in heard or not shared else "not_listening"
    return Destination(route, state, "", found.addresses, own, found.since)


def problem(upstream: str) -> str:
    """Return what is wrong with the syntax of an upstream's address; empty when nothing is.

    Args:
        upstream: ``host:port``, ``[address]:port`` or ``unix:/path``, without placeholders.
    """
    if upstream.startswith("unix:"):
        path = upstream.removeprefix("unix:")
        if not path:
            return "no path"
        return "the path is too long" if len(path.encode()) > _LONGEST_SOCKET else ""
    host, colon, port = upstream.rpartition(":")
    if not colon or not host:
        return "no port" if not colon else "no host"
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        return f"`{port[:40]}` is no port"
    plain = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        numbers = plain.replace(".", "").isdigit()
        if numbers or len(plain) > _LONGEST or not _HOST.fullmatch(plain):
            return f"`{host[:60]}` is neither an address nor a name"
    return ""


def name_of(upstream: str) -> str:
    """Return the name that an upstream's address has, to be asked of a resolver; empty for none."""
    host = upstream.rpartition(":")[0].strip("[]")
    if not host or upstream.startswith("unix:") or "{" in upstream or "$" in upstream:
        return ""
    return host if is_name(host) and not problem(upstream) else ""


def _of_socket(upstream: str, sight: Sight) -> tuple[str, str]:
    trouble = sight.socket(upstream.removeprefix("unix:"))
    if trouble:
        return ("socket_missing" if trouble == "missing" else "socket_permission"), ""
    listens = sight.listens(upstream)
    if listens is None:
        return "unknown", ""
    return ("listening", sight.owner(upstream)) if listens else ("not_listening", "")


def _other_family(host: str, port: str) -> str:
    """The loopback address of the other family; empty where there is none."""
    if host == "localhost":
        return ""  # both are tried
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if not address.is_loopback:
        return ""
    return f"[::1]:{port}" if address.version == 4 else f"127.0.0.1:{port}"
