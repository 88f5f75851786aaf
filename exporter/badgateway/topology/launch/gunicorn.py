"""gunicorn's command line, variables and configuration file (gunicorn 20.1 to 27)."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.options import (
    ENTRY,
    Served,
    Timeouts,
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

FLAGS: Final = word_set(
    "-h --help -v --version --reload --spew --check-config --print-config --preload "
    "--no-sendfile --reuse-port -D --daemon --initgroups --disable-redirect-access-to-syslog "
    "--capture-output --log-syslog -R --enable-stdio-inheritance --enable-backlog-metric "
    "--proxy-protocol --suppress-ragged-eofs --do-handshake-on-connect "
    "--permit-obsolete-folding --strip-header-spaces --permit-unconventional-http-method "
    "--permit-unconventional-http-version --casefold-http-method --no-control-socket"
)
_SHORT: Final = {
    "-c": "config", "-b": "bind", "-w": "workers", "-k": "worker_class", "-t": "timeout",
    "-e": "env", "-p": "pid", "-u": "user", "-g": "group", "-m": "umask", "-n": "name",
}  # fmt: skip
_READ: Final = word_set(
    "bind workers chdir pythonpath max_requests preload_app wsgi_app worker_class threads "
    "timeout graceful_timeout keepalive"
)
_TIMEOUT_SECONDS: Final = 30.0
_GRACEFUL_SECONDS: Final = 30.0
_KEEPALIVE_SECONDS: Final = 2.0
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


def gunicorn(arguments: Sequence[str], directory: str, environment: Mapping[str, str]) -> Served:
    """Read gunicorn's arguments, ``GUNICORN_CMD_ARGS``, ``PORT``, ``WEB_CONCURRENCY`` and the
    literal settings of its configuration file, which weigh least."""
    given, positional = options(arguments, FLAGS, _SHORT)
    try:
        extra = shlex.split(environment.get("GUNICORN_CMD_ARGS", ""))
    except ValueError:
        extra = []
    more, _ = options(extra, FLAGS, _SHORT)
    chosen = {**more, **given}
    settings, computed = _configuration_file(chosen.get("config", [""])[-1], directory)

    def last(name: str) -> str:
        return chosen.get(name, settings.get(name, [""]))[-1]

    def time(option: str, setting: str, default: float) -> float | None:
        if option in chosen:
            return seconds(chosen[option][-1])
        if setting in computed:
            return None  # known only when it runs
        return seconds(settings[setting][-1]) if setting in settings else default

    root = absolute(last("chdir"), directory)
    port = environment.get("PORT", "")
    default = [f"0.0.0.0:{port}" if port.isdigit() else "127.0.0.1:8000"]
    if "bind" in computed:
        default = []  # known only when it runs
    binds = chosen.get("bind") or settings.get("bind") or default
    addresses = [_bound(a.strip(), root) for bind in binds for a in bind.split(",")]
    paths = [absolute(p.strip(), root) for p in last("pythonpath").split(",") if p.strip()]
    entry = positional[0] if positional else last("wsgi_app")
    preload = "preload" in chosen or last("preload_app") == "True"
    worker_class = last("worker_class").removeprefix("egg:gunicorn#")
    unknown_class = "worker_class" in computed and "worker_class" not in chosen
    if not unknown_class and worker_class in ("", "sync"):
        # threads make gunicorn take another class than asked for
        worker_class = "gthread" if (number(last("threads")) or 1) > 1 else "sync"
    return Served(
        entry_of(entry, "application"),
        files.unique(a for a in addresses if a),
        number(last("workers"))
        or (None if "workers" in computed else number(environment.get("WEB_CONCURRENCY", ""))),
        files.unique([*reversed(paths), root]),
        number(last("max_requests")) or None,
        preload,
        _worker_modules(last("worker_class")),
        worker_class,
        _timeouts(
            worker_class,
            time("timeout", "timeout", _TIMEOUT_SECONDS),
            time("graceful_timeout", "graceful_timeout", _GRACEFUL_SECONDS),
            time("keep_alive", "keepalive", _KEEPALIVE_SECONDS),
        ),
    )


def _timeouts(
    worker_class: str, worker: float | None, graceful: float | None, keepalive: float | None
) -> Timeouts:
    """Leave out what the worker class does not use: sync closes each connection."""
    kept = None if worker_class == "sync" else keepalive
    return timeouts(worker=worker, graceful=graceful, keepalive=kept)


def _worker_modules(worker_class: str) -> tuple[str, ...]:
    name = worker_class.removeprefix("egg:gunicorn#")
    if not name or name in _WORKER_MODULES:
        return (_WORKER_MODULES[name],) if name else ()
    module = name.rpartition(".")[0]
    return (module,) if ENTRY.match(module) else ()


def _configuration_file(named: str, directory: str) -> tuple[dict[str, list[str]], set[str]]:
    """The settings that a configuration file gives as literals, and those it computes."""
    if named.startswith("python:"):
        return {}, set(_READ)
    path = absolute(named.removeprefix("file:") or "gunicorn.conf.py", directory)
    try:
        tree = ast.parse(files.read_bytes(path, 64 << 10))
    except OSError as error:
        # one that nobody names need not be there
        is_there = bool(named) and not isinstance(error, FileNotFoundError)
        return {}, set(_READ) if is_there else set()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}, set(_READ)
    settings: dict[str, list[str]] = {}
    computed: set[str] = set()
    for statement in tree.body:
        name, expression = _assignment(statement)
        if name not in _READ or expression is None:
            for name in _assigned_within(statement) & _READ:
                settings.pop(name, None)
                computed.add(name)
            continue
        settings.pop(name, None)
        computed.discard(name)
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError, RecursionError):
            computed.add(name)
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if found := [str(v) for v in values if isinstance(v, str | int | float)]:
            settings[name] = found
    return settings, computed


def _assigned_within(statement: ast.stmt) -> set[str]:
    """The names that a statement may set: in a branch, a loop, by an import or by adding to them.

    Those of a function are its own.
    """
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return set()
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            taken = {alias.asname or alias.name for alias in node.names}
            found |= set(_READ) if "*" in taken else taken
    return found


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    if not isinstance(target, ast.Name) or not isinstance(statement, ast.Assign | ast.AnnAssign):
        return "", None
    return target.id, statement.value


def _bound(bind: str, directory: str) -> str:
    if bind.startswith("unix:"):
        return unix(re.sub(r"\Aunix:(?://)?", "", bind), directory)
    if bind.startswith("fd://"):
        return ""
    bind = bind.removeprefix("tcp://")
    if bind.startswith("[") and "]" in bind:
        host, _, port = bind[1:].partition("]")
        return address(host, port.lstrip(":") or "8000")
    host, colon, port = bind.partition(":")
    port = port if colon else "8000"
    return address(host or "0.0.0.0", port)  # noqa: S104 - gunicorn's own default
