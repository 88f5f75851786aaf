"""The HTTP server: uvicorn behind an acceptor of our own."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Final

import uvicorn

from badgateway.web.acceptor import Acceptor
from badgateway.web.connections import (
    CONNECTIONS,
    HEAD_BYTES,
    KEEP_ALIVE_SECONDS,
    Connection,
    Pool,
)
from badgateway.web.current import Current
from badgateway.web.gate import Gate
from badgateway.web.listen import Listener
from badgateway.web.weboptions import Tls

GRACE_SECONDS: Final = 1.0
_GRACE_STEP_SECONDS: Final = 0.02


class Server(uvicorn.Server):
    """Serves one application at several listeners.

    ``serve()`` runs until ``stop()`` is called. Signals are left alone.
    """

    def __init__(self, app: Gate, listeners: Sequence[Listener], current: Current) -> None:
        """Prepare; nothing is accepted before ``serve``.

        Args:
            app: the application.
            listeners: where to accept; closed at the end.
            current: whether and how to speak TLS.
        """
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                h11_max_incomplete_event_size=HEAD_BYTES,
            )
        )
        self._gate = app
        self.pool = Pool(_connections())
        self._listeners = listeners
        self._current = current
        self._woken = asyncio.Event()

    def stop(self) -> None:
        """Make ``serve`` end."""
        self.should_exit = True
        self._woken.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        self.server_state = _State()
        self.servers = [
            Acceptor(listener, self._current, self.pool, self._protocol)  # type: ignore[misc]
            for listener in self._listeners
        ]
        self.started = True

    def _protocol(self, tls: Tls | None) -> Connection:
        return Connection(self.config, self.server_state, self.pool, tls)

    async def main_loop(self) -> None:
        """Wait to be stopped; nothing ticks meanwhile."""
        await self._woken.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, let answers that are being taken be taken, and cut the rest."""
        for server in self.servers:
            server.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = time.monotonic() + GRACE_SECONDS
        while (state.connections or state.tasks) and time.monotonic() < deadline:
            await asyncio.sleep(_GRACE_STEP_SECONDS)
        self._gate.stop()
        for connection in list(state.connections):
            connection.transport.abort()
        for server in self.servers:
            await server.wait_closed()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program."""
        yield


class _State(uvicorn.server.ServerState):
    """uvicorn's, with a Date header made when it is needed instead of ten times a second."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every response."""
        return [(b"date", formatdate(time.time(), usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, _: object) -> None:
        """Uvicorn sets them at the start."""


def _connections() -> int:
    """How many connections there may be: a quarter of the descriptors, but no more than needed."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(4, min(CONNECTIONS, descriptors // 4))
