"""A socket proxy that lets only some questions through to a Docker daemon, as operators use one."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

READ_ONLY = (
    r"/version", r"/events", r"/containers/json", r"/containers/[^/]+/json",
    r"/containers/[^/]+/logs",
)  # fmt: skip
_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class DockerProxy(socketserver.ThreadingUnixStreamServer):
    """Serves on a socket of its own; ``asked`` is every request, refused or not."""

    daemon_threads = True

    def __init__(self, path: Path, daemon: Path, allowed: Sequence[str]) -> None:
        super().__init__(str(path), _Handler)
        self.daemon, self.allowed = daemon, allowed
        self.asked: list[str] = []
        self.refused: list[str] = []


class _Handler(socketserver.BaseRequestHandler):
    server: DockerProxy

    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            data = self.request.recv(65536)
            if not data:
                return
            request += data
        line = request.split(b"\r\n", 1)[0].decode()
        method, target, _ = line.split(" ")
        self.server.asked.append(f"{method} {target}")
        path = re.sub(r"^/v\d+\.\d+", "", target.partition("?")[0])
        if method != "GET" or not any(re.fullmatch(a, path) for a in self.server.allowed):
            self.server.refused.append(f"{method} {path}")
            self.request.sendall(_REFUSAL)
            return
        with socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(str(self.server.daemon))
            upstream.sendall(request)
            self._pass_on(upstream)

    def _pass_on(self, upstream: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(upstream, selectors.EVENT_READ)
            selector.register(self.request, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    with contextlib.suppress(OSError):
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if data and key.fileobj is upstream:
                            self.request.sendall(data)
                        if data:
                            continue
                    return


@contextlib.contextmanager
def proxy(
    folder: Path, daemon: Path, allowed: Sequence[str] = READ_ONLY
) -> Iterator[tuple[str, DockerProxy]]:
    """Yield the address of a proxy that serves while the context lasts, and the proxy."""
    path = folder / "proxy.sock"
    server = DockerProxy(path, daemon, allowed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"unix://{path}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        path.unlink()
