"""Is something being installed into a virtualenv at this moment?

Until it is done the disk is inconsistent all the way, also where it is still for some seconds:
packages are downloaded and built before the first file is moved. Told from the process table.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import psutil

_PIP: Final = frozenset(("pip", "pip3", "__pip-runner__.py"))
_MANAGERS: Final = frozenset(("uv", "poetry", "pdm", "pipenv", "hatch"))
_ACTIONS: Final = frozenset(("install", "sync", "update", "upgrade", "uninstall", "remove", "add"))


def installing(virtualenv: str) -> bool:
    """Tell whether an installer works on ``virtualenv``, as far as command lines tell.

    One that names no virtualenv at all (``uv sync``, ``poetry install``) may be at work on any.
    """
    return bool(virtualenv) and any(
        works_on(tuple(process.info["cmdline"] or ()), virtualenv)
        for process in psutil.process_iter(["cmdline"])
    )


def works_on(argv: Sequence[str], virtualenv: str) -> bool:
    """Tell whether a command line is that of an installer at work on ``virtualenv``."""
    words = {os.path.basename(word) for word in argv[:4]}
    if not _ACTIONS.intersection(argv[1:12]):
        return False
    inside = virtualenv.rstrip("/") + "/"
    if words & (_PIP | _MANAGERS) and any(word.startswith(inside) for word in argv):
        return True
    if words & _MANAGERS:
        return True
    if not words & _PIP or argv[0].startswith("/"):
        return False
    place = os.path.dirname(os.path.dirname(argv[0]))  # .venv/bin/python, from wherever
    return bool(place) and virtualenv.endswith("/" + os.path.basename(place))
