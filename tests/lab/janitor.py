"""Removes what a demonstration leaves when it is killed: waits for its end, then cleans.

Started as a process of its own whose standard input is a pipe that only the demonstration holds
open. However that process ends, the pipe ends with it. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.lab import cgroups

MARK: Final = "BADGATEWAY_LAB"
"""The environment variable that marks every plain process of a lab, with the lab's name."""


def start(*, group: Path | None = None, mark: str = "", folder: Path | None = None) -> Janitor:
    """Start the janitor of one lab: its cgroup, the mark of its processes, its work folder."""
    arguments = [str(group or ""), mark, str(folder or "")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.janitor", *arguments],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demonstration
        cwd=Path(__file__).resolve().parents[2],
    )
    return Janitor(process)


class Janitor:
    """The running janitor, as the lab sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def clean(self) -> None:
        """Have it clean now and wait for its end; raises OSError when something is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait() != 0:
            raise OSError("the lab could not be cleaned up completely; see above")


def marked_processes(mark: str) -> list[int]:
    """Return the pids whose environment carries ``MARK=mark``."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found


def _kill_marked(mark: str) -> None:
    # Twice empty: a process may have forked while the list was read.
    empty = 0
    while empty < 2:
        pids = marked_processes(mark)
        empty = 0 if pids else empty + 1
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    group, mark, folder = sys.argv[1:]
    while sys.stdin.buffer.read(4096):
        pass
    try:
        if mark:
            _kill_marked(mark)
        if group:
            cgroups.remove(Path(group))
        if folder and Path(folder).exists():
            shutil.rmtree(folder)
    except OSError as error:
        print(f"clean-up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
