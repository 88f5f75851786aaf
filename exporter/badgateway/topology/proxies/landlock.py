"""Landlock (landlock(7), Linux 5.13 and later): a process gives up rights for good.

Numbers as of ``linux/landlock.h`` (ABI 7), structures as they grew: what a kernel does not know is
left out.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH: Final = 1  # LANDLOCK_RULE_PATH_BENEATH
_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_REMOVE_AND_MAKE: Final = 0x1FF0  # bits 4 to 12: REMOVE_DIR … MAKE_SYM
_SINCE: Final = ((2, 1 << 13), (3, 1 << 14))  # REFER, TRUNCATE
_TCP: Final = 0b11  # BIND_TCP, CONNECT_TCP; ABI 4
_SCOPES: Final = 0b11  # ABSTRACT_UNIX_SOCKET, SIGNAL; ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the kernel's Landlock ABI; 0 where there is none, or it may not be used."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def ruleset(runs: Iterable[str]) -> int:
    """Return a descriptor of rules under which a process reads what it may, and that is all.

    It makes, changes and removes no file, opens none for writing, and neither serves nor connects
    by TCP (ABI 4), and reaches no process outside (ABI 6).

    Args:
        runs: the programs it may run.

    Raises:
        OSError: the kernel has no Landlock, or a program is not there.
    """
    abi = version()
    handled = _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE
    handled |= sum(right for since, right in _SINCE if abi >= since)
    fields = [handled]
    fields += [_TCP] if abi >= 4 else []
    fields += [_SCOPES] if abi >= 6 else []
    given = struct.pack(f"={len(fields)}Q", *fields)
    descriptor = _call(_CREATE_RULESET, given, len(given), 0)
    try:
        for path in runs:
            _allow(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def restrict(descriptor: int) -> None:
    """Hold this process to the rules from now on; it must have given up new privileges.

    Raises:
        OSError: the kernel refuses.
    """
    _call(_RESTRICT_SELF, descriptor, 0)


def _allow(descriptor: int, path: str) -> None:
    program = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(_ADD_RULE, descriptor, _PATH_BENEATH, struct.pack("=Qi", _EXECUTE, program), 0)
    finally:
        os.close(program)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
