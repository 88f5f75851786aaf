"""The risk that settings of two hops do not fit each other, once it begins to show.

The defaults of nginx (60 s) and gunicorn (30 s) do not fit, and nobody is to be told of that alone:
only when answers take nearly as long as a worker may, or a worker was killed for it.
"""

from __future__ import annotations

from typing import Final

from badgateway.collectors import settings
from badgateway.collectors.settings import Bound
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound
from badgateway.diagnosis.words import clock, several

NEAR: Final = 0.8
"""Share of the worker timeout from which on an answer is near it."""
KILLED_SECONDS: Final = 6 * 3600.0
"""How long a worker that was killed for its silence speaks for the present."""


def timeout_ladder(evidence: Evidence) -> RiskFound | None:
    """The proxy would wait longer than the server lets a worker live, and it matters."""
    backend = evidence.backend
    if not settings.mismatches(backend).get("timeout_ladder") or backend.launch is None:
        return None
    worker = dict(backend.launch.timeouts)["worker"]
    read = settings.longest(backend, "read")
    assert read is not None
    cuts = settings.bound(backend)
    killed = [
        end.at
        for end in evidence.worker_ends
        if end.reason == "timeout" and end.at > evidence.now - KILLED_SECONDS
    ]
    # a request that only waits never ends a worker that has an event loop
    near = cuts is Bound.REQUEST and evidence.slowest >= NEAR * worker
    if not killed and not near:
        return None
    facts = []
    if killed:
        facts.append(
            f"Killed by their timeout in the last {KILLED_SECONDS / 3600:.0f} hours: "
            f"{several(len(killed), 'worker')}, last at {clock(max(killed))}."
        )
    if near:
        facts.append(f"An answer took {evidence.slowest:.1f} s in the last 15 minutes.")
    server = backend.server
    option = {"gunicorn": "--timeout", "uwsgi": "harakiri"}.get(server, "its timeout")
    what = "requests" if cuts is Bound.REQUEST else "requests that block its event loop"
    proxy = next(path.proxy for path in backend.paths)
    return RiskFound(
        "timeout_ladder",
        option,
        f"{server} kills a worker of {backend.name} after {worker:g} s, while {proxy} waits "
        f"{read:g} s: {what} for longer end as a 502.",
        tuple(facts),
        (
            f"raise {option} of {server} above {read:g} s, or make the slow requests faster",
            f"or let {proxy} wait less than {worker:g} s, so that it gives up first (504)",
        ),
        min(killed, default=0.0),
    )
