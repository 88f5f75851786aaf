"""The webhook that Alertmanager notifies, and what has arrived there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, Final

SHIPPED_PORT: Final = 10503
"""Where the receivers of alerts/alertmanager.yml post to."""


@dataclass(frozen=True)
class Alert:
    """One alert of a notification."""

    status: str
    """``firing`` or ``resolved``."""
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Notification:
    """One post of Alertmanager."""

    receiver: str
    """``pager`` or ``tickets``."""
    status: str
    """``firing`` while any of its alerts is, else ``resolved``."""
    alerts: tuple[Alert, ...]
    at: float = field(default_factory=time.monotonic)

    def about(self, backend: str) -> bool:
        """Tell whether an alert of it is about ``backend``."""
        return any(alert.labels.get("backend") == backend for alert in self.alerts)

    def text(self) -> str:
        """Return what a person reads: every alert's name and annotations."""
        blocks = []
        for alert in self.alerts:
            name = alert.labels.get("alertname", "?")
            blocks.append(f"{alert.status.upper()} {name} → {self.receiver}")
            blocks += [f"  {key}: {value}" for key, value in sorted(alert.annotations.items())]
        return "\n".join(blocks)


class Pager:
    """Serves the webhook on a listening socket; calls ``arrived`` for each notification."""

    def __init__(self, listener: socket, arrived: Callable[[Notification], None]) -> None:
        self.received: list[Notification] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                keep(self.path.strip("/"), json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet; the demonstration says what matters."""

        self._arrived = arrived
        self._server = ThreadingHTTPServer(listener.getsockname(), Handler, False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _keep(self, receiver: str, body: dict[str, Any]) -> None:
        if receiver == "deadman":  # it arrives all the time, by design
            return
        alerts = tuple(
            Alert(alert["status"], alert["labels"], alert["annotations"])
            for alert in body["alerts"]
        )
        notification = Notification(receiver, body["status"], alerts)
        self.received.append(notification)
        self._arrived(notification)
