"""Proxies: where one is found, and what it turned out to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from badgateway.topology.launch.unit_environment import UnitEnvironment
from badgateway.topology.routes import LocalAnswer, Route, SameRequests, WrittenLog


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
        pid: its first process, as this host numbers it; 0 when it does not run, or is not seen.
        container: the unit of its container (as ``Container.unit``); empty for none.
        root: where its files can be read, as ``Container.root``; empty for this host's own.
        is_apart: whether its network is not this host's: names and loopback addresses mean
            something else there.
        reached: where its ports are reached from this host, (port inside, ``host:port``) pairs.
        environment: where the variables of its unit come from.
    """

    name: str
    kind: str = "caddy"
    unit: str = ""
    admin: str | None = None
    config: str | None = None
    prefix: str = ""
    binary: str = ""
    pid: int = 0
    container: str = ""
    root: tuple[tuple[str, str], ...] = ()
    is_apart: bool = False
    reached: tuple[tuple[str, str], ...] = ()
    environment: UnitEnvironment = field(default_factory=UnitEnvironment)


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
        local: sites that the file has it answer by itself with an error.
        listens: addresses at which the file has it take requests, ``host:port`` or
            ``unix:/path``.
        digest: tells two contents of the files apart; empty where they cannot be read.
        changed: when the files last changed, seconds since the epoch; 0 where that is not known.
        loaded_at: when it last took up a configuration; 0 where that is not known.
        loaded_digest: the digest of what it then took up; empty where that is not known.
    """

    loaded: tuple[Route, ...] | None = None
    on_disk: tuple[Route, ...] | None = None
    admin: str = ""
    logs: tuple[WrittenLog, ...] | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    together: tuple[SameRequests, ...] = ()
    local: tuple[LocalAnswer, ...] = ()
    listens: tuple[str, ...] = ()
    digest: str = ""
    changed: float = 0.0
    loaded_at: float = 0.0
    loaded_digest: str = ""

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that hold: those in memory, else those on disk."""
        return self.loaded if self.loaded is not None else self.on_disk or ()
