"""The proxies of this host, one place for each: units, processes nobody manages, and containers.

May block: it reads ``/proc`` and looks whether files are there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.sources import proctree
from badgateway.topology.backends import WILDCARDS
from badgateway.topology.containers import applications as containers
from badgateway.topology.proxies import options as proxy_options
from badgateway.topology.proxies import processes as proxy_processes
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.proxies.processes import ProxyProcess

KEPT_SECONDS: Final = 3600.0
"""How long a proxy that nobody manages is remembered after its end."""

Document = Mapping[str, Any]


class ProxyFinder:
    """Finds proxies, and remembers for a while those that ended."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, ProxyPlace]] = {}

    def look(
        self, units: Mapping[str, ProxyPlace], documents: Iterable[Document]
    ) -> dict[str, ProxyPlace]:
        """Return every proxy, by its name.

        Args:
            units: those that are units, by name.
            documents: the descriptions of this host's containers.
        """
        now = time.monotonic()
        running = proxy_processes.masters()
        found = dict(units)
        described = {str(d.get("Id", "")): d for d in documents}
        there = {containers.unit(document) for document in described.values()}
        contained: list[ProxyPlace] = []
        free: list[ProxyPlace] = []
        for process in running:
            document = _document(process, described)
            if document is not None:
                if not process.is_claimed or _is_told_to_run(document, process.kind):
                    contained.append(_in_container(process, document))
            elif not (process.container or process.is_inside or process.is_claimed):
                # else of a container unknown here
                place = on_host(process)
                if not _is_of(found, place, process):
                    free.append(place)
        free.sort(key=lambda place: (place.kind, place.config or "", place.pid))
        held = {_identity(place): name for name, (_, place) in self._known.items()}
        for place in (*contained, *free):
            name = held.get(_identity(place), "")
            if not name or name in found:
                name = _named(place.container or place.kind, {*found, *held.values()})
            found[name] = replace(place, name=name)
        for name, (seen, place) in self._known.items():
            if name not in found and now - seen < KEPT_SECONDS and _is_awaited(place, found, there):
                found[name] = replace(place, pid=0)
        found = {name: _as_it_runs(place) for name, place in found.items()}
        self._known = {
            name: (now if place.pid else self._known[name][0], place)
            for name, place in found.items()
            if name not in units and (place.pid or name in self._known)
        }
        return found


def on_host(process: ProxyProcess) -> ProxyPlace:
    """Return where the proxy is that a process of this host is."""
    words = (process.program or process.words[0], *process.words[1:])
    if process.kind == "caddy":
        config = proxy_options.caddy_file(words, process.folder)
        return ProxyPlace("", "caddy", config=config, binary=process.program, pid=process.pid)
    config, prefix = proxy_options.nginx_files(words, process.folder)
    return ProxyPlace(
        "", "nginx", config=config, prefix=prefix, binary=process.program, pid=process.pid
    )


def reached(document: Document) -> Iterator[tuple[str, str]]:
    """Yield where a container's ports are reached from its host, (port inside, address) pairs."""
    network = document.get("NetworkSettings") or {}
    for inside, bindings in (network.get("Ports") or {}).items():
        port, _, kind = str(inside).partition("/")
        for binding in bindings or () if kind in ("", "tcp") else ():
            host = str(binding.get("HostIp") or "")
            host = "127.0.0.1" if host in ("", *WILDCARDS) else host
            yield port, f"{f'[{host}]' if ':' in host else host}:{binding.get('HostPort')}"


def _in_container(process: ProxyProcess, document: Document) -> ProxyPlace:
    here = containers.container(document)
    with files.seen_in(Root.of(here.root)):
        place = on_host(process)
    mode = str((document.get("HostConfig") or {}).get("NetworkMode", ""))
    apart = mode != "host"
    ports: dict[str, str] = {}
    for port, address in reached(document):
        ports.setdefault(port, address)
    return replace(
        place,
        name=here.unit,
        binary="",  # a container's program is nobody's to run
        admin="" if apart else None,
        container=here.unit,
        root=here.root,
        is_apart=apart,
        reached=tuple(sorted(ports.items())),
    )


def _document(process: ProxyProcess, described: Mapping[str, Document]) -> Document | None:
    """The container a process runs in, if that is known here."""
    if process.container in described:
        return described[process.container]
    pids = {process.pid, *process.above}
    for document in described.values():
        if int((document.get("State") or {}).get("Pid") or 0) in pids:
            return document
    return None


def _as_it_runs(place: ProxyPlace) -> ProxyPlace:
    """A proxy's place with what its process tells; without a process that has ended."""
    if place.container or not place.pid:
        return place
    if not _runs(place.pid):
        return replace(place, pid=0)
    own, here = proctree.network(str(place.pid)), proctree.network("self")
    return replace(place, is_apart=own != here) if own and here else place


def _is_told_to_run(document: Document, kind: str) -> bool:
    """Whether Docker was told to run a proxy in a container, perhaps by an entrypoint script."""
    words = (os.path.basename(word) for word in containers.command(document))
    return any(proxy_processes.kind_of(word) == kind for word in words)


def _is_of(found: dict[str, ProxyPlace], place: ProxyPlace, process: ProxyProcess) -> bool:
    """Whether a process is a unit's proxy; one that is not known to run is then known to."""
    for name, known in found.items():
        if not known.unit or known.kind != place.kind:
            continue
        if known.pid == process.pid:
            return True
        same = (known.config, known.prefix) == (place.config, place.prefix)
        if known.unit == process.unit or (same and not _runs(known.pid)):
            found[name] = replace(known, pid=process.pid)
            return True
    return False


def _runs(pid: int) -> bool:
    return pid > 0 and os.path.exists(f"/proc/{pid}")


def _is_awaited(
    place: ProxyPlace, found: Mapping[str, ProxyPlace], containers_there: Container[str]
) -> bool:
    """Whether a proxy that ended may come back as it was."""
    if any(_identity(place) == _identity(other) for other in found.values()):
        return False  # it has a successor, perhaps of another name
    if place.container:
        return place.container in containers_there
    return bool(place.config) and files.is_file(place.config or "")


def _identity(place: ProxyPlace) -> tuple[str, ...]:
    """What a proxy keeps when it is started anew."""
    return place.kind, place.config or "", place.prefix, place.container


def _named(name: str, taken: Container[str]) -> str:
    number = 1
    while (unique := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return unique
