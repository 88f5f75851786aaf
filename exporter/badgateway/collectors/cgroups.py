"""Memory of a service: used, allowed, and what the kernel killed for lack of it.

Read from the cgroup of the service's first process (cgroups(7)): version 2's ``memory.*``, or the
memory controller of version 1. What the kernel would give back at once does not count as used,
as in ``docker stats``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NO_LIMIT: Final = 1 << 60
"""Version 1 writes the largest multiple of a page where there is no limit."""
_LEVELS: Final = 32


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one cgroup, in bytes.

    Attributes:
        used: without the page cache that is not in use.
        limit: the lowest limit from it up to the root; None without any.
        killed: processes of it that the kernel killed for lack of memory, since it was made.
        cgroup: which it is.
    """

    used: int
    limit: int | None
    killed: int
    cgroup: str


class Cgroups:
    """Keeps the memory of the backends' services."""

    def __init__(self) -> None:
        self.memory: Mapping[str, Memory] = {}
        """Backend → its memory at the last look."""
        self._killed: dict[str, tuple[str, int]] = {}

    def look(self, mains: Mapping[str, int]) -> dict[str, Memory]:
        """Read the memory of services; may block.

        Args:
            mains: backend → the first process of its service.
        """
        places = hierarchies()
        found = {name: read(pid, places) for name, pid in mains.items()}
        return {name: memory for name, memory in found.items() if memory is not None}

    def take(self, found: Mapping[str, Memory]) -> list[str]:
        """Take what ``look`` returned.

        Returns:
            The backends of which processes were killed since the last look. A cgroup that is
            gone takes its count along: what ended with its service is not seen.
        """
        hit = []
        for name, memory in found.items():
            cgroup, before = self._killed.get(name, ("", 0))
            if cgroup == memory.cgroup and memory.killed > before:
                hit.append(name)
            self._killed[name] = (memory.cgroup, memory.killed)
        self.memory = dict(found)
        return hit


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the kernel shows cgroups: for each version the mount point and its root; or nothing."""

    unified: tuple[str, str] | None = None
    memory: tuple[str, str] | None = None


def hierarchies(mounts: str | None = None) -> Hierarchies:
    """Return where cgroups are mounted; ``mounts`` is a ``mountinfo``, by default one's own."""
    unified = memory = None
    try:
        text = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    except OSError:
        return Hierarchies()
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            unified = unified or (fields[4], fields[3])
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            memory = memory or (fields[4], fields[3])
    return Hierarchies(unified, memory)


def read(pid: int, places: Hierarchies) -> Memory | None:
    """Return the memory of the cgroup a process is in; None where that cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(",") and places.memory is not None:
            return _version_1(_folder(places.memory, path), places.memory[0])
        if number == "0" and places.unified is not None and places.memory is None:
            return _version_2(_folder(places.unified, path), places.unified[0])
    return None


def _folder(place: tuple[str, str], path: str) -> str:
    """Where a cgroup is shown: its path is told from the root of the own namespace."""
    mount, root = place
    inside = path[len(root) :] if root != "/" and path.startswith(f"{root}/") else path
    return os.path.normpath(f"{mount}/{inside}")


def _version_2(folder: str, top: str) -> Memory | None:
    used = _number(folder, "memory.current")
    if used is None:
        return None
    inactive = _fields(folder, "memory.stat").get("inactive_file", 0)
    limits = [_number(above, "memory.max") for above in _upwards(folder, top)]
    killed = _fields(folder, "memory.events").get("oom_kill", 0)
    return Memory(max(0, used - inactive), _lowest(limits), killed, _identity(folder))


def _version_1(folder: str, top: str) -> Memory | None:
    used = _number(folder, "memory.usage_in_bytes")
    if used is None:
        return None
    statistics = _fields(folder, "memory.stat")
    limits = [_number(above, "memory.limit_in_bytes") for above in _upwards(folder, top)]
    killed = _fields(folder, "memory.oom_control").get("oom_kill", 0)
    inactive = statistics.get("total_inactive_file", 0)
    return Memory(max(0, used - inactive), _lowest(limits), killed, _identity(folder))


def _upwards(folder: str, top: str) -> Iterator[str]:
    for _ in range(_LEVELS):
        yield folder
        if folder == top or len(folder) <= len(top):
            return
        folder = os.path.dirname(folder)


def _lowest(limits: list[int | None]) -> int | None:
    real = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(real, default=None)


def _identity(folder: str) -> str:
    """Tell a cgroup from one of the same name that was made anew."""
    try:
        return f"{folder} {os.stat(folder).st_ino}"
    except OSError:
        return folder


def _number(folder: str, name: str) -> int | None:
    """The number in a file; None when it says ``max`` or cannot be read."""
    try:
        return int(Path(folder, name).read_text())
    except (OSError, ValueError):
        return None


def _fields(folder: str, name: str) -> dict[str, int]:
    try:
        lines = Path(folder, name).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
