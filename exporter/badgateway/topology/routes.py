"""What a proxy's configuration says, whichever proxy it is: routes to upstreams, and logs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Route:
    """A site of a proxy and one address it sends requests to.

    Attributes:
        site: the host name served, or ``*`` when every host is.
        listen: ``host:port`` at which the proxy takes requests for it; host may be empty.
        upstream: ``host:port`` or ``unix:/path``; with placeholders left as they are.
        tls: whether clients speak TLS there.
        upstream_tls: whether the proxy speaks TLS to the upstream.
        group: name of the group of upstreams it is a member of; empty for none.
        protocol: what is spoken to the upstream: ``http``, ``fastcgi``, ``uwsgi``, ``scgi`` or
            ``grpc``.
        timeouts: seconds the proxy waits for the upstream, (setting of
            ``vocabulary.TIMEOUT_SETTINGS``, seconds) pairs; empty where nothing tells.
        backup: whether it is used only while the others of its group fail.
        dynamic: whether a name in it is looked up again while the proxy runs; else it is pinned to
            what it led to when the configuration was loaded.
        resolvers: the name servers that the proxy itself asks for a name in it, ``host`` or
            ``host:port``; empty for those of its host.
        place: file and line where it is written, ``/etc/nginx/nginx.conf:12``; empty where nothing
            tells. Two routes that differ in nothing else are the same.
    """

    site: str
    listen: str
    upstream: str
    tls: bool = False
    upstream_tls: bool = False
    group: str = ""
    protocol: str = "http"
    timeouts: tuple[tuple[str, float], ...] = ()
    backup: bool = False
    dynamic: bool = False
    resolvers: tuple[str, ...] = ()
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """A site, or a part of it, that a proxy answers by itself with an error.

    Attributes:
        site: as of ``Route``.
        listen: as of ``Route``.
        status: the status it answers with, 500 to 599.
        conditional: whether it does so only at times, as while a maintenance file exists.
        place: as of ``Route``.
    """

    site: str
    listen: str
    status: int
    conditional: bool = False
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """A log a proxy writes.

    Attributes:
        path: the file, ``*`` standing for what differs between files of one kind; empty for
            standard error.
        dialect: the dialect that reads it.
        errors: whether failed attempts at upstreams are written there.
        access: whether answered requests are.
        log_format: nginx' template of its lines, empty where the dialect knows them.
        escape: how that template's values are escaped.
        site: the only site whose requests are written there; None for several.
    """

    path: str
    dialect: str
    errors: bool
    access: bool
    log_format: str = ""
    escape: str = "default"
    site: str | None = None


@dataclass(frozen=True, slots=True)
class SameRequests:
    """Access logs named at one place of a configuration.

    Attributes:
        paths: files that each hold every request there.
        partial: files that hold some of them, by a condition.
    """

    paths: tuple[str, ...]
    partial: tuple[str, ...] = ()


def joined(host: str, port: str | int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def is_name(host: str) -> bool:
    """Tell whether a host is a name that a resolver is asked for.

    Args:
        host: of an address, without its port; one with placeholders, a path and ``localhost`` are
            no such names.
    """
    if host in ("", "localhost") or any(sign in host for sign in "{$/:"):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
