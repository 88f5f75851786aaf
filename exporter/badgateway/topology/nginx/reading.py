"""What the nginx at a place serves and writes, by its configuration files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway.blocking import Blocking
from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.topology.containers.containment import seen_from_here
from badgateway.topology.nginx import answers as nginx_answers
from badgateway.topology.nginx import faults as nginx_faults
from badgateway.topology.nginx import listens as nginx_listens
from badgateway.topology.nginx import logs as nginx_logs
from badgateway.topology.nginx import routes as nginx
from badgateway.topology.nginx.includes import Configuration, Stamp, stamp
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import WrittenLog

DEFAULT_CONFIG: Final = "/etc/nginx/nginx.conf"
_OFTEN_LOOKED_AT: Final = 200
"""Of a configuration of more files only a whole look tells whether they have changed."""
_COMPILED_LOGS: Final = (
    # where distributions' builds write what no directive says otherwise (Debian, RHEL, nginx.org)
    WrittenLog("/var/log/nginx/error.log", "nginx-error", errors=True, access=False),
    WrittenLog("/var/log/nginx/access.log", "nginx-access", errors=False, access=True),
)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read last of a proxy."""

    place: ProxyPlace
    stamps: tuple[Stamp, ...]
    found: ProxyFound


class NginxFiles:
    """Reads nginx' configurations; what has not changed is not read again."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    async def look(self, place: ProxyPlace, disk: Blocking) -> ProxyFound:
        """Return what the nginx at ``place`` serves. Never raises."""
        try:
            return await disk.call(self._read, place)
        except (OSError, ValueError) as error:
            return ProxyFound(problems={"nginx-config": str(error)[:300]})

    def is_current(self, place: ProxyPlace) -> bool:
        """Tell whether what was read last still holds, as far as anything was; may block."""
        known = self._known.get(place.name)
        if known is None or len(known.stamps) > _OFTEN_LOOKED_AT:
            return True
        with files.seen_in(Root.of(place.root) if place.container else None):
            return all(map(_is_current, known.stamps))

    def _read(self, place: ProxyPlace) -> ProxyFound:
        """Read the files; may block.

        Raises:
            ValueError: the configuration cannot be read, with file and line.
        """
        with files.seen_in(Root.of(place.root) if place.container else None):
            known = self._known.get(place.name)
            if known is not None and known.place == place and all(map(_is_current, known.stamps)):
                return known.found
            self._known.pop(place.name, None)
            path = Path(place.config or DEFAULT_CONFIG)
            if files.exists(str(path)) is None:
                raise ValueError(f"{path}: cannot be seen from here{_remedy(place)}")
            if not files.is_file(str(path)):
                raise ValueError(f"{path}: no such file")
            configuration = Configuration(path)
        found = seen_from_here(_found(place, path, configuration), place)
        self._known[place.name] = _Known(place, tuple(configuration.stamps.values()), found)
        return found


def _remedy(place: ProxyPlace) -> str:
    return ": a container's files need CAP_SYS_PTRACE" if place.container else ""


def _is_current(known: Stamp) -> bool:
    return stamp(known[0]) == known


def _found(place: ProxyPlace, path: Path, configuration: Configuration) -> ProxyFound:
    directives, problem = configuration.directives, configuration.problem
    prefix = place.prefix or str(path.parent)
    logs = nginx_logs.logs(directives, prefix)
    if place.prefix == "" and str(path) == DEFAULT_CONFIG:
        named = {log.dialect for log in logs}
        logs = (*logs, *(log for log in _COMPILED_LOGS if log.dialect not in named))
    if problem and not directives:
        return ProxyFound(problems={"nginx-config": problem})
    faults = nginx_faults.faults(directives)
    if faults and not problem:
        problem = ": ".join(faults[0])[:300]
    return ProxyFound(
        on_disk=nginx.routes(directives),
        logs=logs,
        together=nginx_logs.together(directives, prefix),
        problems={"nginx-config": problem},
        local=nginx_answers.answers(directives),
        listens=nginx_listens.listens(directives),
        digest=configuration.digest,
        changed=configuration.changed,
    )
