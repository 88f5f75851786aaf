"""The ``fastapi`` command: uvicorn, with the application found from a file's path."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch import options as launch_options
from badgateway.topology.launch import uvicorn as launch_uvicorn
from badgateway.topology.launch.options import Served

_DEFAULT_FILES: Final = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
_FLAGS: Final = launch_uvicorn.FLAGS | {"--no-reload", "--proxy-headers"}
_ANYWHERE: Final = "0.0.0.0"  # noqa: S104 - what ``fastapi run`` listens at


def fastapi(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read the arguments of ``fastapi run`` and ``fastapi dev``."""
    options, positional = launch_options.options(arguments, _FLAGS, {"-e": "entrypoint"})
    if not positional or positional[0] not in ("run", "dev"):
        return Served()
    host = _ANYWHERE if positional[0] == "run" else "127.0.0.1"
    given = [f"--{name}={options[name][-1]}" for name in ("port", "workers") if name in options]
    named = options.get("host", [host])[-1]
    served = launch_uvicorn.uvicorn([f"--host={named}", *given], directory, environment)
    entrypoint = options.get("entrypoint", [""])[-1]
    if entrypoint:
        return replace(
            served, entry=launch_options.entry_of(entrypoint, "app"), search=(directory,)
        )
    file = positional[1] if len(positional) > 1 else _default_file(directory)
    if not file:
        return served
    search, module = _module_of(os.path.normpath(os.path.join(directory, file)))
    attribute = options.get("app", ["app"])[-1]
    return replace(served, entry=f"{module}:{attribute}", search=(search,))


def _default_file(directory: str) -> str:
    found = (name for name in _DEFAULT_FILES if files.exists(os.path.join(directory, name)))
    return next(found, "")


def _module_of(path: str) -> tuple[str, str]:
    """Return the directory to import from and the dotted module, up through the packages."""
    parent, name = os.path.split(path)
    parts = [name.removesuffix(".py")]
    if files.is_directory(path) or parts == ["__init__"]:
        parts = [] if parts == ["__init__"] else parts
    while files.exists(os.path.join(parent, "__init__.py")) and parent != "/":
        parent, name = os.path.split(parent)
        parts.insert(0, name)
    return parent, ".".join(parts)
