"""Letting connections in, under the conditions of the moment.

There is room for a connection (``connections.Pool``), and its handshake is made by the certificates
and rules that are on disk then (``current.Current``).
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from badgateway.web import clienthello
from badgateway.web.connections import Connection, Pool
from badgateway.web.current import Current
from badgateway.web.listen import Listener
from badgateway.web.weboptions import CURVES, Tls, WebConfigError

log = logging.getLogger(__name__)

# asyncio allots each TLS connection a buffer of 256 KiB, from its first byte on: a hundred clients
# that begin a handshake would cost more memory than all else here. A TLS record has 16 KiB.
sslproto.SSLProtocol.max_size = 32 * 1024

_Connect = Callable[[], Awaitable[None]]

HANDSHAKE_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.1
_FREED_SECONDS: Final = 0.001
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PLAIN: Final = (
    b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)


class Acceptor:
    """Accepts at one listener until closed."""

    def __init__(
        self,
        listener: Listener,
        current: Current,
        pool: Pool,
        protocol: Callable[[Tls | None], Connection],
    ) -> None:
        """Begin to accept.

        Args:
            listener: where; it is closed in the end.
            current: whether and how to speak TLS.
            pool: where connections count.
            protocol: makes a connection, given what its handshake was made by.
        """
        self._listener = listener
        self._current = current
        self._pool = pool
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._greetings: set[asyncio.Task[None]] = set()
        self._task = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept nothing more."""
        self._task.cancel()
        for greeting in self._greetings:
            greeting.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(self._task, *self._greetings, return_exceptions=True)

    async def _accept(self) -> None:
        try:
            while True:
                try:
                    await self._accept_one()
                except Exception:
                    log.exception("accepting a connection failed")
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._listener.close()

    async def _accept_one(self) -> None:
        try:
            found, _ = await self._loop.sock_accept(self._listener.socket)
        except OSError as error:
            if error.errno != errno.ECONNABORTED:  # that is the client's: gone again already
                log.warning("no connection can be accepted: %s", error.strerror)
                freed = error.errno in _EXHAUSTED and self._pool.exhausted()
                await asyncio.sleep(_FREED_SECONDS if freed else _PAUSE_SECONDS)
            return
        if not self._pool.make_room():
            log.warning("a connection was refused: all others are being answered")
            found.close()
            return
        greeting = _Greeting(self._greet(found))
        self._pool.enter(greeting)
        self._greetings.add(greeting.task)
        greeting.task.add_done_callback(self._greetings.discard)
        greeting.task.add_done_callback(lambda _: self._pool.leave(greeting))
        await asyncio.sleep(0)  # an accept that need not wait would let nothing else run

    async def _greet(self, found: socket.socket) -> None:
        """Make a connection of an accepted socket, with a handshake where TLS is wanted."""
        try:
            connect = await self._prepared(found)
        except (OSError, TimeoutError) as error:
            log.debug("a connection came to nothing: %s", error)
            connect = None
        except BaseException:
            found.close()
            raise
        if connect is None:
            found.close()
            return
        # From here on the socket is the transport's to close.
        try:
            await connect()
        except (OSError, TimeoutError) as error:  # ssl.SSLError is one
            log.debug("a connection came to nothing: %s", error)

    async def _prepared(self, found: socket.socket) -> _Connect | None:
        """Return how to go on with a socket, None when it is to be closed."""
        if found.family != socket.AF_UNIX:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._current.refresh()
            tls = self._current.wants_tls()
            if tls is None:
                return partial(self._plain, found)
            begun = self._loop.time()
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await _readable(found)
                first = found.recv(1, socket.MSG_PEEK)
                if first != clienthello.HANDSHAKE:
                    if first:
                        found.send(_PLAIN)
                    return None
                curve = ""
                if 1 < len(tls.curve_preferences) < len(CURVES):
                    curve = await clienthello.choose_curve(found, tls.curve_preferences)
            context = await self._current.fresh_context(tls, curve)
        except WebConfigError as error:
            self._current.tell(str(error))
            # Over plain HTTP every request is answered by what is wrong.
            return None if self._current.is_tls else partial(self._plain, found)
        self._current.tell("")
        left = max(0.1, HANDSHAKE_SECONDS - (self._loop.time() - begun))
        return partial(self._encrypted, found, tls, context, left)

    async def _plain(self, found: socket.socket) -> None:
        await self._loop.connect_accepted_socket(lambda: self._protocol(None), found)

    async def _encrypted(
        self, found: socket.socket, tls: Tls, context: ssl.SSLContext, left: float
    ) -> None:
        await self._loop.connect_accepted_socket(
            lambda: self._protocol(tls),
            found,
            ssl=context,
            ssl_handshake_timeout=left,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )


class _Greeting:
    """A connection before its first request, as the pool sees it."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.get_running_loop().create_task(work)

    def drop(self) -> None:
        """Give it up."""
        self.task.cancel()


async def _readable(found: socket.socket) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(found, tell)
    try:
        await ready
    finally:
        loop.remove_reader(found)
