"""What a machine has that a demonstration must leave alone, as one JSON object.

``python -m tests.lab.snapshot`` prints it. Standard library only.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Final

FOLDERS: Final = ("/tmp", "/etc", "/var", "/run", "/dev")


def snapshot() -> dict[str, Any]:
    """Return files, processes, listening sockets, mounts and cgroups of this machine."""
    own = {os.getpid(), os.getppid()}
    return {
        "files": {path: seen for folder in FOLDERS for path, seen in _files(folder)},
        "processes": sorted(_command(pid) for pid in _pids() - own if _command(pid)),
        "listening": sorted(_listening()),
        "mounts": sorted(
            line.split(" ", 4)[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
        ),
        "cgroups": sorted(folder for folder, _, _ in os.walk("/sys/fs/cgroup")),
    }


def _files(folder: str) -> list[tuple[str, list[int]]]:
    found = []
    for place, folders, files in os.walk(folder):
        for path in [place, *(f"{place}/{name}" for name in (*folders, *files))]:
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            found.append((path, [status.st_mode, status.st_mtime_ns, size]))
    return found


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def _listening() -> set[str]:
    sockets = set()
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":  # TCP_LISTEN
                sockets.add(f"{kind} {local}")
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
            sockets.add(f"unix {fields[7]}")
    return sockets


if __name__ == "__main__":
    json.dump(snapshot(), sys.stdout)
