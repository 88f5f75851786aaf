"""Containers watched: the daemon, what is counted of it, and the look at the host that follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from badgateway import config as settings
from badgateway.collectors.containers import Containers
from badgateway.counters import Counters
from badgateway.sources import Status
from badgateway.sources.docker import Docker
from badgateway.topology.backends import PathMap

FIRST_SECONDS: Final = 3.0
"""How long the first look at the host waits for the daemon."""
_SOON: Final = 0.1
_PAUSE: Final = 2.0


class ContainerWatch:
    """Docker as the exporter uses it."""

    def __init__(
        self,
        config: settings.Config,
        counters: Counters,
        position: Mapping[str, Any] | None,
        learnt: Mapping[str, Any] | None,
        changed: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            config: whether and where there is a daemon.
            counters: where starts and ends are counted.
            position: what the last checkpoint said under ``Docker.NAME``.
            learnt: what ``collector.memory`` returned in an earlier life.
            changed: called, not too often, when the host should be looked at anew.
        """
        self._counters = counters
        self._look = changed
        self._looked = float("-inf")
        self._due: asyncio.TimerHandle | None = None
        self.woken: Callable[[], None] = lambda: None
        """Called at each event after which a container may run again."""
        self.collector = Containers(counters, position, learnt, self._changed)
        self.daemon = Docker(_is_wanted(config), config.docker.host, self.collector)
        self.daemon.expected = self.collector.begun > 0 or _is_named(config)

    @property
    def up(self) -> bool:
        """Whether what is known of containers is of now."""
        return bool(self.daemon.status.up)

    def statuses(self) -> dict[str, Status]:
        """Source → what is known of it; nothing where there is no Docker."""
        status = self.daemon.status
        return {} if status.up is None else {Docker.NAME: status}

    def reconfigure(self, config: settings.Config) -> None:
        """Watch by another configuration."""
        self.daemon.expected = self.daemon.expected or _is_named(config)
        self.daemon.reconfigure(_is_wanted(config), config.docker.host)

    async def ready(self) -> None:
        """Wait until the daemon has been asked once, or there is none; not for long."""
        deadline = time.monotonic() + FIRST_SECONDS
        while (
            self.daemon.host != "" and self.daemon.status.up is None and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.02)

    def watch(self, paths: PathMap) -> None:
        """Count for exactly the containers of these backends from now on."""
        if self.up:
            self._counters.declare("source_gaps_total", (Docker.NAME,))
        self.collector.watch({b.unit: b.name for b in paths.backends if b.manager == "docker"})

    def _changed(self) -> None:
        """Have the host looked at soon, and no more often than every other second."""
        self.woken()
        if self._due is None:
            wait = max(_SOON, self._looked + _PAUSE - time.monotonic())
            self._due = asyncio.get_running_loop().call_later(wait, self._now)

    def _now(self) -> None:
        self._due, self._looked = None, time.monotonic()
        self._look()


def _is_named(config: settings.Config) -> bool:
    """Whether the configuration says that there is a daemon."""
    return bool(config.docker.host) or any(b.container for b in config.backends)


def _is_wanted(config: settings.Config) -> bool:
    """Whether a daemon is to be asked, if there is one."""
    return config.docker.enabled and (config.discovery.enabled or _is_named(config))
