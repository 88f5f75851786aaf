"""The host's tables watched: who listens, which processes run, how much memory they use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from badgateway.blocking import Blocking
from badgateway.collectors import listeners as listening
from badgateway.collectors.cgroups import Cgroups, Memory
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.processes import Processes
from badgateway.collectors.workers import Workers
from badgateway.supervision import Supervisor
from badgateway.topology.backends import PathMap

LISTEN_SECONDS: Final = 2.0
WORKERS_SECONDS: Final = 2.0
WORKERS_PAUSE_SECONDS: Final = 0.05


class HostWatch:
    """Looks at the kernel's tables regularly; what is seen is counted by the collectors."""

    def __init__(
        self,
        supervisor: Supervisor,
        processes: Processes,
        workers: Workers,
        paths: Callable[[], PathMap],
        units: Callable[[], Mapping[str, int]],
    ) -> None:
        """Begin.

        Args:
            supervisor: notes how the looks go.
            processes: servers that no manager keeps.
            workers: servers' workers.
            paths: returns the path map.
            units: returns unit → its main process, of the units that run.
        """
        self._supervisor = supervisor
        self._processes, self._workers = processes, workers
        self._paths, self._units = paths, units
        self._cgroups = Cgroups()
        self.listeners: Listeners | None = None
        """Who listens; None before the first look, and when it cannot be seen."""

    @property
    def memory(self) -> Mapping[str, Memory]:
        """Backend → the memory of its unit or container."""
        return self._cgroups.memory

    async def watch_listeners(self) -> None:
        """Look until cancelled at listening sockets, at processes without a manager, at memory."""
        table, reader = Blocking("reading the process table"), listening.Reader()
        while True:
            looked: Listeners | None = None
            with self._supervisor.timed("listeners"):
                containers = [b.container.pid for b in self._paths().backends if b.container]
                looked = await table.call(reader.read, [pid for pid in containers if pid])
                self._processes.count(await table.call(self._processes.look))
                memory = await table.call(self._cgroups.look, self._mains())
                for backend in self._cgroups.take(memory):
                    self._workers.ends.proof(time.time(), "oom", backend)
            self.listeners = looked
            await asyncio.sleep(LISTEN_SECONDS)

    async def watch_workers(self) -> None:
        """Look until cancelled at the servers' workers, at once when one of them has ended."""
        table, pause = Blocking("reading the servers' processes"), WORKERS_SECONDS
        try:
            while True:
                with self._supervisor.timed("workers"):
                    backends = self._paths().backends
                    survey = await table.call(self._workers.look, backends, self._mains())
                    self._workers.take_survey(survey, backends)
                try:
                    async with asyncio.timeout(pause):
                        await self._workers.changed.wait()
                    pause = WORKERS_PAUSE_SECONDS  # another will soon be born in its place
                except TimeoutError:
                    pause = min(2 * pause, WORKERS_SECONDS)
                await asyncio.sleep(WORKERS_PAUSE_SECONDS)
        finally:
            self._workers.close()

    def _mains(self) -> dict[str, int]:
        """Backend → the first process of its service, of those that run."""
        units, found = self._units(), {}
        for backend in self._paths().backends:
            if backend.container is not None:
                found[backend.name] = backend.container.pid
            elif backend.unit:
                found[backend.name] = units.get(backend.unit, 0)
            elif (state := self._processes.state(backend.name)) is not None:
                found[backend.name] = state.main_pid
        return {name: pid for name, pid in found.items() if pid}
