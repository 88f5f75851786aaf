"""Containers that are applications (documents of ``GET /containers/ID/json``, API 1.24 and later).

Pure but for what ``launch`` reads of a container's files, and the command lines of its processes:
a container's description in, what it is out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psutil

from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.topology.backends import WILDCARDS, Backend
from badgateway.topology.containers import compose
from badgateway.topology.containers.compose_files import pairs
from badgateway.topology.containers.container import Container
from badgateway.topology.containers.labels import number_of, unit_of
from badgateway.topology.containers.shell import is_shell, shell_first, without_init
from badgateway.topology.launch.command import Launch, parse_command
from badgateway.topology.launch.servers import SERVERS
from badgateway.topology.routes import is_name, joined

Document = Mapping[str, Any]

_DEPTH: Final = 4


def backends(
    documents: Iterable[Document], addresses: Sequence[str] = (), is_remote: bool = False
) -> tuple[Backend, ...]:
    """Return a backend for each unit of containers, in the order of their names.

    One that runs no known server has no ``launch``: it is an application only if a proxy or the
    configuration leads to it.

    Args:
        documents: the containers' descriptions.
        addresses: this host's own addresses.
        is_remote: whether the containers run on another host.
    """
    units: dict[str, list[Document]] = {}
    for document in documents:
        units.setdefault(unit(document), []).append(document)
    return tuple(
        _backend(name, sorted(replicas, key=_first), addresses, is_remote)
        for name, replicas in sorted(units.items())
    )


def with_former_addresses(
    found: Iterable[Backend], former: Iterable[Backend]
) -> tuple[Backend, ...]:
    """Return backends with the addresses that they had before, where they do not run now.

    A container has none while it does not run; requests are led there all the same.
    """
    known = {backend.unit: backend for backend in former}
    given = tuple(found)
    taken = {
        address
        for backend in given
        if _runs(backend)
        for address in (*backend.listens, *backend.aliases)
        if not is_name(address.rpartition(":")[0])  # a name is a network's own
    }
    kept = []
    for backend in given:
        before = known.get(backend.unit)
        if before is not None and not _runs(backend):
            listens = backend.listens or before.listens
            aliases = (*backend.aliases, *before.listens, *before.aliases)
            backend = replace(
                backend,
                listens=tuple(a for a in listens if a not in taken),
                aliases=files.unique(a for a in aliases if a not in taken and a not in listens),
            )
        kept.append(backend)
    return tuple(kept)


def _runs(backend: Backend) -> bool:
    return backend.container is not None and backend.container.pid > 0


def unit(document: Document) -> str:
    """Return what a container is one of: its compose project and service, or its name."""
    return unit_of(_config(document).get("Labels") or {}, name_of(document))


def name_of(document: Document) -> str:
    """Return a container's own name."""
    return str(document.get("Name", "")).lstrip("/")


def container(document: Document, is_remote: bool = False) -> Container:
    """Return what is known of a container as a hop."""
    state, host = document.get("State") or {}, document.get("HostConfig") or {}
    policy = host.get("RestartPolicy") or {}
    pid = 0 if is_remote else int(state.get("Pid") or 0)
    waits, pauses = shell_first(command(document))
    seen = _waits(pid)
    return Container(
        unit(document),
        str(document.get("Id", "")),
        pid,
        () if is_remote else _root(document, pid),
        waits if seen is None else seen,
        pauses,
        str(policy.get("Name") or "no"),
        int(policy.get("MaximumRetryCount") or 0),
        str((state.get("Health") or {}).get("Status", "")).replace("none", ""),
        str(_config(document).get("Image", "")),
    )


def command(document: Document) -> tuple[str, ...]:
    """Return the whole command that a container runs."""
    return (str(document.get("Path", "")), *map(str, document.get("Args") or ()))


def launch_of(argv: Sequence[str], directory: str, environment: Mapping[str, str]) -> Launch | None:
    """Return what a container's command runs; None when that is no known server.

    What an entrypoint script is given is usually what it runs in the end (``exec "$@"``).
    """
    words = without_init(argv)
    for start in (0, 1):
        if words[start:]:
            launch = parse_command(words[start:], directory, environment)
            if launch.server in SERVERS:
                return launch
    return None


