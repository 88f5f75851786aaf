"""Would the installed gunicorn take its command line and configuration file (20.1 to 27)."""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from badgateway.packages import files
from badgateway.packages.findings import Finding, Target
from badgateway.preflight import argparsing, installation, places
from badgateway.preflight.options import (
    NotReadableError,
    Option,
    Server,
    invalid,
    literal,
    shown,
    tree,
)

_CONFIGURATION_LIMIT: Final = 1 << 20
_COMMAND: Final = "the command line"
_CERTIFICATES: Final = ("certfile", "keyfile")
_VARIABLE: Final = "GUNICORN_CMD_ARGS"


def check(server: Server, target: Target) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return why it would refuse to start, and the files that this was concluded from.

    Raises:
        NotReadableError: its options cannot be read.
    """
    source = os.path.join(server.directory, "config.py")
    options = argparsing.of_classes(tree(source))
    given, findings = argparsing.parse(server, options, target.arguments, _COMMAND)
    found = list(findings)
    told: list[tuple[str, argparse.Namespace]] = []
    try:
        words = shlex.split(target.variables.get(_VARIABLE, ""))
    except ValueError:
        words = []
    if words:
        more, findings = argparsing.parse(server, options, words, _VARIABLE)
        found += findings
        told += [(_VARIABLE, more)] if more else []
    told += [(_COMMAND, given)] if given else []
    settings = {option.name: option for option in options}
    for place, namespace in told:
        found += _values(server, target, settings, vars(namespace), place)
    named = next((n.config for _, n in reversed(told) if getattr(n, "config", None)), None)
    path = _configuration(named, target.directory)
    if path:
        found += _file(server, target, settings, path, bool(named))
    return tuple(found), (source, *((path,) if path else ()))


def _configuration(named: object, directory: str) -> str:
    """The path of the configuration file; empty when it is a module."""
    if not isinstance(named, str):
        return os.path.join(directory, "gunicorn.conf.py")
    if named.startswith("python:"):
        return ""
    return os.path.normpath(os.path.join(directory, named.removeprefix("file:")))


def _file(
    server: Server, target: Target, settings: Mapping[str, Option], path: str, named: bool
) -> Iterator[Finding]:
    if named and places.missing(path):
        yield Finding(
            "server_config_missing",
            "fatal",
            path,
            f"{path}, the configuration file that {server.words} is told to read, does not exist.",
            f"restore {path}, or correct --config",
        )
        return
    try:
        module = ast.parse(files.read_bytes(path, _CONFIGURATION_LIMIT))
    except SyntaxError as error:
        if (installation.minor(server) or (9, 0)) <= sys.version_info[:2]:
            where = f"{path}:{error.lineno}" if error.lineno else path
            yield Finding(
                "server_config_invalid",
                "fatal",
                path,
                f"{where} does not parse, and {server.words} reads it at each start.",
                f"correct {where}",
            )
        return
    except (OSError, ValueError, RecursionError, MemoryError):
        return
    values: dict[str, Any] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            # what is computed is not known, and takes the place of what stood before
            values[statement.targets[0].id] = literal(statement.value)
        elif not isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.Expr):
            return  # what is assigned below may never be, or be assigned anew
    yield from _values(server, target, settings, values, path)


def _values(
    server: Server,
    target: Target,
    settings: Mapping[str, Option],
    values: Mapping[str, Any],
    place: str,
) -> Iterator[Finding]:
    """Look at values as gunicorn's own validators do, as far as they are plain."""
    inside = bool(target.root)
    for name, value in values.items():
        option = settings.get(name)
        if option is None or value is None:
            continue
        words = next((f for f in option.flags if f.startswith("--")), name)
        words = words if place in (_COMMAND, _VARIABLE) else name
        kind = option.validator
        if kind == "validate_pos_int" and (why := _not_positive(value)):
            yield invalid(server, words, why, place)
        elif kind == "validate_user" and not places.user_exists(str(value), inside):
            yield places.user_missing("user", str(value))
        elif kind == "validate_group" and not places.group_exists(str(value), inside):
            yield places.user_missing("group", str(value))
        elif (kind == "validate_chdir" or name in _CERTIFICATES) and isinstance(value, str):
            path = os.path.normpath(os.path.join(target.directory, value))
            moved = name in _CERTIFICATES and not value.startswith("/") and values.get("chdir")
            if moved or not places.missing(path):
                continue
            if kind == "validate_chdir":
                yield places.directory_missing(path, f"The directory of {words}")
            else:
                yield invalid(server, words, f"{path} does not exist", place)
        elif name == "worker_class" and isinstance(value, str):
            yield from _worker_class(server, value, words, place)


def _not_positive(value: object) -> str:
    try:
        number = int(value, 0) if isinstance(value, str) else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return f"{shown(value)} is no whole number"
    return f"{shown(value)} is negative" if number < 0 else ""


def _worker_class(server: Server, value: str, words: str, place: str) -> Iterator[Finding]:
    """A name without a dot is one of gunicorn's own, or one that a package registers as its."""
    name = value.removeprefix("egg:gunicorn#").lstrip("#")
    if "." in name or ":" in name or not name:
        return
    try:
        module = tree(os.path.join(server.directory, "workers/__init__.py"))
    except NotReadableError:
        return
    for statement in module.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == "SUPPORTED_WORKERS":
            assert isinstance(statement, ast.Assign)
            known = literal(statement.value)
            if isinstance(known, dict) and known and name not in known:
                names = ", ".join(sorted(map(str, known)))
                yield invalid(server, words, f"{shown(name)} is none of {names}", place)
