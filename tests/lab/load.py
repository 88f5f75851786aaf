"""Clients of a site: a gentle load in the background, and what clients do that is no fault."""

from __future__ import annotations

import collections
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Sequence
from typing import Final

_TIMEOUT_SECONDS: Final = 10.0


class Load:
    """Requests in the background from ``start`` to ``stop``, and bursts on demand."""

    def __init__(self, port: int, hosts: Sequence[str], per_second: float = 4.0) -> None:
        """``port``: of the proxy, on this machine's 127.0.0.1; ``hosts``: asked in turn."""
        self.answers: collections.Counter[str] = collections.Counter()
        """Status → number of requests it answered; ``none`` where there was no answer."""
        self.aborted = 0
        """Requests that were given up before their answer."""
        self._port, self._hosts, self._pause = port, hosts, 1 / per_second
        self._stopping = threading.Event()
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the request under way."""
        self._stopping.set()
        self._thread.join()

    def get(self, host: str, path: str) -> str:
        """Ask once; return the status, or ``none``."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"Host": host, "User-Agent": "reader/1.0"})
            answer = connection.getresponse()
            answer.read()
            status = str(answer.status)
        except (OSError, http.client.HTTPException):
            status = "none"
        finally:
            connection.close()
        with self._counting:
            self.answers[status] += 1
        return status

    def burst(self, host: str, paths: Sequence[str], pause: float = 0.05) -> None:
        """Ask for many paths, one after the other."""
        for path in paths:
            self.get(host, path)
            time.sleep(pause)

    def abandon(self, host: str, path: str, times: int, after: float = 0.2) -> None:
        """Send requests, one after the other, and give each up after some seconds."""
        for _ in range(times):
            self._give_up(host, path, after)

    def _give_up(self, host: str, path: str, after: float) -> None:
        with socket.create_connection(("127.0.0.1", self._port), _TIMEOUT_SECONDS) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            client.settimeout(after)
            with contextlib.suppress(TimeoutError):
                if client.recv(1):
                    return  # it was faster
        self.aborted += 1

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            self.get(self._hosts[number % len(self._hosts)], "/")
            number += 1
