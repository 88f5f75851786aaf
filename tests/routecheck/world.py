"""A host as a test says it is, and configurations written for it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from badgateway.packages.findings import Finding
from badgateway.routecheck import kinds, reading
from badgateway.routecheck.judging import Basis, judge
from badgateway.routecheck.reading import ProxyFile
from badgateway.topology.destinations import Resolved
from badgateway.topology.proxies import sandbox
from tests.lab.require import require, unavailable


@dataclass(frozen=True)
class Host:
    """A ``Sight`` of a host that is made up: what is not named is not there."""

    listening: tuple[str, ...] = ()
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sockets: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    servers: frozenset[str] = frozenset(("127.0.0.53",))

    def listens(self, address: str) -> bool | None:
        return address in self.listening

    def owner(self, address: str) -> str:
        return self.owners.get(address, "")

    def resolved(self, name: str) -> Resolved:
        return Resolved(self.names.get(name, ()), known=True)

    def socket(self, path: str) -> str:
        return self.sockets.get(path, "")

    def is_here(self, address: str) -> bool:
        return address.startswith("127.") or address == "::1"

    def asks(self, servers: Collection[str]) -> bool:
        return set(servers) <= self.servers


def trusted_caddy() -> str:
    """Return a caddy that may be run; without one, as where root owns none, skip the test."""
    binary = str(require("caddy"))
    if problem := sandbox.trusted(binary):
        unavailable(problem)
    return binary


def nginx(folder: Path, text: str, name: str = "shop.conf") -> ProxyFile:
    """Return a configuration of nginx as it is read."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return asyncio.run(reading.read(path, kinds.NGINX))


def kinds_of(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    """Return (severity, kind, subject) of each."""
    return [(f.severity, f.kind, f.subject) for f in findings]


def judged(file: ProxyFile, basis: Basis | None = None) -> list[tuple[str, str, str]]:
    """Return (severity, kind, subject) of each finding about a configuration."""
    return kinds_of(judge(file, basis or Basis()))
