"""Command lines of Hypercorn (0.18), Granian (2.8), uWSGI (2.0), and of what is not known."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch_options import (
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
from badgateway.topology.launch_words import word_set

_HYPERCORN_FLAGS: Final = word_set("-h --help --debug --reload --version")
_HYPERCORN_SHORT: Final = {
    "-b": "bind", "-w": "workers", "-k": "worker_class", "-c": "config", "-p": "pid",
    "-m": "umask", "-u": "user", "-g": "group",
}  # fmt: skip
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
_UWSGI_VALUES: Final = {
    "--http": "http", "--http-socket": "http-socket", "--socket": "socket", "-s": "socket",
    "--uwsgi-socket": "socket", "--module": "module", "-w": "module", "--wsgi": "module",
    "--ini": "ini", "--processes": "processes", "-p": "processes", "--workers": "processes",
    "--harakiri": "harakiri", "-t": "harakiri", "--max-requests": "max-requests",
    "-R": "max-requests", "--chdir": "chdir",
}  # fmt: skip
_UWSGI_ALIASES: Final = {
    name.lstrip("-"): long for name, long in _UWSGI_VALUES.items() if name.startswith("--")
}
_UWSGI_LISTENS: Final = ("http", "http-socket", "socket")


def hypercorn(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read Hypercorn's arguments; what only its configuration file says stays unknown."""
    del environment  # it reads none
    given, positional = options(arguments, _HYPERCORN_FLAGS, _HYPERCORN_SHORT)
    elsewhere = "config" in given

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


def uwsgi(arguments: Sequence[str], directory: str) -> Served:
    """Read uWSGI's arguments and the ``[uwsgi]`` section of its ini file."""
    chosen: dict[str, list[str]] = {}
    for name, value in _uwsgi_settings(arguments, directory):
        chosen.setdefault(name, []).append(value)

    def last(name: str) -> str:
        return chosen.get(name, [""])[-1]

    root = absolute(last("chdir"), directory)
    found = [
        unix(value, root) if "/" in value else address(*_split(value))
        for name in _UWSGI_LISTENS
        for value in chosen.get(name, ())
    ]
    return Served(
        entry_of(last("module"), "application"),
        files.unique(filter(None, found)),
        number(last("processes")),
        (root,),
        number(last("max-requests")) or None,
        timeouts=timeouts(worker=seconds(last("harakiri")) if "harakiri" in chosen else 0.0),
    )


def _split(value: str) -> tuple[str, str]:
    host, _, port = value.rpartition(":")
    return host or "0.0.0.0", port  # noqa: S104 - uWSGI's own default


def _uwsgi_settings(arguments: Sequence[str], directory: str) -> Iterator[tuple[str, str]]:
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in _UWSGI_VALUES:
            if not equals:
                value = rest.pop(0) if rest else ""
            name = _UWSGI_VALUES[option]
        elif word.endswith(".ini") and not word.startswith("-"):
            name, value = "ini", word
        else:
            continue
        if name == "ini":
            yield from _uwsgi_file(absolute(value.partition(":")[0], directory))
        else:
            yield name, value


def _uwsgi_file(path: str) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        parser.read_string(files.read_text(path, 64 << 10))
    except (OSError, ValueError, configparser.Error):
        return
    for name, value in parser.items("uwsgi") if parser.has_section("uwsgi") else ():
        known = _UWSGI_ALIASES.get(name.strip())
        if known and known != "ini" and value and "%" not in value and "$" not in value:
            yield known, value.strip()


def other(arguments: Sequence[str], directory: str) -> Served:
    """Look for an application among the arguments of a program that is not known.

    A word such as ``pkg.mod:attr`` is one: an address has digits behind the colon.
    """
    found = (word for word in arguments if ":" in word and ENTRY.match(word))
    entry = next(found, "")
    return Served(entry_of(entry, ""), search=(directory,)) if entry else Served()
