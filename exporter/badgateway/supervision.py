"""Supervision: the exporter's loops, kept running whatever goes wrong in them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

_PAUSE_SECONDS: Final = 1.0
_PAUSE_LIMIT: Final = 30.0
_WELL_SECONDS: Final = 60.0

log = logging.getLogger("badgateway")


@dataclass(frozen=True, slots=True)
class Run:
    """A collector's last run: whether it succeeded, seconds it took, when it ended."""

    success: bool
    duration: float
    at: float


class Supervisor:
    """Runs loops until stopped, and knows how their runs went."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work`` in the background; begun anew, after a pause, when it fails."""
        self._tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def stop(self) -> None:
        """End everything."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def timed(self, collector: str) -> _Timed:
        """Note how a run of ``collector`` goes; failures are logged, not raised."""
        return _Timed(self.runs, collector)

    async def _keep(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        pause = _PAUSE_SECONDS
        while True:
            begun = time.monotonic()
            try:
                await work()
                return
            except Exception as error:
                log.exception("%s ended by an error and is begun anew", name)
                self.runs[name] = Run(False, time.monotonic() - begun, time.time())
                pause = _PAUSE_SECONDS if time.monotonic() - begun > _WELL_SECONDS else pause
                log.debug("%s: %r; again in %.0f s", name, error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_LIMIT)


class _Timed:
    """A collector's run as a context; logs a failure when the run before had none."""

    def __init__(self, runs: dict[str, Run], name: str) -> None:
        self._runs, self._name, self._begun = runs, name, 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> bool:
        if kind is not None and not issubclass(kind, Exception):
            return False
        before = self._runs.get(self._name)
        self._runs[self._name] = Run(kind is None, time.monotonic() - self._begun, time.time())
        if error is None:
            if before is not None and not before.success:
                log.info("%s works again", self._name)
        elif before is None or before.success:
            if isinstance(error, OSError):  # HungError too: the text says all
                log.error("%s failed: %s", self._name, error)
            else:
                log.error("%s failed: %r", self._name, error, exc_info=error)
        return True
