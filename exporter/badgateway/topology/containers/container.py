"""A container as a hop: what the rest of the exporter knows of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as its daemon describes it now.

    Attributes:
        unit: compose project and service (``shop/web``), or its name: what stays the same when it
            is created anew.
        identifier: the daemon's id of this very container.
        pid: its first process, as this host numbers it; 0 when it does not run.
        root: where its files can be read: each a pair of a path inside and the path on this host,
            the longest that fits first (bind mounts and volumes, then ``/``).
        shell_first: whether its first process is a shell that waits for the server: such a shell
            hands no signal on.
        pauses: seconds that the shell sleeps before it starts the server.
        restart_policy: ``no``, ``always``, ``unless-stopped`` or ``on-failure``.
        retries: how often ``on-failure`` tries; 0 for ever.
        health: ``healthy``, ``unhealthy``, ``starting``; empty without a health check.
        replicas: the numbers of all containers of the unit; those above hold for the first.
        image: the image it was made of, as its maker named it.
    """

    unit: str
    identifier: str
    pid: int = 0
    root: tuple[tuple[str, str], ...] = ()
    shell_first: bool = False
    pauses: float = 0.0
    restart_policy: str = "no"
    retries: int = 0
    health: str = ""
    image: str = ""
    replicas: tuple[str, ...] = ("1",)
