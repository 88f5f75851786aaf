"""What a server's own command line says: the application, the addresses, the workers."""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch_words import word_set


@dataclass(frozen=True, slots=True)
class Served:
    """What a server would serve; paths are absolute.

    Attributes:
        entry: ``pkg.mod:attr``; empty when not named.
        listen: ``127.0.0.1:8001``, ``[::1]:8001`` or ``unix:/run/x.sock``.
        workers: as asked for; None when nothing says a number.
        search: import paths the server adds, first first.
        max_requests: after which a worker is replaced; None when never.
        preload: whether workers are forked with the application already loaded.
        loads: modules the options make the server load by name.
    """

    entry: str = ""
    listen: tuple[str, ...] = ()
    workers: int | None = None
    search: tuple[str, ...] = ()
    max_requests: int | None = None
    preload: bool = False
    loads: tuple[str, ...] = ()


UVICORN_FLAGS: Final = word_set(
    "--reload --http2 --access-log --no-access-log --use-colors --no-use-colors --proxy-headers "
    "--no-proxy-headers --server-header --no-server-header --date-header --no-date-header "
    "--version --reset-contextvars --factory --help"
)
GUNICORN_FLAGS: Final = word_set(
    "-h --help -v --version --reload --spew --check-config --print-config --preload "
    "--no-sendfile --reuse-port -D --daemon --initgroups --disable-redirect-access-to-syslog "
    "--capture-output --log-syslog -R --enable-stdio-inheritance --enable-backlog-metric "
    "--proxy-protocol --suppress-ragged-eofs --do-handshake-on-connect "
    "--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method "
    "--permit-unconventional-http-version --casefold-http-method --no-control-socket"
)
_NO_SHORT: Final[Mapping[str, str]] = {}
_GUNICORN_SHORT: Final = {
    "-c": "config", "-b": "bind", "-w": "workers", "-k": "worker_class", "-t": "timeout",
    "-e": "env", "-p": "pid", "-u": "user", "-g": "group", "-m": "umask", "-n": "name",
}  # fmt: skip
_GUNICORN_READ: Final = word_set(
    "bind workers chdir pythonpath max_requests preload_app wsgi_app worker_class"
)
_ENTRY: Final = re.compile(r"[^\W\d]\w*(?:\.\w+)*(?::[^\W\d][\w.]*(?:\(.*\))?)?\Z")
_WORKER_MODULES: Final = {
    "sync": "gunicorn.workers.sync",
    "gthread": "gunicorn.workers.gthread",
    "gevent": "gunicorn.workers.ggevent",
    "gevent_wsgi": "gunicorn.workers.ggevent",
    "gevent_pywsgi": "gunicorn.workers.ggevent",
    "eventlet": "gunicorn.workers.geventlet",
    "tornado": "gunicorn.workers.gtornado",
    "asgi": "gunicorn.workers.gasgi",
}
_UVICORN_MODULES: Final = {
    ("loop", "uvloop"): "uvicorn.loops.uvloop",
    ("http", "h11"): "uvicorn.protocols.http.h11_impl",
    ("http", "httptools"): "uvicorn.protocols.http.httptools_impl",
    ("ws", "websockets"): "uvicorn.protocols.websockets.websockets_impl",
    ("ws", "websockets-sansio"): "uvicorn.protocols.websockets.websockets_sansio_impl",
    ("ws", "wsproto"): "uvicorn.protocols.websockets.wsproto_impl",
}


