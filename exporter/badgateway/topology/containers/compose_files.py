"""The files of a compose project: read, brought together, with what they include and extend.

Source: the Compose Specification (2024), "Merge", "Include" and "Extend".
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from badgateway.packages import files
from badgateway.topology.containers.compose_variables import FaultError, UnknownError, interpolated

LIMIT: Final = 128 * 1024
"""Bytes of one file; written to be slow, so much takes seconds to read."""
PATHS: Final = 8
_PAIRS: Final = 2000
_DEPTH: Final = 8


def service_of(
    paths: Iterable[str], name: str, known: Mapping[str, str], depth: int = 0
) -> dict[str, Any] | None:
    """Return a service as several files describe it, the later laid over the earlier.

    Args:
        paths: the files.
        name: the service.
        known: variables, for the names of other files.
        depth: how many files led here.

    Returns:
        None when none of them has it.

    Raises:
        OSError: a file cannot be read.
        FaultError: a file is not one that Compose takes; the text names it, with the line.
        UnknownError: it depends on what is not known.
    """
    if depth > _DEPTH:
        raise UnknownError("files that name files without an end")
    merged: dict[str, Any] | None = None
    for path in paths:
        document = _document(path)
        for included in _included(document, path, known):
            found = service_of(included, name, known, depth + 1)
            merged = found if merged is None else merged if found is None else _laid(merged, found)
        services = document.get("services")
        if services is not None and not isinstance(services, dict):
            raise FaultError(f"{path}: `services` is no mapping")
        service = (services or {}).get(name)
        if service is None:
            continue
        if not isinstance(service, dict):
            raise FaultError(f"{path}: the service {name} is no mapping")
        try:
            service = _placed(service, path)
        except FaultError as error:
            raise FaultError(f"{path}: the service {name}: {error}") from None
        base = _extended(service.pop("extends", None), path, known, depth)
        service = _laid(base, service) if base is not None else service
        merged = _laid(merged, service) if merged is not None else service
    return merged


def pairs(given: object) -> dict[str, str]:
    """Return an environment that is written as a map or as a list of ``NAME=value``."""
    if isinstance(given, Mapping):
        return {str(name): text_of(value) for name, value in given.items() if value is not None}
    found = {}
    for item in given if isinstance(given, list | tuple) else ():
        name, separator, value = text_of(item).partition("=")
        if separator:
            found[name] = value
    return found


def text_of(value: object) -> str:
    """Return a scalar as YAML writes it.

    Raises:
        FaultError: it is none: written out, aliases within aliases would have no end.
    """
    if isinstance(value, list | tuple | dict | set):
        raise FaultError("a list or a mapping where a text is due")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _document(path: str) -> dict[str, Any]:
    document = _parsed(files.read_text(path, LIMIT))
    if isinstance(document, str):
        raise FaultError(f"{path}:{document}")
    if not isinstance(document, dict):
        raise FaultError(f"{path}: no compose file: no mapping")
    return document


@functools.lru_cache(maxsize=4 * PATHS)
def _parsed(text: str) -> Any:
    """What a file says, or ``line: why`` it is no YAML. Not to be changed: it is given again."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else "?"
        return f"{line}: {getattr(error, 'problem', None) or error}"[:200]
    except (ValueError, TypeError, RecursionError) as error:
        return f"?: {error}"[:200]
    return {} if document is None else None if isinstance(document, str) else document


def _included(
    document: Mapping[str, Any], path: str, known: Mapping[str, str]
) -> Iterator[list[str]]:
    """The files of each ``include``: one file, or several that are laid over each other."""
    given = document.get("include")
    for item in given if isinstance(given, list) else ():
        named = item.get("path") if isinstance(item, dict) else item
        several = named if isinstance(named, list) else [named]
        yield [
            os.path.join(os.path.dirname(path), interpolated(text_of(each), known))
            for each in several[:PATHS]
        ]


def _extended(
    given: object, path: str, known: Mapping[str, str], depth: int
) -> dict[str, Any] | None:
    """The service that another one extends; None where it extends none."""
    if given is None:
        return None
    wanted = given if isinstance(given, dict) else {"service": given}
    name, file = wanted.get("service"), wanted.get("file")
    if not isinstance(name, str):
        raise FaultError(f"{path}: `extends` names no service")
    there = path
    if file is not None:
        there = os.path.join(os.path.dirname(path), interpolated(text_of(file), known))
    found = service_of([there], name, known, depth + 1)
    if found is None:
        raise FaultError(f"{path}: extends the service {name}, which {there} does not have")
    return found


def _placed(service: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A service with its environment files named from the folder of its own file."""
    given = service.get("env_file")
    items = given if isinstance(given, list) else [] if given is None else [given]
    named = []
    for item in items:
        is_map = isinstance(item, dict)
        text = text_of(item.get("path", "") if is_map else item)
        required = not is_map or item.get("required") is not False
        named.append((os.path.dirname(path), text, required))
    return {**service, "env_file": named, "environment": pairs(service.get("environment"))}


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **under,
        **over,
        "environment": {**under["environment"], **over["environment"]},
        "env_file": [*under["env_file"], *over["env_file"]],
    }


class _Loader(yaml.SafeLoader):
    """Merges (``<<``) no more than ``_PAIRS`` keys: a small text can stand for an endless one."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Write out the merges of a mapping, if they are not too many."""
        super().flatten_mapping(node)
        if len(node.value) > _PAIRS:
            raise yaml.YAMLError("too many keys")


for _tag in ("!reset", "!override"):  # Compose's own, for files laid over others
    _Loader.add_constructor(
        _tag,
        lambda loader, node: (
            loader.construct_mapping(node, deep=True)
            if isinstance(node, yaml.MappingNode)
            else loader.construct_sequence(node, deep=True)
            if isinstance(node, yaml.SequenceNode)
            else None
        ),
    )
