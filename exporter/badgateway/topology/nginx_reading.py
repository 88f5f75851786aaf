"""Reading nginx' configuration files, with all they include (by ``crossplane``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import crossplane

from badgateway.blocking import Blocking
from badgateway.topology import nginx
from badgateway.topology.proxyplace import ProxyFound, ProxyPlace
from badgateway.topology.routes import WrittenLog

DEFAULT_CONFIG: Final = "/etc/nginx/nginx.conf"
_COMPILED_LOGS: Final = (
    # where distributions' builds write what no directive says otherwise (Debian, RHEL, nginx.org)
    WrittenLog("/var/log/nginx/error.log", "nginx-error", errors=True, access=False),
    WrittenLog("/var/log/nginx/access.log", "nginx-access", errors=False, access=True),
)
_SIZE_LIMIT: Final = 16 * 1024 * 1024

Stamp = tuple[tuple[str, int, int, int], ...]


class NginxFiles:
    """Reads nginx' configurations; what has not changed is not read again."""

    def __init__(self) -> None:
        self._known: dict[ProxyPlace, tuple[Stamp, ProxyFound]] = {}

    async def look(self, place: ProxyPlace, disk: Blocking) -> ProxyFound:
        """Return what the nginx at ``place`` serves. Never raises."""
        try:
            return await disk.call(self._read, place)
        except (OSError, ValueError) as error:
            return ProxyFound(problems={"nginx-config": str(error)[:300]})

    def _read(self, place: ProxyPlace) -> ProxyFound:
        """Read the files; may block.

        Raises:
            ValueError: the configuration cannot be read, with file and line.
        """
        known = self._known.get(place)
        if known is not None and known[0] == _stamp(path for path, *_ in known[0]):
            return known[1]
        path = Path(place.config or DEFAULT_CONFIG)
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        if path.stat().st_size > _SIZE_LIMIT:
            raise ValueError(f"{path}: larger than 16 MiB")
        try:
            payload = crossplane.parse(
                str(path), combine=True, catch_errors=True, check_ctx=False, check_args=False
            )
        except RecursionError:
            raise ValueError(f"{path}: nested too deeply, or it includes itself") from None
        found = _found(place, path, payload)
        self._known[place] = (_stamp(_files(path, payload)), found)
        return found


def _found(place: ProxyPlace, path: Path, payload: Mapping[str, Any]) -> ProxyFound:
    directives = [d for config in payload.get("config", ()) for d in config.get("parsed", ())]
    problem = ""
    for error in payload.get("errors", ()):
        problem = f"{error.get('file')}:{error.get('line') or '?'}: {error.get('error')}"[:300]
        break
    prefix = place.prefix or str(path.parent)
    logs = nginx.logs(directives, prefix)
    if place.prefix == "" and str(path) == DEFAULT_CONFIG:
        for number, compiled in enumerate(_COMPILED_LOGS):
            if not any(log.dialect == compiled.dialect for log in logs):
                logs = (*logs, _COMPILED_LOGS[number])
    if problem and not directives:
        return ProxyFound(problems={"nginx-config": problem})
    return ProxyFound(
        on_disk=nginx.routes(directives), logs=logs, problems={"nginx-config": problem}
    )


def _files(path: Path, payload: Mapping[str, Any]) -> Sequence[str]:
    """Every file read, and the folders in which others may appear."""
    directives = [d for config in payload.get("config", ()) for d in config.get("parsed", ())]
    files: dict[str, None] = {str(path): None}
    stack: list[Mapping[str, Any]] = list(directives)
    while stack:
        directive = stack.pop()
        if file := directive.get("file"):
            files[str(file)] = None
        stack.extend(directive.get("block") or ())
    for file in list(files):
        files[os.path.dirname(file)] = None
    for folder in sorted(path.parent.iterdir()):  # where an `include` found nothing yet
        if folder.is_dir():
            files[str(folder)] = None
    return list(files)


def _stamp(paths: Any) -> Stamp:
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found.append((path, 0, 0, 0))
        else:
            found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
