"""systemd units that are applications or proxies (properties of org.freedesktop.systemd1(5)).

Pure but for what ``launch`` reads: a unit's properties in, what it is out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from badgateway.topology import processes
from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import Launch
from badgateway.topology.launch.servers import SERVERS
from badgateway.topology.launch.unit import unit_launch
from badgateway.topology.launch.unit_environment import UnitEnvironment
from badgateway.topology.proxies import options as proxy_options
from badgateway.topology.proxies.place import ProxyPlace

_DECLARATIONS: Final = ("pyproject.toml", "requirements.txt", "setup.cfg", "setup.py")
_LEVELS: Final = 3
_MADE: Final = ("Runtime", "State", "Cache", "Logs", "Configuration")
_ROOTS: Final = ("RootDirectory", "RootImage")
_MOUNTS: Final = ("BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "MountImages")


def application(
    unit: str, properties: Mapping[str, Any], learnt: Sequence[str] = ()
) -> Backend | None:
    """Return the backend a unit runs, or None when it runs no application server.

    Args:
        unit: its name.
        properties: its properties.
        learnt: addresses it was seen to listen at. They hold where its command line depends on an
            environment file that cannot be read here and it does not run now.
    """
    command = exec_start(properties)
    if not command:
        return None
    launch = unit_launch(
        command,
        str(properties.get("WorkingDirectory") or ""),
        [str(item) for item in properties.get("Environment") or ()],
        [(str(item[0]), bool(item[1])) for item in properties.get("EnvironmentFiles") or ()],
        user=str(properties.get("User") or ""),
        group=str(properties.get("Group") or ""),
    )
    if launch.server not in SERVERS:
        return None
    launch = _without_what_is_made(launch, properties)
    running = processes.launch_of(int(properties.get("MainPID") or 0))
    if running is not None and running.server == launch.server and running.listen:
        # the process' own command line is what systemd really gave it
        launch = replace(launch, listen=running.listen, workers=running.workers or launch.workers)
    elif launch.problem == "environment_file_missing" and any("$" in word for word in command):
        launch = replace(launch, listen=tuple(learnt))
    return backend(unit.removesuffix(".service"), launch, manager="systemd", unit=unit)


def _without_what_is_made(launch: Launch, properties: Mapping[str, Any]) -> Launch:
    """Leave out what a start needs and systemd itself provides, or looks for elsewhere."""
    if properties.get("DynamicUser"):
        launch = replace(launch, user="", group="")
    made = any(properties.get(f"{kind}Directory") for kind in _MADE)
    elsewhere = any(str(properties.get(name) or "") not in ("", "/") for name in _ROOTS)
    mounted = any(properties.get(name) for name in _MOUNTS)
    if made or elsewhere or mounted:
        launch = replace(launch, needed_directory="")
    return replace(launch, user="", group="") if elsewhere else launch


def proxy(unit: str, properties: Mapping[str, Any]) -> ProxyPlace | None:
    """Return the proxy that a unit runs, or None when it runs none that is known."""
    command = exec_start(properties)
    program = os.path.basename(command[0]) if command else ""
    name, pid = unit.removesuffix(".service"), int(properties.get("MainPID") or 0)
    folder = str(properties.get("WorkingDirectory") or "").lstrip("!-")
    if program == "caddy" and "run" in command[1:2]:
        config = proxy_options.caddy_file(command, folder)
        return ProxyPlace(
            name, "caddy", unit, config=config, binary=command[0], pid=pid,
            is_apart=_is_apart(properties), environment=UnitEnvironment.of(properties),
        )  # fmt: skip
    if program in proxy_options.NGINX:
        config, prefix = proxy_options.nginx_files(command, folder)
        return ProxyPlace(
            name, "nginx", unit, config=config, prefix=prefix, binary=command[0], pid=pid,
            is_apart=_is_apart(properties),
        )  # fmt: skip
    return None


def _is_apart(properties: Mapping[str, Any]) -> bool:
    """Whether a unit's processes are in a network of their own."""
    return bool(properties.get("PrivateNetwork") or properties.get("NetworkNamespacePath"))


def is_gone(properties: Mapping[str, Any]) -> bool:
    """Tell whether systemd has no file for a unit any more; it may still run."""
    return str(properties.get("LoadState") or "") == "not-found"


def exec_start(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of a service's last ``ExecStart=`` command, the program's path first."""
    commands = properties.get("ExecStart") or ()
    if not commands:
        return ()
    path, words = str(commands[-1][0]), [str(word) for word in commands[-1][1]]
    return (path, *words[1:])


def backend(name: str, launch: Launch, manager: str, unit: str = "") -> Backend:
    """Return the backend that a command line describes."""
    return Backend(
        name,
        manager,
        unit,
        launch,
        launch.listen,
        project=project_of(launch),
        virtualenv=launch.virtualenv,
    )


def completed(named: Backend, launch: Launch) -> Backend:
    """Return a backend that a configuration names, completed by what is seen to run there."""
    return replace(
        named,
        manager="process",
        launch=launch,
        listens=named.listens or launch.listen,
        project=named.project or project_of(launch),
        virtualenv=named.virtualenv or launch.virtualenv,
    )


def project_of(launch: Launch) -> str | None:
    """Return the directory that declares what a command runs, or None.

    Looked for at the working directory, where modules are searched, and beside the virtualenv, and
    a few levels above each.
    """
    places = [launch.working_directory, *launch.search]
    if launch.virtualenv:
        places.append(os.path.dirname(launch.virtualenv))
    for place in places:
        directory = Path(place)
        for candidate in (directory, *list(directory.parents)[:_LEVELS]):
            if candidate == Path("/"):
                break
            if any((candidate / name).is_file() for name in _DECLARATIONS):
                return str(candidate)
    return places[-1] if launch.virtualenv else None
