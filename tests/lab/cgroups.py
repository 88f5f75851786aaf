"""The lab's own subtree of the host's cgroup2 hierarchy."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import Final

_REMOVAL_SECONDS: Final = 10.0


def cgroup2_mount() -> Path | None:
    """Return where the host has its cgroup2 hierarchy mounted writable, or None."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if after.startswith("cgroup2 ") and fields[5].split(",")[0] == "rw":
            return Path(fields[4])
    return None


def create(name: str) -> Path:
    """Make the cgroup ``name`` at the top of the hierarchy; raises OSError."""
    mount = cgroup2_mount()
    if mount is None:
        raise OSError(errno.ENOENT, "no writable cgroup2 hierarchy is mounted")
    group = mount / name
    group.mkdir()
    return group


def join(group: Path, pid: int) -> None:
    """Move the process ``pid`` into ``group``, made if needed; raises OSError."""
    group.mkdir(exist_ok=True)
    (group / "cgroup.procs").write_text(str(pid))


def remove(group: Path) -> None:
    """Kill what still runs in ``group`` and remove it with everything below.

    That it is gone already is no error. Raises OSError when it is still there after ten seconds.
    """
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while group.exists():
        with contextlib.suppress(OSError):
            (group / "cgroup.kill").write_text("1")
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
        except FileNotFoundError:
            pass  # removed by the other side meanwhile
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
