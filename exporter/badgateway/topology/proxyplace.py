"""Proxies: where one is found, and what it turned out to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from badgateway.topology.routes import Route, SameRequests, WrittenLog


@dataclass(frozen=True, slots=True)
class ProxyPlace:
    """Where a proxy is found.

    Attributes:
        name: the ``proxy`` label.
        kind: ``caddy`` or ``nginx``.
        unit: its systemd unit, or empty.
        admin: Caddy's admin API, ``http://host:port`` or ``unix:/path``; empty for none, None for
            what its configuration says.
        config: its configuration file, or None.
        prefix: the folder that relative paths of its configuration begin at; empty for that file's.
        binary: the program, for its adapter; empty for none.
    """

    name: str
    kind: str = "caddy"
    unit: str = ""
    admin: str | None = None
    config: str | None = None
    prefix: str = ""
    binary: str = ""


@dataclass(frozen=True, slots=True)
class ProxyFound:
    """What a proxy serves.

    Attributes:
        loaded: routes in memory; None when the proxy did not tell.
        on_disk: routes of the file; None when they could not be read.
        admin: the address at which an admin API told; empty when none did.
        logs: the logs it writes; None when nothing tells.
        problems: source name (``caddy-admin``, ``nginx-config`` …) → why; empty when it is fine.
        together: which of the logs hold the same requests.
    """

    loaded: tuple[Route, ...] | None = None
    on_disk: tuple[Route, ...] | None = None
    admin: str = ""
    logs: tuple[WrittenLog, ...] | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    together: tuple[SameRequests, ...] = ()

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that hold: those in memory, else those on disk."""
        return self.loaded if self.loaded is not None else self.on_disk or ()
