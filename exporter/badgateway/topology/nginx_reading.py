"""What the nginx at a place serves and writes, by its configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from badgateway.blocking import Blocking
from badgateway.topology import nginx, nginx_logs
from badgateway.topology.nginx_includes import Configuration, Stamp, stamp
from badgateway.topology.proxyplace import ProxyFound, ProxyPlace
from badgateway.topology.routes import WrittenLog

DEFAULT_CONFIG: Final = "/etc/nginx/nginx.conf"
_COMPILED_LOGS: Final = (
    # where distributions' builds write what no directive says otherwise (Debian, RHEL, nginx.org)
    WrittenLog("/var/log/nginx/error.log", "nginx-error", errors=True, access=False),
    WrittenLog("/var/log/nginx/access.log", "nginx-access", errors=False, access=True),
)


class NginxFiles:
    """Reads nginx' configurations; what has not changed is not read again."""

    def __init__(self) -> None:
        self._known: dict[ProxyPlace, tuple[tuple[Stamp, ...], ProxyFound]] = {}

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
        if known is not None and all(stamp(each[0]) == each for each in known[0]):
            return known[1]
        path = Path(place.config or DEFAULT_CONFIG)
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        configuration = Configuration(path)
        found = _found(place, path, configuration)
        self._known[place] = (tuple(configuration.stamps.values()), found)
        return found


def _found(place: ProxyPlace, path: Path, configuration: Configuration) -> ProxyFound:
    directives, problem = configuration.directives, configuration.problem
    prefix = place.prefix or str(path.parent)
    logs = nginx_logs.logs(directives, prefix)
    if place.prefix == "" and str(path) == DEFAULT_CONFIG:
        named = {log.dialect for log in logs}
        logs = (*logs, *(log for log in _COMPILED_LOGS if log.dialect not in named))
    if problem and not directives:
        return ProxyFound(problems={"nginx-config": problem})
    return ProxyFound(
        on_disk=nginx.routes(directives),
        logs=logs,
        together=nginx_logs.together(directives, prefix),
        problems={"nginx-config": problem},
    )
