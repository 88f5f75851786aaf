"""A proxy watched as the exporter does it, without the rest of the exporter."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from badgateway.blocking import Blocking
from badgateway.proxywatch import ProxyWatch
from badgateway.supervision import Supervisor
from badgateway.topology.proxies.asking import Proxies
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.proxies.state import ProxyState


class Watched:
    """One proxy; looked at when the watch asks for it, and on demand."""

    def __init__(
        self, place: ProxyPlace, learnt: Mapping[str, Any] | None = None, tests: bool = False
    ) -> None:
        self.place, self.tests = place, tests
        self.looks = 0
        self.asked = asyncio.Event()
        self._asking = Proxies()
        self._disk = Blocking("reading a proxy's files")
        self.watch = ProxyWatch(
            Supervisor(), self.asked.set, lambda given: self._asking.is_current(given), learnt
        )

    @property
    def state(self) -> ProxyState:
        """What is known of it."""
        return self.watch.states[self.place.name]

    @property
    def upstreams(self) -> list[str] | None:
        """Where it leads by what it has loaded; None where that is not known."""
        found = self.state.found
        assert found is not None
        return None if found.loaded is None else [route.upstream for route in found.loaded]

    async def look(self) -> None:
        """Look at it once."""
        at = time.time()
        found = await self._asking.look(self.place, self._disk, True, "")
        found = await self.watch.apply(self.place, found, at)
        self.watch.watch((self.place,), {self.place.name: found}, self.tests)
        self.looks += 1

    async def until(self, fits: Callable[[], bool], seconds: float = 8.0) -> float:
        """Wait until something holds; return how many seconds that took."""
        begun = time.monotonic()
        while not fits():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not within {seconds} s: {self.state}")
            await asyncio.sleep(0.02)
        return time.monotonic() - begun

    def now_at(self, pid: int) -> None:
        """Its first process is another from now on."""
        self.place = replace(self.place, pid=pid)
        self.asked.set()


@contextlib.asynccontextmanager
async def watching(
    place: ProxyPlace, learnt: Mapping[str, Any] | None = None, tests: bool = False
) -> AsyncIterator[Watched]:
    """Watch a proxy while the context lasts."""
    watched = Watched(place, learnt, tests)
    await watched.look()

    async def looking() -> None:
        while True:
            await watched.asked.wait()
            watched.asked.clear()
            await watched.look()

    tasks = [asyncio.create_task(looking()), asyncio.create_task(watched.watch.run())]
    try:
        yield watched
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
