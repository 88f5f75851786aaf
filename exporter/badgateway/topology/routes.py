"""What a proxy's configuration says, whichever proxy it is: routes to upstreams, and logs."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    site: str
    listen: str
    upstream: str
    tls: bool = False
    upstream_tls: bool = False
    group: str = ""
    protocol: str = "http"
    timeouts: tuple[tuple[str, float], ...] = ()


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
