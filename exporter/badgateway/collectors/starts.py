"""What to scan for a backend: what its next start would run."""

from __future__ import annotations

from typing import Final

from badgateway.packages.findings import Target
from badgateway.preflight.look import READERS
from badgateway.topology.backends import Backend

_VARIABLES: Final = {
    "gunicorn": "GUNICORN_CMD_ARGS",
    "uvicorn": "UVICORN_",
    "granian": "GRANIAN_",
}
"""What each server reads of its environment as options; the beginning of the name."""


def is_judged(backend: Backend) -> bool:
    """Tell whether anything can be said of a backend's next start."""
    launch = backend.next_launch or backend.launch
    if backend.project is not None:
        return backend.virtualenv is not None or launch is not None
    return launch is not None and launch.server in READERS and bool(launch.arguments)


def target(backend: Backend, cache: str | None) -> Target:
    """Return what to scan for a backend: what its next start would run."""
    launch = backend.next_launch or backend.launch
    named = _VARIABLES.get(launch.server or "", "") if launch else ""
    return Target(
        project=backend.project or "",
        virtualenv=backend.virtualenv or "",
        entry=launch.entry if launch else "",
        server=(launch.server if launch else None) or "unknown",
        search=launch.search if launch else (),
        script=(launch.script or "") if launch else "",
        module=(launch.module or "") if launch else "",
        loads=launch.loads if launch else (),
        extras=backend.extras,
        interpreter=(launch.interpreter or "") if launch else "",
        home=launch.environment.get("HOME", "") if launch else "",
        directory=launch.working_directory if launch else "",
        installs=launch.installs if launch else False,
        cache=cache,
        # where something of it is not known, its words may be others
        arguments=launch.arguments if launch and launch.problem is None else (),
        variables={n: v for n, v in launch.environment.items() if named and n.startswith(named)}
        if launch
        else {},
        user=launch.user if launch else "",
        group=launch.group if launch else "",
        needed_files=launch.needed_files if launch else (),
        needed_directory=launch.needed_directory if launch else "",
        root=backend.container.root if backend.container else (),
    )
