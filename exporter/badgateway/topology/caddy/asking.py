"""Asking a Caddy what it serves: its admin API for what is loaded, its file for what is on disk."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from badgateway import __version__
from badgateway.blocking import Blocking
from badgateway.httperrors import alone
from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.topology.caddy import answers as caddy_answers
from badgateway.topology.caddy import digest as caddy_digest
from badgateway.topology.caddy import files as caddy_files
from badgateway.topology.caddy import logs as caddy_logs
from badgateway.topology.caddy import routes as caddy
from badgateway.topology.caddy.adapter import AdapterError, adapt_caddyfile, may_be_given
from badgateway.topology.caddy.files import CaddyFiles
from badgateway.topology.containers.containment import seen_from_here
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace

DEFAULT_ADMIN: Final = "http://localhost:2019"
_SECONDS: Final = 2.0
_WHOLE_SECONDS: Final = 5.0
_HEADERS: Final = {"User-Agent": f"badgateway/{__version__}"}
_UNANSWERED: Final = (
    httpx.HTTPError, OSError, ValueError,
    # an address as a configuration may have it: `{env.ADMIN}`, `fd/3`, a port beyond 65535
    httpx.InvalidURL, OverflowError, ExceptionGroup,
)  # fmt: skip
_ANSWER_LIMIT: Final = 32 * 1024 * 1024
_SAVED: Final = (
    # of the official image, and of a distribution's user
    "/config/caddy/autosave.json",
    "/var/lib/caddy/.config/caddy/autosave.json",
)


async def look(
    place: ProxyPlace, disk: Blocking, run_adapter: bool = True, admin: str = ""
) -> ProxyFound:
    """Return what the Caddy at ``place`` serves. Never raises; problems are part of the answer.

    Args:
        place: where it is found.
        disk: for reading files.
        run_adapter: whether its own adapter may be run on a Caddyfile.
        admin: where its admin API told the last time.
    """
    problems: dict[str, str] = {}
    file: dict[str, Any] | None = None
    changed = 0.0
    if place.config:
        try:
            written = await disk.call(_files, place)
            changed = written.changed
            file = await _read(place, disk, run_adapter, written)
            problems["caddy-config"] = "; ".join(caddy.faults(file))[:300]
        except (OSError, ValueError, AdapterError) as error:
            problems["caddy-config"] = str(error)[:300]
    memory, told_by = None, ""
    addresses, optional = _admins(place, file, admin)
    for candidate in addresses:
        try:
            memory, told_by = await _ask(candidate), candidate
            problems["caddy-admin"] = ""
            break
        except _UNANSWERED as error:
            late = isinstance(error, TimeoutError)
            said = "no whole answer in time" if late else str(alone(error))
            reason = f"{candidate}: {said or type(error).__name__}"[:300]
            if not optional:
                problems.setdefault("caddy-admin", reason)
    if memory is None and place.container:
        with contextlib.suppress(OSError, ValueError):
            memory = await disk.call(_saved, place)
            if file is None:  # its own adapter is out of reach, and not needed
                problems["caddy-config"] = ""
    document = memory if memory is not None else file
    found = ProxyFound(
        None if memory is None else caddy.routes(memory),
        None if file is None else caddy.routes(file),
        told_by,
        None if document is None else caddy_logs.logs(document),
        problems,
        local=() if document is None else caddy_answers.answers(document),
        listens=() if document is None else caddy.listens(document),
        digest="" if file is None else caddy_digest.digest(file),
        changed=changed,
        loaded_digest="" if memory is None else caddy_digest.digest(memory),
    )
    return seen_from_here(found, place)


def _admins(place: ProxyPlace, file: dict[str, Any] | None, last: str) -> tuple[list[str], bool]:
    """Return the addresses to ask, the likeliest first, and whether silence is no problem.

    The file may have been changed since it was loaded.
    """
    if place.admin is not None:
        return ([place.admin] if place.admin else []), False
    written = caddy.admin_address(file) if file is not None else last or None
    if written == "":  # switched off, or will be by the next reload
        return ([last] if last else []), True
    return list(dict.fromkeys(a for a in (written or DEFAULT_ADMIN, last) if a)), False


async def _ask(admin: str) -> dict[str, Any]:
    """Return the loaded configuration (Caddy's ``GET /config/``)."""
    socket = admin.removeprefix("unix:") if admin.startswith("unix:") else None
    url = "http://localhost" if socket else admin.rstrip("/")
    # over a socket Caddy 2.6 takes no host name at all (its guard against DNS rebinding)
    headers = {**_HEADERS, "Host": ""} if socket else _HEADERS
    # the certificate store is costly to load, and an admin API is spoken to on this host
    transport = httpx.AsyncHTTPTransport(uds=socket, trust_env=False, verify=False)
    async with (
        asyncio.timeout(_WHOLE_SECONDS),
        httpx.AsyncClient(transport=transport, timeout=_SECONDS, trust_env=False) as client,
        client.stream("GET", f"{url}/config/", headers=headers) as response,
    ):
        response.raise_for_status()
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _ANSWER_LIMIT:
                raise ValueError("the answer is larger than 32 MiB")
    return _object(body)


async def _read(
    place: ProxyPlace, disk: Blocking, run_adapter: bool, written: CaddyFiles
) -> dict[str, Any]:
    assert place.config is not None
    path = Path(place.config)
    body = await disk.call(_configuration, place, path)
    if body is not None:
        return _object(body)
    if not run_adapter:
        raise AdapterError(f"{path} is a Caddyfile and running the adapter is switched off")
    if not place.binary:
        raise AdapterError(f"{path} is a Caddyfile and no caddy program is known")
    values, why = await disk.call(_values, place, written)
    for name, where in written.unset:
        # the adapter would take it for nothing, and a site's block for the global options
        if name not in values:
            raise AdapterError(f"{where}: {{${name}}} has no default, and {why}")
    return await adapt_caddyfile(place.binary, place.config, disk, values)


def _values(place: ProxyPlace, written: CaddyFiles) -> tuple[dict[str, str], str]:
    """Return the variables that a Caddyfile names, and why one would be missing; may block."""
    names = {name for name, _ in written.unset}.union(written.optional)
    try:
        found = place.environment.values(names)
    except (OSError, ValueError) as error:
        return {}, f"its unit's environment cannot be read: {files.reason(error)}"
    given = {name: value for name, value in found.items() if may_be_given(name)}
    return given, "its value is Caddy's own"


def _files(place: ProxyPlace) -> CaddyFiles:
    """The files of a configuration; may block."""
    return CaddyFiles() if place.container else caddy_files.look(place.config or "")


def _saved(place: ProxyPlace) -> dict[str, Any]:
    """Return what a Caddy in a container has loaded, as it keeps it on disk; may block.

    Caddy writes every configuration that it takes up to ``caddy/autosave.json`` of the folder for
    configurations (caddyserver.com/docs/conventions).

    Raises:
        OSError: there is none, or it cannot be seen.
        ValueError: it is something else.
    """
    with files.seen_in(Root.of(place.root)):
        path = next((each for each in _SAVED if files.is_file(each)), _SAVED[0])
        return _object(files.read_bytes(path, _ANSWER_LIMIT))


def _configuration(place: ProxyPlace, path: Path) -> bytes | None:
    """Return a JSON configuration's bytes, None for one in another language; may block."""
    with files.seen_in(Root.of(place.root) if place.container else None):
        if not files.is_file(str(path)):
            raise ValueError(f"{path}: no such file")
        return files.read_bytes(str(path), _ANSWER_LIMIT) if path.suffix == ".json" else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if document is None:
        return {}  # Caddy runs and has no configuration
    if not isinstance(document, dict):
        raise ValueError("not a Caddy configuration")
    return document
