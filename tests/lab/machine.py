"""What a scenario may ask of the machine it plays on, whatever that is made of."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.lab.bridge import Network


class Refused(Exception):  # noqa: N818 - says what the machine did
    """No such machine can be made here; the text says what is lacking."""


@dataclass(frozen=True)
class Service:
    """A server that the machine runs and starts again when it ends."""

    name: str
    command: Sequence[str]
    """What runs, where no systemd does it; paths as ``Machine.place`` gives them."""
    unit: str | None = None
    """Its unit file, or None when a package on the machine brings one."""
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)


class Machine(Protocol):
    """A machine to play a scenario on: a ``Host`` with systemd, or ``PlainHost`` without."""

    name: str
    systemd: bool
    """Whether systemd runs the services and keeps a journal."""
    network: Network

    def place(self, path: str) -> str:
        """Return the path that files and commands must use for ``path`` of the scenario."""

    def port(self, number: int) -> int:
        """Return the port inside that stands for ``number`` of the scenario."""

    def forward(self, port: int) -> int:
        """Return the port of this machine's 127.0.0.1 that leads to the scenario's ``port``."""

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, with the folders it needs."""

    def read(self, path: str) -> str:
        """Return the text of a file."""

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
        environment: Mapping[str, str] | None = None,
        text: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as ``user`` (where there are users) with ``text`` as its input.

        Raises CalledProcessError when ``check`` and it fails, TimeoutExpired after ``timeout`` s.
        """

    def start(self, service: Service) -> None:
        """Start a service."""

    def restart(self, name: str) -> None:
        """Stop a service and start it anew."""

    def pid(self, name: str) -> int:
        """Return the pid of a service's main process as seen by ``run``; 0 when it has none."""

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines a service and its manager logged."""

    def stop(self) -> None:
        """End every process of it and remove all it left; may be called twice."""
