"""One HTTP connection, and all of them: bounds in time, size and number.

The protocol is uvicorn's on h11; what is added is what a server needs that anybody may connect to:

- a request's head has ``HEAD_SECONDS`` from its first byte (from the connection, for the first
  request), however slowly it trickles, and ``HEAD_BYTES``;
- a response has ``WRITE_SECONDS`` to be taken, and few requests may be sent ahead of it;
- there are never more than a bounded number of connections. One more closes the one that has been
  idle for longest: first of those that never asked anything, then of those between two requests,
  then of those that do not take their answers.
  Ten thousand idle connections therefore cost what a hundred cost and do not keep a scrape from
  being answered. No bound is set per peer: behind a proxy, or on loopback, all are one peer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any, Final, Protocol

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from badgateway.web.tls import allowed_client
from badgateway.web.weboptions import Tls

log = logging.getLogger(__name__)

CONNECTIONS: Final = 128
HEAD_SECONDS: Final = 10.0
HEAD_BYTES: Final = 16 * 1024
"""Held against it while it comes; ``gate`` holds it against what came at once."""
KEEP_ALIVE_SECONDS: Final = 75
"""More than a minute: scrapers come once in 15 to 60 s."""
PIPELINED: Final = 8
"""Requests sent before their predecessors' answers; scrapers send none, and more closes."""
WRITE_SECONDS: Final = 10.0
"""A scraper's own time-out, unless it was told otherwise."""

HEAD_TOO_LARGE: Final = "The request's line and headers are larger than 16 KiB."
_SPARED: Final = 3
"""Descriptors to leave to others when there are none."""
_FEWER_SECONDS: Final = 60.0
_LINGER_SECONDS: Final = 1.0
_TEXTS: Final = {
    400: b"This is no HTTP request that can be understood.\n",
    431: f"{HEAD_TOO_LARGE}\n".encode(),
    501: b"This transfer encoding is not supported.\n",
}


class Droppable(Protocol):
    """A connection that can be cut."""

    def drop(self) -> None:
        """Close it now."""


class Pool:
    """All connections, so that one more can take the place of the least useful."""

    def __init__(self, limit: int = CONNECTIONS) -> None:
        """Begin with none.

        Args:
            limit: how many there may be at once.
        """
        self._most = self._limit = limit
        self._fewer_until = 0.0
        self._busy: dict[Droppable, None] = {}
        self._strangers: dict[Droppable, None] = {}
        self._idle: dict[Droppable, None] = {}
        self._blocked: dict[Droppable, None] = {}
        self._groups = (self._busy, self._strangers, self._idle, self._blocked)

    def __len__(self) -> int:
        return sum(map(len, self._groups))

    def enter(self, connection: Droppable) -> None:
        """Take in a new connection that has not asked anything yet."""
        self._strangers[connection] = None

    def busy(self, connection: Droppable) -> None:
        """Note that its request is being answered."""
        self._move(connection, self._busy)

    def blocked(self, connection: Droppable) -> None:
        """Note that it does not take what it is answered."""
        self._move(connection, self._blocked)

    def idle(self, connection: Droppable) -> None:
        """Note that it waits for its next request."""
        self._move(connection, self._idle)

    def leave(self, connection: Droppable) -> bool:
        """Forget it; return whether it was known."""
        for group in self._groups:
            if connection in group:
                del group[connection]
                return True
        return False

    def make_room(self) -> bool:
        """Drop what is of least use until there is room for one more; return whether there is."""
        if self._limit < self._most and time.monotonic() > self._fewer_until:
            self._limit = self._most
        while len(self) >= self._limit:
            if not self.drop_one():
                return False
        return True

    def exhausted(self) -> bool:
        """Keep fewer for a while, because not even as many can be had; return whether that freed
        anything.
        """
        before = len(self)
        self._limit = max(1, before - _SPARED)
        self._fewer_until = time.monotonic() + _FEWER_SECONDS
        while len(self) > self._limit and self.drop_one():
            pass
        return len(self) < before

    def drop_one(self) -> bool:
        """Drop the connection of least use; return whether there was one."""
        for group in (self._strangers, self._idle, self._blocked):
            if group:
                connection = next(iter(group))
                del group[connection]
                connection.drop()
                return True
        return False

    def _move(self, connection: Droppable, group: dict[Droppable, None]) -> None:
        if self.leave(connection):
            group[connection] = None


class Connection(H11Protocol):
    """One HTTP/1.1 connection."""

    def __init__(self, config: Config, state: ServerState, pool: Pool, tls: Tls | None) -> None:
        """Begin.

        Args:
            config: uvicorn's.
            state: uvicorn's.
            pool: where the connection counts.
            tls: by what its handshake was made; None for plain HTTP.
        """
        super().__init__(config, state, {})
        self._pool = pool
        self._tls = tls
        self._deadline: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._refused = False
        self._in_a_row = 0

    # -- life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        # Whatever is not taken at once counts against the time for writing.
        transport.set_write_buffer_limits(high=1, low=0)
        self._pool.enter(self)
        if self._tls is not None:
            certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
            if not allowed_client(self._tls, certificate):
                log.warning("a client's certificate has none of the client_allowed_sans")
                self.drop()
                return
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._pool.leave(self)
        self._stop(head=True, writing=True)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close now, whatever is left to be written."""
        self.transport.abort()

    # -- requests

    def data_received(self, data: bytes) -> None:
        """Take in bytes; they end the wait only when they complete a request's head."""
        if self._refused:
            return
        if self._deadline is None and not self._answering:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)
        super().data_received(data)
        if self._answering:
            self._stop(head=True)
            self._pool.busy(self)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that has said all it has to say, and close then."""
        if not self._answering or self._tls is not None:  # over TLS there is no half of an end
            return False
        self.cycle.keep_alive = False
        return True

    @property
    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Wait for the next request, or go on with one that has come already."""
        self._pool.idle(self)
        self._in_a_row = self._in_a_row + 1 if self.conn.trailing_data[0] else 0
        if self._in_a_row > PIPELINED:
            self.timeout_keep_alive_handler()
            return
        super().on_response_complete()
        if self._answering:
            self._pool.busy(self)
        elif self.conn.trailing_data[0] and self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _should_upgrade(self) -> bool:
        return False  # and no word about it: anybody can ask

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, with the status h11 found; ``msg`` is uvicorn's."""
        error = sys.exc_info()[1]
        self._refuse(getattr(error, "error_status_hint", 400))

    def _head_too_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.drop()

    def _refuse(self, status: int) -> None:
        self._stop(head=True)
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self._answering:
            self.drop()
            return
        text = _TEXTS.get(status, _TEXTS[400])
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        reason = STATUS_PHRASES[status]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=text),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        # Closed at once, what is still on its way to us would make the client lose the answer.
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.drop)

    # -- responses

    def pause_writing(self) -> None:
        """Begin the time in which the client must take what is written."""
        super().pause_writing()
        self._pool.blocked(self)
        if self._writing is None:
            self._writing = self.loop.call_later(WRITE_SECONDS, self.drop)

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._stop(writing=True)
        (self._pool.busy if self._answering else self._pool.idle)(self)
        super().resume_writing()

    def _stop(self, head: bool = False, writing: bool = False) -> None:
        if head and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if writing and self._writing is not None:
            self._writing.cancel()
            self._writing = None
