"""What a compose file on disk would start next (the Compose Specification, 2024).

Only what decides the command is read: ``command``, ``entrypoint``, ``working_dir``, ``environment``
and ``env_file`` of one service. What depends on a variable that nothing here knows is unknown.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import yaml

from badgateway.packages import files
from badgateway.topology.launch import Launch

_LIMIT: Final = 128 * 1024
"""Bytes of one file; written to be slow, so much takes seconds to read."""
_PATHS: Final = 8
_TEXT: Final = 16 * 1024
_PAIRS: Final = 2000
_PREFIX: Final = "com.docker.compose."
_FILES: Final = _PREFIX + "project.config_files"
_DIRECTORY: Final = _PREFIX + "project.working_dir"
_VARIABLE: Final = re.compile(
    r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-+?])([^{}]*))?\})", re.ASCII
)
_SETTING: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z", re.ASCII)

Planned = tuple[tuple[str, ...], str, Mapping[str, str]]


class UnknownError(ValueError):
    """Something depends on what is not known here."""


def planned(document: Mapping[str, Any]) -> Planned | None:
    """Return (command, working directory, environment) of a service's next start.

    Args:
        document: the description of the container that runs it now.

    Returns:
        None when no compose file tells, or it cannot be read. Never raises.
    """
    config = document.get("Config") or {}
    labels = config.get("Labels") or {}
    name, directory = labels.get(_PREFIX + "service"), str(labels.get(_DIRECTORY) or "/")
    paths = [path for path in str(labels.get(_FILES) or "").split(",") if path]
    if not name or not paths or len(paths) > _PATHS:
        return None
    with files.seen_in(None):  # they are files of the host
        known = _settings(os.path.join(directory, ".env"))
        try:
            service = _service([os.path.join(directory, path) for path in paths], str(name))
            return None if service is None else _start(service, config, directory, known)
        except (OSError, ValueError, TypeError, yaml.YAMLError, RecursionError):
            return None


def same(one: Launch, other: Launch) -> bool:
    """Tell whether two commands start the same, whatever else is in their environment."""
    return replace(one, environment={}) == replace(other, environment={})


def pairs(given: object) -> dict[str, str]:
    """Return an environment that is written as a map or as a list of ``NAME=value``."""
    if isinstance(given, Mapping):
        return {str(name): _text(value) for name, value in given.items() if value is not None}
    found = {}
    for item in given if isinstance(given, list | tuple) else ():
        name, separator, value = _text(item).partition("=")
        if separator:
            found[name] = value
    return found


def interpolated(text: str, known: Mapping[str, str]) -> str:
    """Return a text with its variables replaced.

    Raises:
        UnknownError: one is not known and has no default.
    """

    if len(text) > _TEXT:
        raise UnknownError("too long")

    def value(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name, operator, other = found[2] or found[3], found[4] or "", found[5] or ""
        is_set = bool(known.get(name)) if operator.startswith(":") else name in known
        if operator.endswith("+"):
            return other if is_set else ""
        if is_set:
            return known[name]
        if operator.endswith("-"):
            return other
        raise UnknownError(name)

    return _VARIABLE.sub(value, text)


@functools.lru_cache(maxsize=2 * _PATHS)
def _document(text: str) -> Any:
    """What a file says; None when it is no YAML. Not to be changed: it is given again."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  a safe one
    except (ValueError, TypeError, yaml.YAMLError, RecursionError):
        return None


def _service(paths: Iterable[str], name: str) -> dict[str, Any] | None:
    """The service of several files, the later laid over the earlier."""
    merged: dict[str, Any] = {}
    found = False
    for path in paths:
        document = _document(files.read_text(path, _LIMIT))
        services = document.get("services") if isinstance(document, dict) else None
        service = services.get(name) if isinstance(services, dict) else None
        if not isinstance(service, dict):
            continue
        if "extends" in service:
            return None  # something else stands elsewhere
        found = True
        environment = {**pairs(merged.get("environment")), **pairs(service.get("environment"))}
        given = [*_several(merged.get("env_file")), *_several(service.get("env_file"))]
        merged = {**merged, **service, "environment": environment, "env_file": given}
    return merged if found else None


def _start(
    service: Mapping[str, Any], config: Mapping[str, Any], directory: str, known: Mapping[str, str]
) -> Planned:
    entrypoint, command = service.get("entrypoint"), service.get("command")
    if entrypoint is not None:
        words = _words(entrypoint, known)
    else:
        words = [str(word) for word in config.get("Entrypoint") or ()]
    if command is not None:
        words += _words(command, known)
    elif entrypoint is None:
        words += [str(word) for word in config.get("Cmd") or ()]
    if not words:
        raise UnknownError("command")
    environment = pairs(config.get("Env"))
    for path in service.get("env_file") or ():
        environment |= _settings(os.path.join(directory, interpolated(path, known)))
    for name, value in pairs(service.get("environment")).items():
        try:
            environment[name] = interpolated(value, known)
        except UnknownError:
            environment.pop(name, None)
    where = service.get("working_dir")
    where = interpolated(_text(where), known) if where else str(config.get("WorkingDir") or "/")
    return tuple(words), where, environment


def _words(given: object, known: Mapping[str, str]) -> list[str]:
    if isinstance(given, str):
        return shlex.split(interpolated(given, known))
    if isinstance(given, list):
        return [interpolated(_text(word), known) for word in given]
    raise UnknownError("command")


def _several(given: object) -> Sequence[str]:
    """The paths of ``env_file``: one, several, or maps with ``path``."""
    items = given if isinstance(given, list) else [] if given is None else [given]
    return [_text(item.get("path", "") if isinstance(item, dict) else item) for item in items]


def _settings(path: str) -> dict[str, str]:
    """The variables of an environment file; none when it cannot be read."""
    try:
        text = files.read_text(path, _LIMIT)
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


def _text(value: object) -> str:
    """A scalar as YAML writes it.

    Raises:
        UnknownError: it is none: written out, aliases within aliases would have no end.
    """
    if isinstance(value, list | tuple | dict | set):
        raise UnknownError("no text")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _Loader(yaml.SafeLoader):
    """Merges (``<<``) no more than ``_PAIRS`` keys: a small text can stand for an endless one."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write out the merges of a mapping, if they are not too many."""
        super().flatten_mapping(node)
        if len(node.value) > _PAIRS:
            raise yaml.YAMLError("too many keys")
