"""Proxies' configurations: what is loaded, asked of the admin API, and what is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from badgateway import __version__
from badgateway.topology import caddy
from badgateway.topology.adapter import AdapterError, adapt_caddyfile
from badgateway.topology.caddy import Route

DEFAULT_ADMIN: Final = "http://localhost:2019"
_SECONDS: Final = 2.0
_HEADERS: Final = {"User-Agent": f"badgateway/{__version__}"}
_ANSWER_LIMIT: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CaddyPlace:
    """Where a Caddy is found.

    Attributes:
        name: the ``proxy`` label.
        unit: its systemd unit, or empty.
        admin: URL of its admin API; empty for none.
        config: its configuration file, or None.
        binary: the program, for its adapter; empty for none.
    """

    name: str
    unit: str = ""
    admin: str = DEFAULT_ADMIN
    config: str | None = None
    binary: str = ""


@dataclass(frozen=True, slots=True)
class CaddyFound:
    """What a Caddy serves.

    Attributes:
        loaded: routes in memory; None when the admin API did not tell.
        on_disk: routes of the file; None when they could not be read.
        log_files: files it writes JSON logs to.
        problems: source name (``caddy-admin``, ``caddy-config``) → why; empty when it is fine.
    """

    loaded: tuple[Route, ...] | None = None
    on_disk: tuple[Route, ...] | None = None
    log_files: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that hold: those in memory, else those on disk."""
        return self.loaded if self.loaded is not None else self.on_disk or ()


async def look(place: CaddyPlace, run_adapter: bool = True) -> CaddyFound:
    """Return what the Caddy at ``place`` serves. Never raises; problems are part of the answer."""
    problems: dict[str, str] = {}
    loaded: tuple[Route, ...] | None = None
    on_disk: tuple[Route, ...] | None = None
    files: tuple[str, ...] = ()
    if place.admin:
        try:
            document = await _ask(place.admin)
            loaded, files = caddy.routes(document), caddy.log_files(document)
            problems["caddy-admin"] = ""
        except (httpx.HTTPError, OSError, ValueError) as error:
            problems["caddy-admin"] = f"{place.admin}: {str(error) or type(error).__name__}"[:300]
    if place.config:
        try:
            document = await _read(place, run_adapter)
            on_disk = caddy.routes(document)
            files = files or caddy.log_files(document)
            problems["caddy-config"] = ""
        except (OSError, ValueError, AdapterError) as error:
            problems["caddy-config"] = str(error)[:300]
    return CaddyFound(loaded, on_disk, files, problems)


async def _ask(admin: str) -> dict[str, Any]:
    """Return the loaded configuration (Caddy's ``GET /config/``)."""
    socket = admin.removeprefix("unix:") if admin.startswith("unix:") else None
    url = "http://localhost" if socket else admin.rstrip("/")
    # the certificate store is costly to load, and an admin API is spoken to on this host
    transport = httpx.AsyncHTTPTransport(uds=socket, trust_env=False, verify=False)
    async with (
        httpx.AsyncClient(transport=transport, timeout=_SECONDS, trust_env=False) as client,
        client.stream("GET", f"{url}/config/", headers=_HEADERS) as response,
    ):
        response.raise_for_status()
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _ANSWER_LIMIT:
                raise ValueError("the answer is larger than 32 MiB")
    return _object(body)


async def _read(place: CaddyPlace, run_adapter: bool) -> dict[str, Any]:
    assert place.config is not None
    path = Path(place.config)
    if path.suffix == ".json":
        if path.stat().st_size > _ANSWER_LIMIT:
            raise ValueError(f"{path}: larger than 32 MiB")
        return _object(path.read_bytes())
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not run_adapter:
        raise AdapterError(f"{path} is a Caddyfile and running the adapter is switched off")
    if not place.binary:
        raise AdapterError(f"{path} is a Caddyfile and no caddy program is known")
    return await adapt_caddyfile(place.binary, place.config)


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not JSON: {error}") from None
    if document is None:
        return {}  # Caddy runs and has no configuration
    if not isinstance(document, dict):
        raise ValueError("not a Caddy configuration")
    return document
