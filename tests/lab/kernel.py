"""The few system calls of Linux that the lab needs and Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000

_MNT_DETACH: Final = 2
_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces of ``flags`` (CLONE_NEW…) for new ones; raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def enter(descriptor: int, flags: int) -> None:
    """Let the calling thread enter the namespace behind ``descriptor``; raises OSError."""
    _checked(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flags)), "setns")


def mount(
    source: str, target: Path | str, kind: str = "", flags: int = 0, options: str = ""
) -> None:
    """Mount ``source`` of filesystem type ``kind`` at ``target``; raises OSError."""
    arguments = (source, str(target), kind, options)
    encoded = [os.fsencode(argument) if argument else None for argument in arguments]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(result, f"mount {kind or source} at {target}")


def pivot_root(new_root: Path) -> None:
    """Make ``new_root``, a mount point, the root of this mount namespace; drop the old root."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root is not known for {os.uname().machine}")
    os.chdir(new_root)
    _checked(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", ctypes.c_int(_MNT_DETACH)), "umount of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent thread ends."""
    arguments = (ctypes.c_ulong(signal_number), *(ctypes.c_ulong(0),) * 3)
    _checked(_libc.prctl(ctypes.c_int(_PR_SET_PDEATHSIG), *arguments), "prctl PDEATHSIG")


def drop_capability(number: int) -> None:
    """Take capability ``number`` from what this process and its children can ever have."""
    arguments = (ctypes.c_ulong(number), *(ctypes.c_ulong(0),) * 3)
    _checked(_libc.prctl(ctypes.c_int(_PR_CAPBSET_DROP), *arguments), "prctl CAPBSET_DROP")
