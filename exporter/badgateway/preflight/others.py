"""Would the installed uvicorn, Granian or Hypercorn take its command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from badgateway.packages.findings import Finding, Target
from badgateway.preflight import argparsing, clicking, places
from badgateway.preflight.options import Option, Server, invalid, tree

_COMMAND: Final = "the command line"


def uvicorn(server: Server, target: Target) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return why uvicorn would refuse to start, and the files that this was concluded from.

    Raises:
        NotReadableError: its options cannot be read.
    """
    source, other = (os.path.join(server.directory, name) for name in ("main.py", "config.py"))
    options = clicking.of_decorators(tree(source), tree(other))
    return _clicked(server, target, options, "UVICORN_"), (source, other)


def granian(server: Server, target: Target) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the same of Granian."""
    source = os.path.join(server.directory, "cli.py")
    return _clicked(server, target, clicking.of_decorators(tree(source)), "GRANIAN_"), (source,)


def hypercorn(server: Server, target: Target) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the same of Hypercorn."""
    source = os.path.join(server.directory, "__main__.py")
    options = argparsing.of_calls(tree(source))
    _, findings = argparsing.parse(server, options, target.arguments, _COMMAND)
    return findings, (source,)


def _clicked(
    server: Server, target: Target, options: Sequence[Option], prefix: str
) -> tuple[Finding, ...]:
    given, findings = clicking.parse(server, options, target.arguments, _COMMAND)
    found = [*findings, *_paths(server, target, options, given)]
    for option in options:
        name = f"{prefix}{option.name.upper()}"
        value = target.variables.get(name)
        if not value or option.is_flag or option.multiple or given.get(option.name) is not None:
            continue
        flag = max((f for f in option.flags if f.startswith("--")), key=len, default="")
        if not flag:
            continue
        values, refused = clicking.parse(server, options, [f"{flag}={value}"], name)
        found += [*refused, *_paths(server, target, options, values)]
    return tuple(found)


def _paths(
    server: Server, target: Target, options: Sequence[Option], given: Mapping[str, Any]
) -> Iterator[Finding]:
    """Files that must exist before the server begins."""
    for option in options:
        value = given.get(option.name)
        if option.kind != "path" or not isinstance(value, str):
            continue
        path = os.path.normpath(os.path.join(target.directory, value))
        if not places.missing(path):
            continue
        flag = max(option.flags, key=len)
        if option.name == "log_config":
            yield Finding(
                "server_config_missing",
                "fatal",
                path,
                f"{path}, which {server.words} is told to read by {flag}, does not exist.",
                f"restore {path}, or correct {flag}",
            )
        else:
            yield invalid(server, flag, f"{path} does not exist", _COMMAND)


READERS: Final = {"uvicorn": uvicorn, "granian": granian, "hypercorn": hypercorn}
