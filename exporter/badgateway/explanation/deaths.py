"""One end of a process that several programs tell of: the kernel that killed it, and its server.

The kernel's word says why, at its line; the server's says that it was a worker. A process that
only the kernel names is taken for a worker where it bears an application server's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from badgateway import vocabulary
from badgateway.events import ProcessKilled, ServerEnd, WorkerEnd
from badgateway.explanation.same import Entry, Item, apart

_SAME: Final = 60.0
"""Seconds within which lines about one process are about one end."""
_OUTRANKED: Final = {
    "oom": frozenset(
        (
            "oom",
            "sigkill",
            "stop_timeout",
            "signal",
            "exit_code",
            "unknown",
            "external_term",
            "orphaned",
        )
    ),
    "segfault": frozenset(("segfault", "signal", "exit_code", "unknown")),
}
"""What the kernel knows better than a server's log."""


def ended(items: Iterable[Item]) -> list[tuple[int, Entry]]:
    """Return the ends that some lines tell of; those about one process are one."""
    found = list(items)
    kills = [item for item in found if isinstance(item.told.event, ProcessKilled)]
    entries: list[tuple[int, Entry]] = []
    for item in found:
        event = item.told.event
        if isinstance(event, ProcessKilled):
            continue
        kill = next((k for k in kills if _of(k, item)), None)
        if kill is not None and isinstance(event, WorkerEnd):
            kills.remove(kill)
            killed = kill.told.event
            assert isinstance(killed, ProcessKilled)
            if event.reason in _OUTRANKED[killed.reason]:
                entries.append(_worker(kill, event.server))
                continue
        elif kill is not None:
            kills.remove(kill)  # the server's own end; why, its manager said
        entries.append((item.order, Entry(item.told, event)))
    return entries + [_worker(kill, name) for kill in kills if (name := _named(kill))]


def _of(kill: Item, item: Item) -> bool:
    """Whether the kernel's line is about the end that another line tells of."""
    killed, event = kill.told.event, item.told.event
    if not isinstance(event, WorkerEnd | ServerEnd) or not isinstance(killed, ProcessKilled):
        return False
    seconds = apart(kill.told, item.told)
    if kill.told.file == item.told.file and killed.at and event.at:
        seconds = killed.at - event.at  # one file has one clock
    return killed.pid == event.pid and abs(seconds) <= _SAME


def _worker(kill: Item, server: str) -> tuple[int, Entry]:
    killed = kill.told.event
    assert isinstance(killed, ProcessKilled)
    event = WorkerEnd(killed.at, server, killed.reason, killed.pid, killed.detail)
    return kill.order, Entry(replace(kill.told, event=event), event)


def _named(kill: Item) -> str:
    """Return the application server that a process is called after; empty for others."""
    killed = kill.told.event
    assert isinstance(killed, ProcessKilled)
    if killed.pid is None:
        return ""  # systemd only says that it was one of a unit's
    name = killed.name.lower()
    return next((server for server in vocabulary.SERVERS if name.startswith(server)), "")
