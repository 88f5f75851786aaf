"""A real nginx on loopback ports of its own, and applications behind it that fail as they are told.

The application's path says what it does: ``/ok``, ``/503`` (its own status), ``/close`` (closes
before a header), ``/reset``, ``/hang``, ``/half`` (half a body).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import httpx

from tests.lab.require import require
from tests.servers import free_port, serving

FORMATS: Final = """
log_format told escape=json '{"time":"$time_iso8601","msec":"$msec","conn":"$connection",'
 '"remote":"$remote_addr","server":"$server_name","host":"$host","method":"$request_method",'
 '"uri":"$uri","status":"$status","rt":"$request_time","proxy_host":"$proxy_host",'
 '"ua":"$upstream_addr","us":"$upstream_status","uct":"$upstream_connect_time",'
 '"uht":"$upstream_header_time","urt":"$upstream_response_time",'
 '"ubr":"$upstream_bytes_received","ucl":"$upstream_http_content_length",'
 '"url":"$upstream_response_length","agent":"$http_user_agent"}';
"""

_CONFIG: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log {level};
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_read_timeout 1s;
  proxy_connect_timeout 1s;
  {formats}
  access_log {folder}/access.log {format};
  {http}
}}
"""


class Nginx:
    """nginx with a configuration of the test's; a context manager."""

    def __init__(self, folder: Path, http: str, format: str = "combined") -> None:
        self.folder, self.format = folder, format
        self.port = free_port()
        self.config = folder / "nginx.conf"
        self.log = folder / "error.log"
        self.access = folder / "access.log"
        self._binary = require("nginx")
        self._process: subprocess.Popen[bytes] | None = None
        self.write(http)

    def write(self, http: str) -> None:
        """Write the configuration; ``PORT`` in it becomes nginx' port."""
        self.config.write_text(
            _CONFIG.format(
                folder=self.folder, level="error", formats=FORMATS, format=self.format,
                http=http.replace("PORT", str(self.port)),
            )
        )  # fmt: skip

    def __enter__(self) -> Nginx:
        paths = ("-c", self.config, "-e", self.log, "-p", self.folder)
        command = [str(self._binary), *map(str, paths)]
        with (self.folder / "nginx.out").open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self._until(self._listens)
        self._until(self._workers)  # before it has some, the master bears no title
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def reload(self) -> None:
        """Read the configuration again, and wait until it holds."""
        assert self._process is not None
        before = self._workers()
        self._process.send_signal(signal.SIGHUP)
        self._until(lambda: bool(self._workers()) and not self._workers() & before)

    def reopen(self) -> None:
        """Open the logs by their names again, as after a rotation."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def get(self, path: str, host: str = "one.test", **options: Any) -> int:
        """Return the status of a request; 0 when no answer came."""
        headers = {"Host": host, **options.pop("headers", {})}
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with httpx.Client(trust_env=False, timeout=options.pop("timeout", 5)) as client:
                return client.request(
                    options.pop("method", "GET"), url, headers=headers, **options
                ).status_code
        except httpx.HTTPError:
            return 0

    def raw(self, request: bytes) -> bytes:
        """Send bytes and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer

    def _workers(self) -> set[str]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return set(children.read_text().split())

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def _until(self, fits: Any) -> None:
        deadline = time.monotonic() + 10
        while not fits():
            assert time.monotonic() < deadline, (self.folder / "nginx.out").read_text()
            time.sleep(0.02)


class _Application(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(5)
        received = b""
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in received:
                part = connection.recv(65536)
                if not part:
                    return
                received += part
            self._answer(connection, received.split(b" ", 2)[1].decode("latin-1"))

    def _answer(self, connection: socket.socket, path: str) -> None:
        action = path.partition("?")[0].rpartition("/")[2]
        if action == "close":
            return
        if action == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        if action == "hang":
            time.sleep(2.5)
            return
        status = action if action.isdigit() else "200"
        length = 1000 if action == "half" else 2
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\nok"
        connection.sendall(head.encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def application() -> contextlib.AbstractContextManager[int]:
    """An application; gives its port."""
    return serving(_Server(("127.0.0.1", 0), _Application))


def rotate(path: Path) -> Path:
    """Rename a log as logrotate does; return its new name."""
    last = path.with_name(path.name + ".1")
    os.rename(path, last)
    return last
