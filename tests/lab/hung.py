"""A file system that never answers: what a dead disk or network mount looks like to a program.

``python -m tests.lab.hung PID FOLDER`` lays it over FOLDER as process PID sees it, says ``hung``;
it is lifted when its standard input ends. It is a FUSE mount whose server never replies (fuse(4)).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.lab.parts import CHECKOUT
from tests.lab.require import unavailable

DEVICE: Final = Path("/dev/fuse")
_DETACH: Final = 2
PRIVATE: Final = ("unshare", "--mount", "--propagation", "private", "--")
"""Makes a command one that ``Hung`` can be laid into."""


def require_hung() -> None:
    """Skip or fail the test where no such mount can be made."""
    if os.geteuid() != 0:
        unavailable("hanging a file system needs root")
    if not DEVICE.exists():
        unavailable("hanging a file system needs FUSE, and this kernel has no /dev/fuse")


class Hung:
    """The mount in the namespace of a process, as a context."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._argv = [sys.executable, "-m", "tests.lab.hung", str(pid), str(folder)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "hung\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.communicate()


def _main(pid: str, folder: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(DEVICE, os.O_RDWR)
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if libc.setns(namespace, 0):
        sys.exit(f"cannot enter the mounts of {pid}: {os.strerror(ctypes.get_errno())}")
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other"
    place = folder.encode()
    if libc.mount(b"hung", place, b"fuse", 0, options.encode()):
        sys.exit(f"cannot mount over {folder}: {os.strerror(ctypes.get_errno())}")
    print("hung", flush=True)
    sys.stdin.read()
    libc.umount2(place, _DETACH)
    os.close(descriptor)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