def uvicorn(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read uvicorn's arguments and its ``UVICORN_*`` and ``WEB_CONCURRENCY`` variables."""
    given, positional = options(arguments, UVICORN_FLAGS)
    chosen = {
        name.removeprefix("UVICORN_").lower(): [value]
        for name, value in environment.items()
        if name.startswith("UVICORN_") and value
    } | given

    def last(name: str) -> str:
        return chosen.get(name, [""])[-1]

    entry = positional[0] if positional else last("app")
    if uds := last("uds"):
        listen: tuple[str, ...] = (_unix(uds, directory),)
    elif last("fd"):
        listen = ()
    else:
        address = _address(last("host") or "127.0.0.1", last("port") or "8000")
        listen = (address,) if address else ()
    loads = [
        _UVICORN_MODULES[(name, last(name))]
        for name in ("loop", "http", "ws")
        if (name, last(name)) in _UVICORN_MODULES
    ]
    return Served(
        entry_of(entry, ""),
        listen,
        _number(last("workers")) or _number(environment.get("WEB_CONCURRENCY", "")),
        (_absolute(last("app_dir"), directory),),
        _number(last("limit_max_requests")) or None,
        False,
        tuple(loads),
    )


def gunicorn(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read gunicorn's arguments, ``GUNICORN_CMD_ARGS``, ``PORT``, ``WEB_CONCURRENCY`` and the
    literal settings of its configuration file."""
    given, positional = options(arguments, GUNICORN_FLAGS, _GUNICORN_SHORT)
    try:
        extra = shlex.split(environment.get("GUNICORN_CMD_ARGS", ""))
    except ValueError:
        extra = []
    more, _ = options(extra, GUNICORN_FLAGS, _GUNICORN_SHORT)
    chosen = {**more, **given}
    settings = _configuration_file(chosen.get("config", [""])[-1], directory)

    def last(name: str) -> str:
        return chosen.get(name, settings.get(name, [""]))[-1]

    root = _absolute(last("chdir"), directory)
    port = environment.get("PORT", "")
    default = [f"0.0.0.0:{port}" if port.isdigit() else "127.0.0.1:8000"]
    binds = chosen.get("bind") or settings.get("bind") or default
    addresses = [_gunicorn_address(a.strip(), root) for bind in binds for a in bind.split(",")]
    paths = [_absolute(p.strip(), root) for p in last("pythonpath").split(",") if p.strip()]
    entry = positional[0] if positional else last("wsgi_app")
    preload = "preload" in chosen or last("preload_app") == "True"
    return Served(
        entry_of(entry, "application"),
        files.unique(a for a in addresses if a),
        _number(last("workers")) or _number(environment.get("WEB_CONCURRENCY", "")),
        files.unique([*reversed(paths), root]),
        _number(last("max_requests")) or None,
        preload,
        _worker_modules(last("worker_class")),
    )


def other(arguments: Sequence[str], directory: str) -> Served:
    """Look for an application among the arguments of a program that is not known.

    A word such as ``pkg.mod:attr`` is one: an address has digits behind the colon.
    """
    found = (word for word in arguments if ":" in word and _ENTRY.match(word))
    entry = next(found, "")
    return Served(entry_of(entry, ""), search=(directory,)) if entry else Served()


def _worker_modules(worker_class: str) -> tuple[str, ...]:
    name = worker_class.removeprefix("egg:gunicorn#")
    if not name or name in _WORKER_MODULES:
        return (_WORKER_MODULES[name],) if name else ()
    module = name.rpartition(".")[0]
    return (module,) if _ENTRY.match(module) else ()


def options(
    arguments: Sequence[str], flags: frozenset[str], short: Mapping[str, str] = _NO_SHORT
) -> tuple[dict[str, list[str]], list[str]]:
    """Split into options (long name with underscores → values) and positional words.

    ``flags`` take no value; ``short`` maps letters such as ``-b`` to long names.
    """
    found: dict[str, list[str]] = {}
    positional: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            positional += rest
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        if word.startswith("--"):
            name, equals, value = word.partition("=")
        else:
            name, value = word[:2], word[2:]
            equals, value = ("=", value.removeprefix("=")) if value else ("", "")
        if not equals and name not in flags and rest:
            value = rest.pop(0)
        long = short.get(name, name.lstrip("-")).replace("-", "_")
        found.setdefault(long, []).append(value)
    return found, positional


def _configuration_file(named: str, directory: str) -> dict[str, list[str]]:
    if named.startswith("python:"):
        return {}
    path = _absolute(named.removeprefix("file:") or "gunicorn.conf.py", directory)
    try:
        tree = ast.parse(files.read_bytes(path, 64 << 10))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    settings: dict[str, list[str]] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        if name not in _GUNICORN_READ:
            continue
        try:
            value = ast.literal_eval(statement.value)
        except (ValueError, TypeError, RecursionError):
            settings.pop(name, None)  # computed when it runs: not known
            continue
        values = value if isinstance(value, list | tuple) else [value]
        settings[name] = [str(v) for v in values if isinstance(v, str | int)]
        if not settings[name]:
            settings.pop(name)
    return settings


def _gunicorn_address(bind: str, directory: str) -> str:
    if bind.startswith("unix:"):
        return _unix(re.sub(r"\Aunix:(?://)?", "", bind), directory)
    if bind.startswith("fd://"):
        return ""
    bind = bind.removeprefix("tcp://")
    if bind.startswith("[") and "]" in bind:
        host, _, port = bind[1:].partition("]")
        return _address(host, port.lstrip(":") or "8000")
    host, _, port = bind.partition(":")
    return _address(host or "0.0.0.0", port or "8000")  # noqa: S104 - gunicorn's own default


def _address(host: str, port: str) -> str:
    if not port.isdigit():
        return ""
    host = host.strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unix(path: str, directory: str) -> str:
    return "unix:" + _absolute(path, directory)


def _absolute(path: str, directory: str) -> str:
    return os.path.normpath(os.path.join(directory, path))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def entry_of(text: str, attribute: str) -> str:
    """Return ``pkg.mod:attr`` as a server would understand ``text``; empty when it would not."""
    if not _ENTRY.match(text):
        return ""
    module, colon, name = text.partition(":")
    name = name.partition("(")[0] if colon else attribute
    return f"{module}:{name}" if name else module
