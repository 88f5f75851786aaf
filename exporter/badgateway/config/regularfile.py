"""Reading a file that somebody named: never a pipe, a device or more than was bargained for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """Return up to ``limit`` bytes of a file and its state; one byte more if it is longer.

    Raises:
        OSError: it cannot be read or is no regular file; ``strerror`` says why.
        ValueError: no file can have this path.
    """
    # a pipe must not block, a terminal must not become ours
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        data = bytearray()
        while len(data) <= limit and (chunk := os.read(descriptor, limit + 1 - len(data))):
            data += chunk
        return bytes(data), status
    finally:
        os.close(descriptor)
