"""The processes of an nginx (proc(5)): its master and its workers, by the titles they give
themselves (``ngx_setproctitle``). Everything here may block."""

from __future__ import annotations

from typing import Final

from badgateway.sources import proctree
from badgateway.topology.nginx.loads import NginxWorker, Seen

_MASTER: Final = b"nginx: master process"
_WORKER: Final = b"nginx: worker process"
_LEAVING: Final = b"nginx: worker process is shutting down"
_WRAPPERS: Final = 4
_LIMIT: Final = 64


def look(pid: int) -> Seen | None:
    """Return the processes of the nginx whose first process is ``pid``; None when it is gone.

    A shell or a supervisor that waits for it is looked through. None too when its children cannot
    be seen: nothing is known then.
    """
    pid = master(pid)
    start = proctree.started(pid)
    children = proctree.children(pid)
    if start is None or children is None:
        return None
    workers = []
    for child in children:
        title = proctree.command(child)
        begun = proctree.started(child) if title.startswith(_WORKER) else None
        if begun is not None:
            leaving = title.startswith(_LEAVING)
            workers.append(NginxWorker((child, begun), proctree.clock(begun), leaving))
    alone = not proctree.command(pid).startswith(_MASTER)
    return Seen((pid, start), proctree.clock(start), tuple(workers), alone and not workers)


def master(pid: int) -> int:
    """Return the nginx master that a service's first process is or started.

    That process itself where there is none, or several of equal right.
    """
    waiting = [pid]
    for _ in range(_WRAPPERS):
        found = [each for each in waiting if proctree.command(each).startswith(_MASTER)]
        if found:
            return found[0] if len(found) == 1 else pid
        waiting = [child for each in waiting for child in proctree.children(each) or ()][:_LIMIT]
    return pid


def given(pid: int) -> str | None:
    """Return the directives that a master was given on its command line (``-g``).

    Returns:
        The directives, empty for none; None when its command line cannot be told any more.
    """
    title = proctree.command(pid).rstrip(b"\0").decode("utf-8", "replace")
    found = title.partition(" master process ")[2]
    if not found:
        return None
    words = found.partition(" -g ")[2]
    for option in (" -c ", " -p ", " -e "):
        words = words.partition(option)[0]
    return words.strip()
