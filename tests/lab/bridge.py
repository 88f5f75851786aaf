"""Ways into the lab's network and out of it that end with this process.

A socket belongs to the network namespace its thread was in when it was made, and may be used from
anywhere in the process: so one thread enters the lab's network and makes sockets for the rest. No
interface, no route, no helper process, no file.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Final

from tests.lab import kernel

_CHUNK: Final = 65536


class Network:
    """The network of the process ``pid`` (its own namespace), or this host's own for None."""

    def __init__(self, pid: int | None = None) -> None:
        self._maker: concurrent.futures.ThreadPoolExecutor | None = None
        if pid is not None:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            self._maker = concurrent.futures.ThreadPoolExecutor(
                1, "lab-network", kernel.enter, (descriptor, kernel.CLONE_NEWNET)
            )
            self._maker.submit(os.close, descriptor).result()

    def connection(self) -> socket.socket:
        """Return a new TCP socket that lives in this network."""
        if self._maker is None:
            return socket.socket()
        return self._maker.submit(socket.socket).result()

    def listen(self, port: int) -> socket.socket:
        """Return a socket listening on 127.0.0.1 inside; port 0 chooses a free one."""
        listener = self.connection()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        return listener

    def close(self) -> None:
        """End the thread inside."""
        if self._maker is not None:
            self._maker.shutdown()


class Bridge:
    """Forwards loopback ports of this host to loopback ports of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ports: dict[int, int] = {}
        self._servers: list[asyncio.Server] = []

    def forward(self, port: int) -> int:
        """Return the port of this host's 127.0.0.1 that leads to ``port`` inside."""
        if port not in self._ports:
            self._ports[port] = self._do(self._open(port))
        return self._ports[port]

    def close(self) -> None:
        """Close every forwarded port and connection."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _open(self, port: int) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(port, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner = self._network.connection()
        inner.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(inner, ("127.0.0.1", port))
            far_reader, far_writer = await asyncio.open_connection(sock=inner)
        except OSError:
            inner.close()
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            for end in (writer, far_writer):
                end.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # either end may be gone
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
