"""A gentle client: a few requests a second through the proxy, and what it was answered."""

from __future__ import annotations

import collections
import http.client
import threading
from typing import Final

_PATHS: Final = ("/", "/search?q=gateway", "/records/17")
_TIMEOUT_SECONDS: Final = 5.0


class Traffic:
    """Requests in the background from ``start`` to ``stop``."""

    def __init__(self, port: int, per_second: float = 3.0) -> None:
        """``port``: of the proxy, on this machine's 127.0.0.1."""
        self.answers: collections.Counter[str] = collections.Counter()
        """Status → number of requests it answered; ``none`` where there was no answer."""
        self._port = port
        self._pause = 1 / per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the request under way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause):
            self.answers[self._request(_PATHS[number % len(_PATHS)])] += 1
            number += 1

    def _request(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, _TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"User-Agent": "archive-reader/1.0"})
            answer = connection.getresponse()
            answer.read()
            return str(answer.status)
        except (OSError, http.client.HTTPException):
            return "none"
        finally:
            connection.close()
