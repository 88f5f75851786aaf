"""Services without a manager: is the process of a configured or found command there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from badgateway import vocabulary
from badgateway.collectors.service_tracker import ServiceState
from badgateway.counters import Counters
from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import Launch
from badgateway.topology.processes import ServerProcess, runs, servers

_MANAGER: Final = "process"


@dataclass(slots=True)
class _Watched:
    launch: Launch
    found: ServerProcess | None = None
    ever: bool = False


class Processes:
    """Keeps the state of servers that run without a unit."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._watched: dict[str, _Watched] = {}

    def watch(self, backends: tuple[Backend, ...]) -> None:
        """Look for exactly these backends' processes from now on."""
        wanted = {
            b.name: b.launch for b in backends if b.manager == _MANAGER and b.launch is not None
        }
        for name in set(self._watched) - set(wanted):
            del self._watched[name]
        for name, launch in wanted.items():
            if name not in self._watched:
                self._watched[name] = _Watched(launch)
                for reason in vocabulary.SERVICE_REASONS:
                    labels = (name, _MANAGER, "", reason)
                    self._counters.declare("service_restarts_total", labels)
                    self._counters.declare("service_exits_total", labels)
            self._watched[name].launch = launch

    def look(self) -> list[tuple[str, str]]:
        """Look at the process table.

        Returns:
            (metric, backend) for each start and end seen. Deaths and births between two looks go
            unseen: nothing tells of them where there is no manager.
        """
        if not self._watched:
            return []
        happened: list[tuple[str, str]] = []
        running = servers()
        for name, watched in list(self._watched.items()):
            found = next((s for s in running if runs(s.launch, watched.launch)), None)
            before = watched.found
            if before is not None and (found is None or _other(found, before)):
                happened.append(("service_exits_total", name))
            if found is not None and watched.ever and (before is None or _other(found, before)):
                happened.append(("service_restarts_total", name))
            watched.found = found
            watched.ever = watched.ever or found is not None
        return happened

    def count(self, happened: list[tuple[str, str]]) -> None:
        """Count what ``look`` returned."""
        for metric, name in happened:
            self._counters.add(metric, (name, _MANAGER, "", "unknown"))

    def state(self, backend: str) -> ServiceState | None:
        """Return the state of a backend's process, or None when it is not watched."""
        watched = self._watched.get(backend)
        if watched is None:
            return None
        if watched.found is None:
            return ServiceState(active="inactive" if watched.ever else "unknown")
        found = watched.found
        return ServiceState(active="active", main_pid=found.pid, started=found.started)


def _other(one: ServerProcess, two: ServerProcess) -> bool:
    return (one.pid, one.started) != (two.pid, two.started)
