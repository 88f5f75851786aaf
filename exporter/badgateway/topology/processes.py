"""Application servers among the processes of this host, where no unit manages them.

Reads ``/proc`` through psutil. Another user's working directory cannot be read without
CAP_SYS_PTRACE; such a process is found by its command line alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from badgateway.topology.launch.command import Launch, parse_command
from badgateway.topology.launch.servers import SERVERS


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running application server: its first process."""

    pid: int
    started: float
    launch: Launch


def servers() -> tuple[ServerProcess, ...]:
    """Return the application servers that run, workers left out, in the order of their pids."""
    found: dict[int, ServerProcess] = {}
    parents: dict[int, int] = {}
    for process in _processes():
        info = process.info
        argv = tuple(info["cmdline"] or ())
        parents[info["pid"]] = info["ppid"]
        if not any(name in word for word in argv[:4] for name in SERVERS):
            continue
        launch = parse_command(argv, _directory(process), {})
        if launch.server in SERVERS:
            found[info["pid"]] = ServerProcess(info["pid"], info["create_time"], launch)
    return tuple(
        server
        for pid, server in sorted(found.items())
        if parents.get(pid) not in found  # a forked worker has its master's command line
    )


def runs(running: Launch, wanted: Launch) -> bool:
    """Tell whether a running server was started by a command line."""
    return (
        running.server == wanted.server
        and running.entry == wanted.entry
        and running.listen == wanted.listen
    )


def launch_of(pid: int) -> Launch | None:
    """Return what a running process was started as, or None when that cannot be seen."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        argv = process.cmdline()
    except psutil.Error:
        return None
    if not argv or any("$" in word for word in argv):
        return None  # a shell that waits for its child: only the child has the real words
    return parse_command(argv, _directory(process), {})


def _processes() -> Iterator[psutil.Process]:
    attributes = ["pid", "ppid", "cmdline", "create_time"]
    yield from sorted(psutil.process_iter(attributes), key=lambda process: process.pid)


def _directory(process: psutil.Process) -> str:
    try:
        return process.cwd() or "/"
    except (psutil.Error, OSError):
        return "/"
