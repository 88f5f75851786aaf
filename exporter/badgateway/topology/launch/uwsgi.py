"""Command line and ini files of uWSGI (2.0).

Source: "Configuring uWSGI" and "Configuration logic" (uwsgi-docs.readthedocs.io). A key may stand
several times; what stands between ``if-…`` and ``endif``, ``for`` and ``endfor`` holds only when it
runs, and is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.options import (
    Served,
    absolute,
    address,
    entry_of,
    number,
    seconds,
    timeouts,
    unix,
)

_VALUES: Final = {
    "--http": "http", "--http-socket": "http-socket", "--socket": "socket", "-s": "socket",
    "--uwsgi-socket": "socket", "--module": "module", "-w": "module", "--wsgi": "module",
    "--ini": "ini", "--processes": "processes", "-p": "processes", "--workers": "processes",
    "--harakiri": "harakiri", "-t": "harakiri", "--max-requests": "max-requests",
    "-R": "max-requests", "--chdir": "chdir", "--wsgi-file": "wsgi-file", "--file": "wsgi-file",
    "--callable": "callable",
}  # fmt: skip
_ALIASES: Final = {
    name.lstrip("-"): long for name, long in _VALUES.items() if name.startswith("--")
}
_LISTENS: Final = ("http", "http-socket", "socket")
_ALIASES_SHORT: Final = {name[1:]: long for name, long in _VALUES.items() if name[1] != "-"}
_NESTING: Final = 8
"""Files that name files."""


def uwsgi(arguments: Sequence[str], directory: str) -> Served:
    """Read uWSGI's arguments and its ini file."""
    chosen: dict[str, list[str]] = {}
    for name, value in _settings(arguments, directory):
        chosen.setdefault(name, []).append(value)

    def last(name: str) -> str:
        return chosen.get(name, [""])[-1]

    root = absolute(last("chdir"), directory)
    found = [
        unix(value, root) if "/" in value else address(*_split(value))
        for name in _LISTENS
        for value in chosen.get(name, ())
    ]
    return Served(
        _entry(last("module"), last("wsgi-file"), last("callable")),
        files.unique(filter(None, found)),
        number(last("processes")),
        (root,),
        number(last("max-requests")) or None,
        timeouts=timeouts(worker=seconds(last("harakiri")) if "harakiri" in chosen else 0.0),
    )


def _split(value: str) -> tuple[str, str]:
    host, _, port = value.rpartition(":")
    return host or "0.0.0.0", port  # noqa: S104 - uWSGI's own default


def _entry(module: str, file: str, name: str) -> str:
    """What is served: a module, or a file of the working directory."""
    if module or not file:
        text = f"{module}:{name}" if name and ":" not in module else module
        return entry_of(text, "application")
    if "/" in file or not file.endswith(".py"):
        return ""
    return entry_of(f"{file.removesuffix('.py')}:{name or 'application'}", "application")


def _settings(arguments: Sequence[str], directory: str) -> Iterator[tuple[str, str]]:
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in _VALUES:
            if not equals:
                value = rest.pop(0) if rest else ""
            name = _VALUES[option]
        elif not word.startswith("-") and word.partition(":")[0].endswith(".ini"):
            name, value = "ini", word
        else:
            continue
        if name == "ini":
            yield from _file(value, "", directory, 0)
        else:
            yield name, value


def _file(named: str, current: str, directory: str, depth: int) -> Iterator[tuple[str, str]]:
    """The settings of a file, or of a section of it: ``app.ini``, ``app.ini:prod``, ``:base``."""
    name, _, section = named.partition(":")
    path = absolute(name, directory) if name else current
    if not path or depth > _NESTING:
        return
    try:
        text = files.read_text(path, 64 << 10)
    except (OSError, ValueError):
        return
    here, logic = False, 0
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            here = line == f"[{section or 'uwsgi'}]"
            continue
        if not here or not line or line[0] in "#;":
            continue
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "for" or key.startswith(("if-", "for-")):
            logic += 1
        elif key in ("endif", "endfor", "end-if", "end-for"):
            logic -= 1
        elif logic <= 0:
            yield from _setting(key, value, path, os.path.dirname(path), depth)


def _setting(key: str, value: str, path: str, folder: str, depth: int) -> Iterator[tuple[str, str]]:
    known = _ALIASES.get(key) or _ALIASES_SHORT.get(key)
    if known is None or not value or "%" in value or "$" in value:
        return
    if known == "ini":
        yield from _file(value, path, folder, depth + 1)
    else:
        yield known, value
