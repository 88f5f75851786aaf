"""When an application last received a request that was no probe of ours, and how that is known.

Two witnesses. Its own log of requests, believed as long as our own probes are found in it: so it is
known to be written, read, and told apart. And its sockets: the connections to the port it listens
at, those closed within the last minute too. Either can only be led to say that something arrived:
then nothing is claimed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from badgateway.blocking import Blocking
from badgateway.collectors.ownports import OwnPorts
from badgateway.events import Request
from badgateway.sources import sockdiag
from badgateway.supervision import Supervisor
from badgateway.topology.backends import Backend, is_local

BY_LOG: Final = "its own log"
BY_SOCKETS: Final = "its sockets"
LOOK_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 20.0
"""How much later than the answer to a probe the line about it may be read."""
_FRESH_SECONDS: Final = 2.0
_BEFORE_SECONDS: Final = 1.0
"""What was closed as late as this after the first look may be of an earlier life of ours."""
_PORTS: Final = 32
_STALE_SECONDS: Final = 3 * LOOK_SECONDS


@dataclass(frozen=True, slots=True)
class Arrival:
    """The last request an application received.

    Attributes:
        last: when, seconds since the epoch; 0 for none since ``since``.
        since: since when its requests are watched without a gap.
        how: ``BY_LOG`` or ``BY_SOCKETS``.
    """

    last: float
    since: float
    how: str


@dataclass(slots=True)
class _Witness:
    """What one witness has said of one application.

    ``heard`` is when it last showed that it is awake, ``missed`` since when it has not although it
    should have.
    """

    since: float
    heard: float = 0.0
    last: float = 0.0
    missed: float = 0.0


class Arrivals:
    """Keeps what each witness has said."""

    def __init__(
        self,
        supervisor: Supervisor,
        backends: Callable[[], Iterable[Backend]],
        ports: OwnPorts,
        tokens: Collection[str],
    ) -> None:
        """Begin.

        Args:
            supervisor: notes how the looks at sockets go.
            backends: returns the applications.
            ports: where our own probes come from.
            tokens: those of our own probes, of earlier lives too.
        """
        self._supervisor, self._backends = supervisor, backends
        self._ports, self._tokens = ports, tokens
        self._logs: dict[str, _Witness] = {}
        self._sockets: dict[str, _Witness] = {}

    def take(self, backend: str, event: Request, counted: bool) -> None:
        """Take a request that an application's log tells of.

        Args:
            backend: the application.
            event: the request.
            counted: False for a line of the past, read as evidence.
        """
        known = self._logs.get(backend)
        if not counted:
            return
        is_own = event.probe in self._tokens if event.probe else event.port in self._ports
        if is_own:
            known = self._logs.setdefault(backend, _Witness(event.at))
            known.heard = max(known.heard, event.at)
        elif known is not None and event.at >= known.since:
            known.last = max(known.last, event.at)

    def of(self, backend: Backend, answered: float) -> Arrival | None:
        """Return the last request an application received; None where nobody can tell.

        Args:
            backend: the application.
            answered: when it last answered a probe of ours that asked it directly; 0 for never.
        """
        now, log = time.time(), self._logs.get(backend.name)
        if log is not None:
            awake = log.heard > answered - _LATE_SECONDS
            log.missed = 0.0 if awake else log.missed or now
            if awake or now - log.missed < _LATE_SECONDS:
                return Arrival(log.last, log.since, BY_LOG)
            del self._logs[backend.name]  # it is written no longer, or not read
        seen = self._sockets.get(backend.name)
        if seen is not None and now - seen.heard < _STALE_SECONDS:
            return Arrival(seen.last, seen.since, BY_SOCKETS)
        return None

    async def run(self) -> None:
        """Look at sockets until cancelled."""
        table = Blocking("reading the table of connections")
        while True:
            with self._supervisor.timed("arrivals"):
                backends = tuple(self._backends())
                ports = {b.name: found for b in backends if (found := port_of(b))}
                for name in self._logs.keys() - {b.name for b in backends} if backends else ():
                    del self._logs[name]
                wanted = sorted(set(ports.values()))[:_PORTS]
                newest = await table.call(self._look, wanted)
                self._saw(ports, newest, time.time())
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self, ports: Iterable[int]) -> dict[int, float]:
        """Port → when somebody else was last heard there, 0 for nobody; may block."""
        found = {}
        for port in ports:
            last = 0.0
            for connection in sockdiag.connections(port):
                if connection.client in self._ports:
                    continue
                last = max(last, connection.at)
                if last > time.time() - _FRESH_SECONDS:
                    break  # there may be thousands
            found[port] = last
        return found

    def _saw(self, ports: dict[str, int], newest: dict[int, float], now: float) -> None:
        for name in set(self._sockets) - set(ports):
            del self._sockets[name]
        for name, port in ports.items():
            if port not in newest:
                continue
            known = self._sockets.get(name)
            if known is None or now - known.heard > _STALE_SECONDS:
                known = self._sockets[name] = _Witness(now)
            known.heard = now
            if newest[port] > known.since + _BEFORE_SECONDS:
                known.last = max(known.last, newest[port])


def port_of(backend: Backend) -> int:
    """Return the port of this host that an application listens at; 0 where its is not seen here."""
    if backend.container is not None:
        return 0  # its connections are in a network of its own
    for address in backend.listens:
        host, _, port = address.rpartition(":")
        if host != "unix" and port.isdigit() and is_local(host):
            return int(port)
    return 0
