"""Unix sockets of upstreams as files: are they there, and may the proxy open them.

To connect, a process needs write permission on the socket and search permission on each folder
above it (unix(7), path_resolution(7)).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway.sources import proctree

MISSING: Final = "missing"
DENIED: Final = "denied"
_ACL: Final = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom a process touches files."""

    uid: int
    groups: frozenset[int]


def identity(pid: int) -> Identity | None:
    """Return as whom a process touches files (``/proc/PID/status``); None when it is gone."""
    uid, groups = None, set[int]()
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, values = line.partition(":")
            if name == "Uid":
                uid = int(values.split()[3])  # that of the file system
            elif name == "Gid":
                groups.add(int(values.split()[3]))
            elif name == "Groups":
                groups |= set(map(int, values.split()))
    except (OSError, ValueError, IndexError):
        return None
    return None if uid is None else Identity(uid, frozenset(groups))


def connecting(pid: int, has_workers: bool) -> Identity | None:
    """Return as whom a proxy connects to its upstreams; None where that cannot be seen.

    Args:
        pid: its first process.
        has_workers: whether it is its workers that connect.
    """
    workers = proctree.children(pid) if has_workers else None
    return identity(workers[0] if workers else pid)


def look(paths: Iterable[str], who: Identity | None) -> Mapping[str, str]:
    """Return path → ``MISSING`` or ``DENIED``, of those with trouble; may block.

    What this process itself may not see has no trouble that it knows of.

    Args:
        paths: the sockets.
        who: as whom the proxy connects; None where that is not known.
    """
    return {path: trouble for path in paths if (trouble := _trouble(path, who))}


def _trouble(path: str, who: Identity | None) -> str:
    if path.startswith(("@", "\0")):
        return ""  # an abstract one is no file
    try:
        status = os.stat(path)
        if who is None or who.uid == 0:
            return ""
        parents = [(str(parent), os.stat(parent)) for parent in Path(path).parents]
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError):
        return ""
    if not _may(path, status, who, stat.S_IWOTH):
        return DENIED
    if all(_may(folder, seen, who, stat.S_IXOTH) for folder, seen in parents):
        return ""
    return DENIED


def _may(path: str, status: os.stat_result, who: Identity, right: int) -> bool:
    """Whether a right, one of those of others, is granted by the mode bits; an ACL may grant it."""
    if status.st_uid == who.uid:
        granted = bool(status.st_mode & (right << 6))
    elif status.st_gid in who.groups:
        granted = bool(status.st_mode & (right << 3))
    else:
        granted = bool(status.st_mode & right)
    return granted or _has_acl(path)


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:
        return False
