"""Control groups by their ids: which unit or container a process or socket belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_UNIT: Final = re.compile(r"[^/]+\.(?:service|scope)$")
_CONTAINER: Final = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_LIMIT: Final = 20_000


class CgroupNames:
    """Looks up the paths of control groups; what it has seen it remembers."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._unknown: set[int] = set()
        self._mount = mount()

    def path(self, identifier: int) -> str:
        """Return the path of a control group below the mount; empty when it is not there.

        Args:
            identifier: as sockets and ``name_to_handle_at`` give it: the directory's inode.
        """
        if not identifier or self._mount is None or identifier in self._unknown:
            return ""
        if identifier not in self._paths:
            self._walk()
        if identifier not in self._paths:
            self._unknown.add(identifier)  # gone, or of another namespace: not looked for again
        return self._paths.get(identifier, "")

    def _walk(self) -> None:
        assert self._mount is not None
        found: dict[int, str] = {}
        for folder, folders, _ in os.walk(self._mount):
            try:
                found[os.stat(folder).st_ino] = folder[len(str(self._mount)) :] or "/"
            except OSError:
                folders.clear()
            if len(found) >= _LIMIT:
                break
        self._paths = found
        if len(self._unknown) > _LIMIT:
            self._unknown.clear()


def mount() -> Path | None:
    """Return where the cgroup2 hierarchy is mounted, or None."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            return Path(fields[1])
    return None


def of_process(pid: int) -> str:
    """Return the path of a process' control group (cgroups(7)); empty when it cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    paths = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines if line.count(":") > 1}
    return paths.get("name=systemd") or paths.get("") or next(iter(paths.values()), "")


def unit_of(path: str) -> str:
    """Return the systemd unit a control group belongs to, or the id of a container, or nothing."""
    if container := container_of(path):
        return container
    for part in reversed(path.split("/")):
        if _UNIT.match(part):
            return part
    return ""


def container_of(path: str) -> str:
    """Return the id of the container a control group belongs to; empty for none."""
    found = _CONTAINER.search(path)
    return found[1] if found else ""
