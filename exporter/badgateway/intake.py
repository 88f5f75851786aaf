"""Intake: what logs told, handed to the collector that counts it, together with its position."""

from __future__ import annotations

import logging
from typing import Any

from badgateway.collectors.arrivals import Arrivals
from badgateway.collectors.containers import Containers
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.services import Services
from badgateway.collectors.workers import Workers
from badgateway.counters import Counters
from badgateway.events import (
    Batch,
    BootFailure,
    Event,
    KilledOnOrder,
    ProcessKilled,
    Request,
    Response,
    ServerEnd,
    Starved,
    UpstreamFailure,
)
from badgateway.readers import Told
from badgateway.topology.backends import PathMap

log = logging.getLogger("badgateway")


class Intake:
    """Takes batches; what they count and the position they reach change at one moment."""

    def __init__(
        self,
        counters: Counters,
        positions: dict[str, dict[str, Any]],
        proxies: Proxies,
        workers: Workers,
        services: Services,
        containers: Containers,
        arrivals: Arrivals,
    ) -> None:
        """Begin.

        Args:
            counters: where lost events are counted.
            positions: source → up to where it was counted; changed by each batch.
            proxies: takes what proxies tell.
            workers: takes what servers tell.
            services: takes what servers tell of their ends.
            containers: the same of servers in containers.
            arrivals: takes what servers tell of requests.
        """
        self._arrivals = arrivals
        self._counters, self._positions = counters, positions
        self._proxies, self._workers, self._services = proxies, workers, services
        self._containers = containers
        self.paths = PathMap()

    def is_strange(self, told: Told) -> bool:
        """Whether something names an upstream that no configuration has."""
        return any(
            not self._proxies.knows(owner.removeprefix("proxy:"), event)
            for owner, event in told.events
            if isinstance(event, UpstreamFailure | Response) and owner.startswith("proxy:")
        )

    def take(self, batch: Batch, told: Told) -> None:
        """Take a batch and what it told."""
        for owner, event in told.events:
            self._take(owner, event, batch.counted, batch.source)
        for owner, tally in told.tallies if batch.counted else ():
            kind, _, name = owner.partition(":")
            if kind == "proxy":
                self._proxies.take_tally(name, tally, batch.at)
        if batch.gap:
            log.warning("%s: %s; events may have been lost", batch.source, batch.gap)
            self._counters.add("source_gaps_total", (batch.source,))
        if batch.position is not None:
            if dict(batch.position) != self._positions.get(batch.source):
                self._counters.touch()
            self._positions[batch.source] = dict(batch.position)

    def _take(self, owner: str, event: Event, counted: bool, source: str) -> None:
        kind, _, name = owner.partition(":")
        if kind == "proxy":
            self._proxies.take(name, event, counted, source)  # type: ignore[arg-type]
            return
        if isinstance(event, Request):
            self._arrivals.take(name, event, counted)
            return
        if isinstance(event, ProcessKilled):
            if event.pid is not None:
                self._workers.ends.proof(event.at, event.reason, pid=event.pid)
            return
        backend = self.paths.by_name(name)
        if backend is None:
            return
        if isinstance(event, KilledOnOrder | Starved):
            self._services.told(backend.unit, event)
            return
        self._workers.take(backend, event, counted)  # type: ignore[arg-type]
        if isinstance(event, BootFailure | ServerEnd):
            if backend.manager == "docker":
                self._containers.explain(backend.unit, event)
            else:
                self._services.explain(backend.unit, event)
