"""The containers among the backends: those that run a known server, and those led to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from badgateway.blocking import Blocking
from badgateway.sources.docker import Docker
from badgateway.sources.docker_client import is_remote
from badgateway.sources.ownaddresses import own_addresses
from badgateway.topology import memory
from badgateway.topology.backends import Backend
from badgateway.topology.containers import applications as containers
from badgateway.topology.containers import compose
from badgateway.topology.containers.bridges import Bridges, bridges


class ContainerBackends:
    """Keeps what the containers are, also while their daemon is away.

    Attributes:
        here: the descriptions of this host's containers; none while they are another host's.
    """

    def __init__(self, docker: Docker, learnt: Iterable[Mapping[str, Any]]) -> None:
        """Begin.

        Args:
            docker: the daemon.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._docker = docker
        self.here: tuple[containers.Document, ...] = ()
        self._found: dict[str, Backend] = {}
        self._remembered = {backend.unit: backend for backend in memory.backends(learnt)}
        self._names: dict[str, str] = {}
        self.unread = ""
        """What is wrong with a compose file of theirs; empty for nothing."""

    def memory(self) -> list[dict[str, Any]]:
        """What is worth remembering over a restart of the exporter."""
        return [memory.document(backend) for backend in self._remembered.values()]

    async def look(self, disk: Blocking) -> None:
        """Look at what the daemon has described; reads files of the containers.

        Raises:
            HungError: those files cannot be read now.
        """
        if not self._docker.documents and not self._docker.status.up:
            return
        documents = tuple(self._docker.documents.values())
        remote = is_remote(self._docker.host or "")
        found = await disk.call(_backends, documents, remote)
        self.here = () if remote else documents
        self.unread = "" if remote else await disk.call(compose.unread, documents)
        lasting = () if remote else {**self._remembered, **self._found}.values()
        self._found = {b.unit: b for b in containers.with_former_addresses(found, lasting)}
        self._names = {containers.name_of(d): containers.unit(d) for d in documents}
        for unit, backend in self._found.items():
            if backend.launch is not None:
                self._remembered[unit] = backend

    def applications(self, taken: Collection[str]) -> dict[str, Backend]:
        """Return the containers that run a known server, by backend name.

        Args:
            taken: names that others have.
        """
        known = {**self._gone(), **self._found}
        return {
            name: replace(backend, name=name)
            for backend in known.values()
            if backend.launch is not None
            for name in [f"{backend.name}-container" if backend.name in taken else backend.name]
        }

    def bridges(self) -> Bridges:
        """Return the networks of this host's containers; none while what is known may be old."""
        return bridges(self.here if self._docker.status.up else ())

    def others(self) -> tuple[Backend, ...]:
        """Return the other containers: backends only where something leads to them."""
        return tuple(backend for backend in self._found.values() if backend.launch is None)

    def named(self, name: str) -> Backend | None:
        """Return the container, or compose project and service, of a name."""
        known = {**self._gone(), **self._found}
        return known.get(name) or known.get(self._names.get(name, ""))

    def forsake(self, backends: Iterable[Backend]) -> None:
        """Remember these no longer: they are gone, and nobody asks for them."""
        for backend in backends:
            self._remembered.pop(backend.unit, None)

    def is_gone(self, backend: Backend) -> bool:
        """Tell whether a backend's containers are gone for sure."""
        return (
            backend.manager == "docker"
            and bool(self._docker.status.up)
            and backend.unit not in self._found
        )

    def _gone(self) -> dict[str, Backend]:
        return {
            unit: replace(backend, container=None, next_launch=None)
            for unit, backend in self._remembered.items()
            if unit not in self._found
        }


def _backends(documents: tuple[Mapping[str, Any], ...], remote: bool) -> tuple[Backend, ...]:
    # a link-local address alone reaches nothing
    own = () if remote else tuple(a for a in own_addresses() if not a.startswith("fe80"))
    return containers.backends(documents, own, remote)
