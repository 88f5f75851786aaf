"""Settings of a backend's hops, and whether they fit each other.

Pure. A mismatch is no fault by itself: the defaults of nginx (60 s) and gunicorn (30 s) are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from badgateway.topology.backends import Backend


class Bound(Enum):
    """What a server's worker timeout cuts off."""

    REQUEST = "request"
    """Every request that takes longer: the worker is busy with nothing else."""
    EVENT_LOOP = "event loop"
    """Only code that keeps the event loop from turning; a request that waits may take its time."""
    NOTHING = "nothing"
    """No request: other threads keep giving the sign of life."""


_THREADED: Final = ("gthread",)


def bound(backend: Backend) -> Bound | None:
    """Return what the worker timeout of a backend's server cuts off; None without one."""
    launch = backend.launch
    if launch is None or not _of_server(backend).get("worker"):
        return None
    if backend.server != "gunicorn" or launch.worker_class == "sync":
        return Bound.REQUEST
    if not launch.worker_class:
        return None
    return Bound.NOTHING if launch.worker_class in _THREADED else Bound.EVENT_LOOP


def timeouts(backend: Backend) -> tuple[tuple[str, str, float], ...]:
    """Return (hop, setting, seconds) of what is known; 0 means no limit.

    Where several routes lead to the backend, the shortest time of each setting.
    """
    proxy: dict[str, float] = {}
    for path in backend.paths:
        for setting, seconds in path.route.timeouts:
            proxy[setting] = min(seconds, proxy.get(setting, seconds))
    found = [("proxy", setting, seconds) for setting, seconds in proxy.items()]
    found += [("server", setting, seconds) for setting, seconds in _of_server(backend).items()]
    return tuple(found)


def longest(backend: Backend, setting: str) -> float | None:
    """Return the longest time of a setting that a proxy has for the backend; None without one."""
    found = [
        seconds
        for path in backend.paths
        for name, seconds in path.route.timeouts
        if name == setting
    ]
    return max(found, default=None)


def mismatches(backend: Backend) -> Mapping[str, bool]:
    """Return check (of ``vocabulary.CONFIG_CHECKS``) → whether the settings do not fit.

    A check of which one side is not known is left out.
    """
    server, found = _of_server(backend), {}
    read, worker = longest(backend, "read"), server.get("worker")
    if read is not None and worker is not None:
        cuts = bound(backend)
        found["timeout_ladder"] = cuts not in (None, Bound.NOTHING) and read > worker
    kept, keepalive = longest(backend, "upstream_keepalive"), server.get("keepalive")
    if kept is not None and keepalive is not None:
        found["keepalive_ladder"] = keepalive <= kept
    return found


def _of_server(backend: Backend) -> Mapping[str, float]:
    return dict(backend.launch.timeouts) if backend.launch else {}
