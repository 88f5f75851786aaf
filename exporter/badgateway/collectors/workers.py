"""Servers and workers: their ends as their logs tell, their number as the process table shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from badgateway import vocabulary
from badgateway.counters import Counters
from badgateway.events import BootFailure, ServerEnd, ServerReady, WorkerEnd
from badgateway.topology.backends import Backend

_KEPT: Final = 100
_WRAPPERS: Final = 3
"""Processes looked through between a unit's main process and the server."""

WorkerEvent = WorkerEnd | ServerEnd | BootFailure | ServerReady


class Workers:
    """Counts workers' and servers' ends and keeps them as evidence."""

    def __init__(self, counters: Counters, learnt: Mapping[str, Any] | None = None) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._counters = counters
        self.boot_failures: dict[str, deque[BootFailure]] = {}
        for name, failure in (learnt or {}).items():
            try:
                known = msgspec.convert(failure, BootFailure)
            except msgspec.ValidationError:
                continue  # another version wrote it
            self.boot_failures[name] = deque([known], maxlen=_KEPT)
        self.worker_ends: dict[str, deque[WorkerEnd]] = {}
        self.ready: dict[str, float] = {}
        self.alive: Mapping[str, int] = {}
        """Backend → workers seen at the last look, where they can be seen."""

    def declare(self, backend: Backend) -> None:
        """Let a backend's series exist at 0: its servers' words are being read."""
        for reason in vocabulary.WORKER_END_REASONS:
            self._counters.declare("worker_recycles_total", (backend.name, backend.server, reason))
        for reason in vocabulary.SERVER_END_REASONS:
            self._counters.declare("server_exits_total", (backend.name, backend.server, reason))

    def look(self, backends: Iterable[Backend], main_pids: Mapping[str, int]) -> None:
        """Count each running backend's workers; may block, as ``/proc`` of a stuck process does.

        Args:
            backends: the backends.
            main_pids: unit → its main process, of the units that run.
        """
        seen = {
            backend.name: count_workers(main_pids[backend.unit], backend.server, backend.workers)
            for backend in backends
            if main_pids.get(backend.unit)
        }
        self.alive = {name: number for name, number in seen.items() if number is not None}

    def memory(self) -> dict[str, Any]:
        """Each backend's last boot failure: the journal may not reach back to it for ever."""
        return {name: asdict(failures[-1]) for name, failures in self.boot_failures.items()}

    def take(self, backend: Backend, event: WorkerEvent, counted: bool) -> None:
        """Take what a backend's log says; ``counted`` False makes it evidence only."""
        name = backend.name
        if isinstance(event, BootFailure):
            kept = self.boot_failures.setdefault(name, deque(maxlen=_KEPT))
            if event not in kept:
                kept.append(event)
        elif isinstance(event, ServerReady):
            self.ready[name] = max(event.at, self.ready.get(name, 0.0))
        elif isinstance(event, WorkerEnd):
            ends = self.worker_ends.setdefault(name, deque(maxlen=_KEPT))
            if event not in ends:
                ends.append(event)
            if counted:
                self._counters.add("worker_recycles_total", (name, backend.server, event.reason))
        elif counted:
            self._counters.add("server_exits_total", (name, backend.server, event.reason))


def count_workers(main_pid: int, server: str, asked_for: int) -> int | None:
    """Return how many workers a server has, or None when that cannot be seen.

    Args:
        main_pid: the service's main process; a shell that waits for the server is looked through.
        server: a key of ``vocabulary.SERVERS``.
        asked_for: how many it was asked to run.
    """
    children = _children(main_pid)
    for _ in range(_WRAPPERS):
        if children is None or len(children) != 1 or not _is_wrapper(main_pid, server):
            break
        (main_pid,) = children
        children = _children(main_pid)
    if children is None:
        return None
    if server == "uvicorn":
        if asked_for == 1:
            return 1
        # multiprocessing's resource tracker is a child too, but no worker
        return sum(1 for pid in children if b"spawn_main" in _command(pid))
    if server == "gunicorn":
        return len(children)
    return None


def _is_wrapper(pid: int, server: str) -> bool:
    """Whether a process only waits for the server: its own words run something else."""
    program = _command(pid).split(b"\0", 1)[0].rpartition(b"/")[2]
    return not program.startswith((b"python", b"pypy", server.encode())) and program != b""


def _children(pid: int) -> list[int] | None:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except (OSError, ValueError):
        return None


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
