"""Command lines of Hypercorn (0.18), Granian (2.8), and of what is not known."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.options import (
    ENTRY,
    Served,
    absolute,
    address,
    entry_of,
    number,
    options,
    seconds,
    timeouts,
    unix,
)
from badgateway.topology.launch.words import word_set

_HYPERCORN_FLAGS: Final = word_set("-h --help --debug --reload --version")
_HYPERCORN_SHORT: Final = {
    "-b": "bind", "-w": "workers", "-k": "worker_class", "-c": "config", "-p": "pid",
    "-m": "umask", "-u": "user", "-g": "group",
}  # fmt: skip
_HYPERCORN_KEYS: Final = {
    "bind": "bind", "workers": "workers", "max_requests": "max_requests",
    "keep_alive_timeout": "keep_alive", "graceful_timeout": "graceful_timeout",
}  # fmt: skip
"""Keys of its TOML file → the options that they stand for."""
_HYPERCORN_KEEPALIVE_SECONDS: Final = 5.0
_HYPERCORN_GRACEFUL_SECONDS: Final = 3.0
_GRANIAN_FLAGS: Final = word_set(
    "--ws --no-ws --http1-keep-alive --no-http1-keep-alive --http1-pipeline-flush "
    "--no-http1-pipeline-flush --http2-adaptive-window --no-http2-adaptive-window --log --no-log "
    "--access-log --no-access-log --ssl-client-verify --no-ssl-client-verify "
    "--respawn-failed-workers --no-respawn-failed-workers --metrics --no-metrics --factory "
    "--no-factory --reload --no-reload --reload-ignore-worker-failure "
    "--no-reload-ignore-worker-failure --working-dir-reload --version --help"
)


def hypercorn(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read Hypercorn's arguments and its TOML file; one that is a program stays unknown."""
    del environment  # it reads none
    given, positional = options(arguments, _HYPERCORN_FLAGS, _HYPERCORN_SHORT)
    settings = _hypercorn_file(given["config"][-1], directory) if "config" in given else {}
    elsewhere = settings is None
    given = {**(settings or {}), **given}

    def time(name: str, default: float) -> float | None:
        return seconds(given[name][-1]) if name in given else None if elsewhere else default

    binds = given.get("bind") or ([] if elsewhere else ["127.0.0.1:8000"])
    return Served(
        entry_of(positional[0] if positional else "", "app"),
        files.unique(filter(None, (_hypercorn_address(bind, directory) for bind in binds))),
        number(given.get("workers", [""])[-1]),
        (directory,),
        number(given.get("max_requests", [""])[-1]) or None,
        timeouts=timeouts(
            keepalive=time("keep_alive", _HYPERCORN_KEEPALIVE_SECONDS),
            graceful=time("graceful_timeout", _HYPERCORN_GRACEFUL_SECONDS),
        ),
    )


def _hypercorn_file(named: str, directory: str) -> dict[str, list[str]] | None:
    """The settings of a configuration file that are read here; None for one that is a program.

    Keys that Hypercorn does not know it passes over without a word, and so does this.
    """
    if named.startswith(("python:", "file:")) or named.endswith(".py"):
        return None
    try:
        document = tomllib.loads(files.read_text(absolute(named, directory), 64 << 10))
    except (OSError, ValueError, RecursionError):
        return None
    found = {}
    for key, name in _HYPERCORN_KEYS.items():
        value = document.get(key)
        values = value if isinstance(value, list) else [value]
        if texts := [str(v) for v in values if isinstance(v, str | int | float)]:
            found[name] = texts
    return found


def _hypercorn_address(bind: str, directory: str) -> str:
    if bind.startswith("unix:"):
        return unix(bind.removeprefix("unix:"), directory)
    if bind.startswith("fd://"):
        return ""
    host, _, port = bind.rpartition(":") if not bind.endswith("]") else (bind, "", "8000")
    return address(host or "127.0.0.1", port or "8000")


def granian(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read Granian's arguments and its ``GRANIAN_*`` variables."""
    given, positional = options(arguments, _GRANIAN_FLAGS)

    def last(name: str) -> str:
        return given.get(name, [environment.get(f"GRANIAN_{name.upper()}", "")])[-1]

    uds = last("uds")
    listen = unix(uds, directory) if uds else address(
        last("host") or "127.0.0.1", last("port") or "8000"
    )  # fmt: skip
    return Served(
        entry_of(positional[0] if positional else "", "app"),
        (listen,) if listen else (),
        number(last("workers")),
        (absolute(last("working_dir"), directory),),
    )


def other(arguments: Sequence[str], directory: str) -> Served:
    """Look for an application among the arguments of a program that is not known.

    A word such as ``pkg.mod:attr`` is one: an address has digits behind the colon.
    """
    found = (word for word in arguments if ":" in word and ENTRY.match(word))
    entry = next(found, "")
    return Served(entry_of(entry, ""), search=(directory,)) if entry else Served()
