"""Which application server a Python program is, and what its own arguments say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch import fastapi as launch_fastapi
from badgateway.topology.launch.gunicorn import gunicorn
from badgateway.topology.launch.options import Served
from badgateway.topology.launch.others import granian, hypercorn, other
from badgateway.topology.launch.uvicorn import uvicorn
from badgateway.topology.launch.uwsgi import uwsgi

_PROGRAMS: Final = {
    "uvicorn": "uvicorn",
    "uvicorn.main": "uvicorn",
    "gunicorn": "gunicorn",
    "gunicorn.app.wsgiapp": "gunicorn",
    "gunicorn.__main__": "gunicorn",
    "hypercorn": "hypercorn",
    "hypercorn.__main__": "hypercorn",
    "granian": "granian",
    "granian.__main__": "granian",
    "uwsgi": "uwsgi",
    "pyuwsgi": "uwsgi",
}
SERVERS: Final = frozenset(_PROGRAMS.values())
"""Those that are known, keys of ``vocabulary.SERVERS``."""
BINARIES: Final = frozenset(("uwsgi", "uwsgi-core", "pyuwsgi"))
"""Servers that are no Python program."""


def serve(
    name: str,
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    virtualenv: str | None,
) -> tuple[str | None, Served]:
    """Say what a program would serve.

    Args:
        name: its module, or its file's name.
        arguments: its own arguments.
        directory: where it would run.
        environment: what it would be given.
        virtualenv: the virtualenv it would run in.

    Returns:
        A key of ``vocabulary.SERVERS``, None for a program that is not known, and what it serves.
    """
    server = "uwsgi" if name in BINARIES else _PROGRAMS.get(name)
    if name in ("fastapi", "fastapi_cli") and arguments:
        served = launch_fastapi.fastapi(arguments, directory, environment)
        return ("uvicorn" if served.listen else None), served
    if server == "gunicorn":
        return server, gunicorn(arguments, directory, environment)
    if server == "uvicorn":
        checked = _uvicorn_checks_health(virtualenv)
        return server, uvicorn(arguments, directory, environment, has_healthcheck=checked)
    if server == "hypercorn":
        return server, hypercorn(arguments, directory, environment)
    if server == "granian":
        return server, granian(arguments, directory, environment)
    if server == "uwsgi":
        return server, uwsgi(arguments, directory)
    return None, other(arguments, directory)


def _uvicorn_checks_health(prefix: str | None) -> bool:
    """Whether the uvicorn of a virtualenv has the option that sets its health check's time."""
    if prefix is None:
        return False
    libraries = os.path.join(prefix, "lib")
    try:
        names = files.listdir(libraries)
    except OSError:
        return False
    for name in names:
        path = os.path.join(libraries, name, "site-packages/uvicorn/main.py")
        try:
            return b"--timeout-worker-healthcheck" in files.read_bytes(path)
        except (OSError, ValueError):
            continue
    return False