def _backend(
    name: str, replicas: Sequence[Document], addresses: Sequence[str], is_remote: bool
) -> Backend:
    document = replicas[0]
    numbers = {number_of(_config(replica).get("Labels") or {}) for replica in replicas}
    here = replace(container(document, is_remote), replicas=tuple(sorted(numbers)))
    config = _config(document)
    directory = str(config.get("WorkingDir") or "/")
    environment = pairs(config.get("Env"))
    following = None
    with files.seen_in(Root.of(here.root)):
        launch = launch_of(command(document), directory, environment)
        launch = launch or _running(here.pid, environment)
        planned = compose.planned(document)
        if launch is not None and planned is not None:
            argv, where, given = planned
            following = launch_of(argv, where, given)
            if following is not None and compose.same(following, launch):
                following = None
    listens: list[str] = []
    aliases: list[str] = []
    for replica in replicas:
        own, further = _addresses(replica, launch, addresses)
        listens += own
        aliases += further
    if not listens:
        listens, aliases = aliases[:1], aliases[1:]
    return Backend(
        name, "docker", name, launch, files.unique(listens),
        aliases=files.unique(a for a in aliases if a not in listens),
        next_launch=following, container=here,
    )  # fmt: skip


def _first(document: Document) -> tuple[bool, int, str]:
    """Those that run come first, and then those with the lowest numbers."""
    runs = (document.get("State") or {}).get("Status") in ("running", "paused", "restarting")
    number = number_of(_config(document).get("Labels") or {})
    return not runs, int(number) if number.isdigit() else 0, str(document.get("Id"))


def _config(document: Document) -> Mapping[str, Any]:
    config = document.get("Config")
    return config if isinstance(config, Mapping) else {}


def _root(document: Document, pid: int) -> tuple[tuple[str, str], ...]:
    """Where a container's files can be read, the longest path inside first."""
    mounts = [
        (str(mount.get("Destination")), str(mount.get("Source")))
        for mount in document.get("Mounts") or ()
        if mount.get("Source") and str(mount.get("Destination", "")).startswith("/")
    ]
    places = [pair for pair in mounts if pair[1].startswith("/")]
    if pid:
        places.append(("/", f"/proc/{pid}/root"))
    data = (document.get("GraphDriver") or {}).get("Data") or {}
    if merged := data.get("MergedDir"):
        places.append(("/", str(merged)))
    return tuple(sorted(places, key=lambda place: -len(place[0])))


def _addresses(
    document: Document, launch: Launch | None, addresses: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Where a proxy of this host reaches a container, and where others may."""
    host = str((document.get("HostConfig") or {}).get("NetworkMode", "")) == "host"
    if host:
        return (list(launch.listen) if launch else []), []
    network = document.get("NetworkSettings") or {}
    asked = {listen.rpartition(":")[2] for listen in launch.listen if listen} if launch else set()
    exposed = [str(port) for port in _config(document).get("ExposedPorts") or ()]
    published = network.get("Ports") or {}
    if not (document.get("State") or {}).get("Pid"):  # nothing is published of one that is stopped
        wanted = (document.get("HostConfig") or {}).get("PortBindings") or {}
        published = {**wanted, **{port: given for port, given in published.items() if given}}
    ports = asked or {port.partition("/")[0] for port in (*exposed, *published) if "/tcp" in port}
    listens: list[str] = []
    further: list[str] = []
    for inside, bindings in published.items():
        if inside.partition("/")[0] not in ports or inside.endswith("/udp"):
            continue
        for binding in bindings or ():
            own, port = str(binding.get("HostIp", "")), str(binding.get("HostPort", ""))
            if not port:
                continue  # any that is free, once it runs
            if own in ("", *WILDCARDS):
                listens.append(f"127.0.0.1:{port}")
                further += [joined(address, port) for address in addresses]
            else:
                listens.append(joined(own, port))
    for settings in (network.get("Networks") or {}).values():
        names = [settings.get("IPAddress"), *(settings.get("Aliases") or ())]
        if not str(settings.get("IPAddress") or ""):
            continue
        labels = _config(document).get("Labels") or {}
        names += [labels.get("com.docker.compose.service"), name_of(document)]
        names += settings.get("DNSNames") or ()
        further += [joined(str(name), port) for name in names if name for port in ports]
    return listens, further


def _waits(pid: int) -> bool | None:
    """Whether a container's first process is a shell with children; None when unseen."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        argv = without_init(process.cmdline())
        if not argv:
            return None
        if not is_shell(argv[0]):
            return False
        children = [os.path.basename(child.name()) for child in process.children()]
    except psutil.Error:
        return None
    return True if any(name != "sleep" for name in children) else None


def _running(pid: int, environment: Mapping[str, str]) -> Launch | None:
    """Return the first known server among a container's processes."""
    if not pid:
        return None
    try:
        first = psutil.Process(pid)
        processes = [first, *first.children(recursive=True)][: 2**_DEPTH]
    except psutil.Error:
        return None
    for process in processes:
        try:
            argv, directory = process.cmdline(), _directory(process)
        except psutil.Error:
            continue
        launch = parse_command(argv, directory, environment) if argv else None
        if launch is not None and launch.server in SERVERS:
            return launch
    return None


def _directory(process: psutil.Process) -> str:
    try:
        return str(process.cwd() or "/")  # as the process itself sees it
    except (psutil.Error, OSError):
        return "/"
