"""Looking at this host once, for the routes of a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from badgateway.blocking import Blocking
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.sight import HostSight
from badgateway.sources import socketfiles
from badgateway.sources.names import resolve, servers
from badgateway.sources.socketfiles import Identity
from badgateway.topology.destinations import Resolved, name_of
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.routes import Route

_SECONDS: Final = 5.0
_RESOLVE_SECONDS: Final = 10.0
_AT_ONCE: Final = 8


async def look(
    routes: Iterable[Route], listeners: Listeners | None, proxy: Identity | None
) -> HostSight:
    """Return what can be seen of where routes lead, within some seconds.

    Args:
        routes: the routes.
        listeners: who listens on this host; None where that cannot be seen.
        proxy: as whom the proxy touches files; None where that is not known.
    """
    upstreams = {route.upstream for route in routes}
    sockets = sorted(u.removeprefix("unix:") for u in upstreams if u.startswith("unix:"))
    disk = Blocking("looking at unix sockets", _SECONDS)
    try:
        wrong = await disk.call(socketfiles.look, sockets, proxy)
        asked = await disk.call(servers)
    except OSError:  # a disk that does not answer: what it holds is not known
        wrong, asked = {}, frozenset()
    return HostSight(listeners, await lookup(upstreams), wrong, asked)


async def lookup(upstreams: Iterable[str]) -> dict[str, Resolved]:
    """Return what the names among upstreams lead to; those a slow resolver keeps are left out."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(name: str) -> Resolved:
        async with slots:
            # a thread of its own each: one that hangs holds up no other, nor our end
            return await Blocking("resolving a name", _SECONDS).call(resolve, name)

    names = sorted({name for upstream in upstreams if (name := name_of(upstream))})
    if not names:
        return {}
    asked = {asyncio.create_task(ask(name)): name for name in names}
    answered, left = await asyncio.wait(asked, timeout=_RESOLVE_SECONDS)
    for task in left:
        task.cancel()
    return {asked[task]: task.result() for task in answered if task.exception() is None}


def identity(place: ProxyPlace | None) -> Identity | None:
    """Return as whom a running proxy connects; None where that is not known."""
    if place is None or not place.pid:
        return None
    return socketfiles.connecting(place.pid, place.kind == "nginx")
