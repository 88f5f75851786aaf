"""What a compose file on disk would start next (the Compose Specification, 2024).

Only what decides the command is read: ``command``, ``entrypoint``, ``working_dir``, ``environment``
and ``env_file`` of one service. What depends on a variable that nothing here knows is unknown; what
Compose would refuse is told with its file.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from badgateway.packages import files
from badgateway.topology.containers import compose_files
from badgateway.topology.containers.compose_files import pairs, text_of
from badgateway.topology.containers.compose_variables import FaultError, UnknownError, interpolated
from badgateway.topology.launch.command import Launch

_PREFIX: Final = "com.docker.compose."
_FILES: Final = _PREFIX + "project.config_files"
_DIRECTORY: Final = _PREFIX + "project.working_dir"
_SETTING: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z", re.ASCII)

Planned = tuple[tuple[str, ...], str, Mapping[str, str]]


def planned(document: Mapping[str, Any]) -> Planned | None:
    """Return (command, working directory, environment) of a service's next start.

    Args:
        document: the description of the container that runs it now.

    Returns:
        None when no compose file tells, or it cannot be read. Never raises.
    """
    try:
        return _planned(document)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def unread(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return what is wrong with the first compose file that Compose would refuse; empty for none.

    A file that is gone, or that may not be read here, is not wrong. Never raises.

    Args:
        documents: the descriptions of containers.
    """
    for document in documents:
        try:
            _planned(document)
        except FaultError as error:
            return str(error)[:300]
        except (OSError, ValueError, TypeError, RecursionError):
            continue
    return ""


def same(one: Launch, other: Launch) -> bool:
    """Tell whether two commands start the same, whatever else is in their environment."""
    return replace(one, environment={}) == replace(other, environment={})


def _planned(document: Mapping[str, Any]) -> Planned | None:
    config = document.get("Config") or {}
    labels = config.get("Labels") or {}
    name, directory = labels.get(_PREFIX + "service"), str(labels.get(_DIRECTORY) or "/")
    paths = [path for path in str(labels.get(_FILES) or "").split(",") if path]
    if not name or not paths or len(paths) > compose_files.PATHS:
        return None
    with files.seen_in(None):  # they are files of the host
        known = _settings(os.path.join(directory, ".env"))
        named = [os.path.join(directory, path) for path in paths]
        service = compose_files.service_of(named, str(name), known)
        if service is None:
            return None
        try:
            return _start(service, config, known)
        except FaultError as error:
            raise FaultError(f"{named[-1]}: the service {name}: {error}") from None


def _start(
    service: Mapping[str, Any], config: Mapping[str, Any], known: Mapping[str, str]
) -> Planned:
    entrypoint, command = service.get("entrypoint"), service.get("command")
    if entrypoint is not None:
        words = _words("entrypoint", entrypoint, known)
    else:
        words = [str(word) for word in config.get("Entrypoint") or ()]
    if command is not None:
        words += _words("command", command, known)
    elif entrypoint is None:
        words += [str(word) for word in config.get("Cmd") or ()]
    if not words:
        raise UnknownError("command")
    environment = pairs(config.get("Env"))
    for folder, path, required in service["env_file"]:
        full = os.path.join(folder, interpolated(path, known))
        if required and files.exists(full) is False:
            raise FaultError(f"the env_file {full} does not exist")
        environment |= _settings(full)
    for name, value in service["environment"].items():
        try:
            environment[name] = interpolated(value, known)
        except FaultError:
            raise
        except UnknownError:
            environment.pop(name, None)
    where = service.get("working_dir")
    where = interpolated(text_of(where), known) if where else str(config.get("WorkingDir") or "/")
    return tuple(words), where, environment


def _words(key: str, given: object, known: Mapping[str, str]) -> list[str]:
    if isinstance(given, str):
        text = interpolated(given, known)
        try:
            return shlex.split(text)
        except ValueError as error:
            raise FaultError(f"its {key} cannot be split into words: {error}") from None
    if isinstance(given, list):
        return [interpolated(text_of(word), known) for word in given]
    raise FaultError(f"its {key} is neither a text nor a list")


def _settings(path: str) -> dict[str, str]:
    """The variables of an environment file; none when it cannot be read."""
    try:
        text = files.read_text(path, compose_files.LIMIT)
    except (OSError, ValueError):
        return {}
    found = {}
    for line in text.splitlines():
        setting = None if line.lstrip().startswith("#") else _SETTING.match(line)
        if setting is None:
            continue
        value = setting[2]
        if value[:1] in "'\"" and value[:1] and value[-1:] == value[0] and len(value) > 1:
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].rstrip()
        found[setting[1]] = value
    return found
