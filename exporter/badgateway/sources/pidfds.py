"""Being told that a process has ended, and how: pidfd_open(2), PIDFD_GET_INFO.

The status of somebody else's child is told since Linux 6.15 (``include/uapi/linux/pidfd.h``);
before that only that it ended. Neither needs a privilege.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from collections.abc import Callable
from typing import Final

_INFO: Final = struct.Struct("=QQ11Ii2I")  # struct pidfd_info as of Linux 6.16
_MASK_EXIT: Final = 1 << 3
_GET_INFO: Final = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11)
_LIMIT: Final = 512
_REAPED_SECONDS: Final = (0.01, 0.1, 0.4, 0.5, 1.0, 1.0)
"""Pauses between looks whether its parent has asked for its status: uvicorn asks every 0.5 s."""


class Pidfds:
    """Watches processes, from one event loop."""

    def __init__(self, ended: Callable[[tuple[int, int], float, int | None], None]) -> None:
        """``ended`` is called with a process' identity, when it ended (seconds since the epoch) and
        its wait status, None if untold."""
        self._ended = ended
        self._watched: dict[tuple[int, int], int] = {}
        self._since: dict[tuple[int, int], float] = {}

    def watch(self, pid: int, start: int) -> None:
        """Be told of the end of a process; once is enough. Too many are left to the next look."""
        identity = (pid, start)
        if identity in self._watched or len(self._watched) >= _LIMIT:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return  # gone, or no descriptors are left: the next look tells
        self._watched[identity] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._readable, identity)

    def watches(self, identity: tuple[int, int]) -> bool:
        """Whether the end of a process will still be told."""
        return identity in self._watched

    def awaits(self, identity: tuple[int, int]) -> bool:
        """Whether a process has ended and its status will still be told."""
        return identity in self._since

    def forget(self, identity: tuple[int, int]) -> int | None:
        """Watch no longer; return the wait status if it has ended and that is told."""
        descriptor = self._watched.pop(identity, None)
        self._since.pop(identity, None)
        if descriptor is None:
            return None
        asyncio.get_running_loop().remove_reader(descriptor)
        status = wait_status(descriptor)
        os.close(descriptor)
        return status

    def close(self) -> None:
        """Watch nothing any more."""
        for identity in list(self._watched):
            self.forget(identity)

    def _readable(self, identity: tuple[int, int], tries: int = len(_REAPED_SECONDS)) -> None:
        """Tell of an end; its status is there once the parent has asked for it."""
        descriptor = self._watched.get(identity)
        if descriptor is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(descriptor)
        at = self._since.setdefault(identity, time.time())
        if tries and wait_status(descriptor) is None:
            pause = _REAPED_SECONDS[-tries]
            loop.call_later(pause, self._readable, identity, tries - 1)
            return
        self._ended(identity, at, self.forget(identity))


def wait_status(descriptor: int) -> int | None:
    """Return the wait status of a process that has ended; None while that is not told."""
    request = bytearray(_INFO.pack(_MASK_EXIT, *[0] * 15))
    try:
        fcntl.ioctl(descriptor, _GET_INFO, request, True)
    except OSError:
        return None
    fields = _INFO.unpack(request)
    return int(fields[13]) if fields[0] & _MASK_EXIT else None
