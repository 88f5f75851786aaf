"""The process table as far as a server and its workers are concerned (proc(5)).

Everything here may block, as ``/proc`` of a stuck process does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WRAPPERS: Final = 4
"""Processes looked through between a service's first process and the server."""
_MULTIPROCESSING: Final = ("uvicorn", "hypercorn")
"""Servers whose workers are spawned by Python's multiprocessing."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process.

    Attributes:
        pid: as this host numbers it.
        start: when it was started, in clock ticks since the boot: with the pid it names this very
            process.
        inside: the pid by which it knows itself: another one in a container.
    """

    pid: int
    start: int
    inside: int

    @property
    def identity(self) -> tuple[int, int]:
        """What no other process of this boot has."""
        return self.pid, self.start


@dataclass(frozen=True, slots=True)
class Family:
    """A server and its workers at one moment.

    Attributes:
        master: the process that makes the workers, or serves alone.
        workers: its workers; of a server that serves alone, itself.
    """

    master: Worker
    workers: tuple[Worker, ...]


def family(main_pid: int, server: str, asked_for: int) -> Family | None:
    """Return a server and its workers, or None when that cannot be seen or told.

    Args:
        main_pid: the service's first process; a shell that waits for the server is looked through.
        server: a key of ``vocabulary.SERVERS``.
        asked_for: how many workers it was asked to run.
    """
    born = children(main_pid)
    for _ in range(_WRAPPERS):
        if born is None or len(born) != 1 or not _is_wrapper(main_pid, server):
            break
        (main_pid,) = born
        born = children(main_pid)
    master = process(main_pid)
    if born is None or master is None or server == "unknown":
        return None
    if _is_wrapper(main_pid, server):
        return None  # it sleeps, or does something else, before it starts the server
    if server == "uvicorn" and asked_for == 1:
        return Family(master, (master,))
    if server == "gunicorn":
        # its workers are forks; a successor on trial (USR2) and what a hook runs are programs
        born = [pid for pid in born if _is_fork(pid)]
    elif server in _MULTIPROCESSING:
        # multiprocessing's resource tracker is a child too, but no worker
        born = [pid for pid in born if b"spawn_main" in command(pid)]
    found = (process(pid) for pid in born)
    return Family(master, tuple(worker for worker in found if worker is not None))


def process(pid: int) -> Worker | None:
    """Return a process, or None when it is gone."""
    start = started(pid)
    return None if start is None else Worker(pid, start, _inside(pid))


def started(pid: int) -> int | None:
    """Return when a process was started, in clock ticks since the boot; None when it is gone.

    One that has ended and waits to be reaped is gone.
    """
    fields = _stat(pid)
    return None if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def command(pid: int) -> bytes:
    """Return a process' words, each ended by a NUL; empty when they cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children(pid: int) -> list[int] | None:
    """Return a process' children; None when they cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]
    except (OSError, ValueError):
        return None


def owner(pid: int) -> int | None:
    """Return the user whose rights a process has; None when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def boot_id() -> str:
    """Return this boot's identity (proc(5), ``/proc/sys/kernel/random/boot_id``)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def clock(start: int) -> float:
    """Return when a process was started, in seconds since the epoch, from its ``start``.

    By the clock that ``start`` counts on: ``btime`` of ``/proc/stat`` is a whole second, and is
    rounded anew with every step of the clock.
    """
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + start / os.sysconf("SC_CLK_TCK")


def _is_wrapper(pid: int, server: str) -> bool:
    """Whether a process only waits for the server: its own words run something else."""
    program = command(pid).split(b"\0", 1)[0].rpartition(b"/")[2]
    return not program.startswith((b"python", b"pypy", server.encode())) and program != b""


def _is_fork(pid: int) -> bool:
    """Whether a process still runs its parent's program (PF_FORKNOEXEC of ``linux/sched.h``)."""
    fields = _stat(pid)
    return bool(fields) and bool(int(fields[6]) & 0x40)


def _stat(pid: int) -> list[bytes]:
    """The fields of a process from its state on (``/proc/PID/stat``); none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return []


def _inside(pid: int) -> int:
    """The pid in the innermost namespace (``NSpid`` of ``/proc/PID/status``)."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (OSError, ValueError, IndexError):
        pass  # an old kernel, or gone: it is known by its only number
    return pid


def network(process: str) -> int:
    """Return which network a process (a pid, or ``self``) is in: each has tables of its own.

    Returns:
        0 when that cannot be seen.
    """
    try:
        return os.stat(f"/proc/{process}/net/tcp").st_ino
    except OSError:
        return 0
