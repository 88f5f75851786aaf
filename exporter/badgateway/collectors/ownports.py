"""The local ports our own probes came from: by them a server's lines and sockets about them are
known. A port is somebody else's again after a while."""

from __future__ import annotations

import time
from typing import Final

_KEPT_SECONDS: Final = 150.0
"""Longer than the kernel remembers a closed connection, and than a line is on its way."""
_LIMIT: Final = 8192


class OwnPorts:
    """Remembers ports for a while."""

    def __init__(self) -> None:
        self._ports: dict[int, float] = {}

    def add(self, port: int) -> None:
        """A probe has just connected from this port."""
        now = time.monotonic()
        self._ports.pop(port, None)  # the order is that of time
        self._ports[port] = now
        while self._ports:
            oldest = next(iter(self._ports))
            if len(self._ports) <= _LIMIT and now - self._ports[oldest] < _KEPT_SECONDS:
                break
            del self._ports[oldest]

    def __contains__(self, port: object) -> bool:
        return port in self._ports
