"""One look at this host: what runs, what its proxies serve, who listens."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from badgateway import config as settings
from badgateway import state
from badgateway.blocking import Blocking
from badgateway.cli.place import exporters_state
from badgateway.collectors.listeners import Listeners, Reader
from badgateway.exporter import Exporter
from badgateway.sources import Status
from badgateway.topology.backends import Backend
from badgateway.topology.discovery import Findings
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.routes import Route

SECONDS: Final = 10.0
_FRESH_SECONDS: Final = 15 * 60.0
"""How old a checkpoint may be that speaks for what is loaded."""
_PROGRAMS: Final = {"nginx": ("nginx", "openresty", "nginx-debug"), "caddy": ("caddy",)}


@dataclass(frozen=True, slots=True)
class Host:
    """What was seen.

    Attributes:
        findings: the path map and the proxies.
        listeners: who listens; None where that cannot be seen.
        statuses: source → what is known of it.
        remembered: proxy → the routes that this host's exporter remembers as loaded.
        may_test: whether a proxy's own test may be run.
    """

    findings: Findings
    listeners: Listeners | None
    statuses: Mapping[str, Status] = field(default_factory=dict)
    remembered: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)
    may_test: bool = True

    @property
    def applications(self) -> tuple[Backend, ...]:
        """The applications of this host."""
        return tuple(filter(is_application, self.findings.paths.backends))

    def place(self, path: Path, kind: str) -> ProxyPlace | None:
        """Return the proxy that a configuration file is for: whose it is, or the only one.

        Args:
            path: the file.
            kind: the proxy's kind.
        """
        alike = [place for place in self.findings.places if place.kind == kind]
        for place in alike:
            if place.config and not place.container and same_file(path, place.config):
                return place
        here = [place for place in alike if not place.container]
        return here[0] if len(here) == 1 else None

    def today(self, place: ProxyPlace, path: Path) -> tuple[Route, ...] | None:
        """Return where a proxy leads now; None where that is not known.

        Args:
            place: the proxy.
            path: the file that is judged; where it is the proxy's own, it says nothing of now.
        """
        found = self.findings.answers.get(place.name)
        if found is not None and found.loaded is not None:
            return found.loaded
        if place.name in self.remembered:
            return self.remembered[place.name]
        is_own = bool(place.config) and same_file(path, str(place.config))
        return None if found is None or is_own else found.on_disk


def is_application(backend: Backend) -> bool:
    """Tell whether more is known of a backend than the address that a proxy leads to."""
    return bool(backend.manager) or backend.name not in backend.listens


def runs_here(kind: str) -> bool:
    """Tell whether a proxy of a kind runs on this host."""
    names = _PROGRAMS[kind]
    return any(process.info["name"] in names for process in psutil.process_iter(["name"]))


async def look(config: settings.Config) -> Host:
    """Look at this host once; nobody is asked anything over HTTP but the proxies' admin APIs.

    Raises:
        TimeoutError: it does not come to an end.
    """
    asked = msgspec.structs.replace(config.probes, enabled=False)
    exporter = Exporter(msgspec.structs.replace(config, probes=asked), None)
    await exporter.start()
    try:
        async with asyncio.timeout(SECONDS):
            await exporter.ready()
            findings, statuses = exporter.findings, exporter.statuses()
            containers = [b.container.pid for b in findings.paths.backends if b.container]
            table = Blocking("reading who listens", SECONDS)
            listeners = await table.call(_listeners, [pid for pid in containers if pid])
    finally:
        await exporter.stop()
    return Host(findings, listeners, statuses, _remembered(), config.discovery.run_proxy_adapter)


def _listeners(containers: list[int]) -> Listeners | None:
    try:
        return Reader().read(containers)
    except OSError:
        return None


def _remembered() -> dict[str, tuple[Route, ...]]:
    """What this host's exporter remembers as loaded, where we may read its state."""
    place = exporters_state()
    try:
        raw = (place / state.FILE).read_bytes() if place is not None else b""
        document = state.decode(raw)
        if time.time() - document.saved > _FRESH_SECONDS:
            return {}
        topology: Any = document.memory.get("topology") or {}
        routes = topology.get("routes") or {}
        return msgspec.convert(routes, dict[str, tuple[Route, ...]])
    except (OSError, ValueError, AttributeError):
        return {}


def same_file(one: Path, other: str) -> bool:
    """Tell whether two paths lead to one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
