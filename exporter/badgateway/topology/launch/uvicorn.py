"""uvicorn's command line and variables (uvicorn 0.17 to 0.54)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from badgateway.topology.launch.options import (
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

FLAGS: Final = word_set(
    "--reload --http2 --access-log --no-access-log --use-colors --no-use-colors --proxy-headers "
    "--no-proxy-headers --server-header --no-server-header --date-header --no-date-header "
    "--version --reset-contextvars --factory --help"
)
KEEPALIVE_SECONDS: Final = 5.0
_HEALTHCHECK_SECONDS: Final = 5.0
_MODULES: Final = {
    ("loop", "uvloop"): "uvicorn.loops.uvloop",
    ("http", "h11"): "uvicorn.protocols.http.h11_impl",
    ("http", "httptools"): "uvicorn.protocols.http.httptools_impl",
    ("ws", "websockets"): "uvicorn.protocols.websockets.websockets_impl",
    ("ws", "websockets-sansio"): "uvicorn.protocols.websockets.websockets_sansio_impl",
    ("ws", "wsproto"): "uvicorn.protocols.websockets.wsproto_impl",
}


def uvicorn(
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    *,
    has_healthcheck: bool = False,
) -> Served:
    """Read uvicorn's arguments and its ``UVICORN_*`` and ``WEB_CONCURRENCY`` variables.

    ``has_healthcheck`` tells that the installed version kills a worker that does not answer it.
    """
    given, positional = options(arguments, FLAGS)
    chosen = {
        name.removeprefix("UVICORN_").lower(): [value]
        for name, value in environment.items()
        if name.startswith("UVICORN_") and value
    } | given

    def last(name: str) -> str:
        return chosen.get(name, [""])[-1]

    def time(name: str, default: float | None) -> float | None:
        return seconds(last(name)) if name in chosen else default

    entry = positional[0] if positional else last("app")
    if uds := last("uds"):
        listen: tuple[str, ...] = (unix(uds, directory),)
    elif last("fd"):
        listen = ()
    else:
        found = address(last("host") or "127.0.0.1", last("port") or "8000")
        listen = (found,) if found else ()
    loads = [
        _MODULES[(name, last(name))]
        for name in ("loop", "http", "ws")
        if (name, last(name)) in _MODULES
    ]
    workers = number(last("workers")) or number(environment.get("WEB_CONCURRENCY", ""))
    # one process alone has nobody who looks after it
    checks = (workers or 1) > 1 and "reload" not in chosen
    default = _HEALTHCHECK_SECONDS if has_healthcheck else None
    return Served(
        entry_of(entry, ""),
        listen,
        workers,
        (absolute(last("app_dir"), directory),),
        number(last("limit_max_requests")) or None,
        False,
        tuple(loads),
        timeouts=timeouts(
            keepalive=time("timeout_keep_alive", KEEPALIVE_SECONDS),
            graceful=time("timeout_graceful_shutdown", 0.0),
            healthcheck=time("timeout_worker_healthcheck", default) if checks else None,
        ),
    )
