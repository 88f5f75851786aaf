"""Reading a file that somebody named: never a pipe, a device or more than was bargained for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, limit: int, devices: bool = False) -> tuple[bytes, os.stat_result]:
    """Return a file's content and its state.

    Args:
        path: the file.
        limit: how many bytes it may have.
        devices: whether a character device such as ``/dev/null`` will do.

    Raises:
        OSError: it cannot be read, is no regular file or is too large; ``strerror`` says why.
        ValueError: no file can have this path.
    """
    # a pipe must not block, a terminal must not become ours
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode) and not (devices and stat.S_ISCHR(status.st_mode)):
            raise OSError(errno.EINVAL, "Not a regular file")
        data = bytearray()
        while len(data) <= limit and (chunk := os.read(descriptor, limit + 1 - len(data))):
            data += chunk
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"is larger than {_size(limit)}")
        return bytes(data), status
    finally:
        os.close(descriptor)


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return what of a file's state differs once the file does."""
    return (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
        status.st_mode, status.st_uid, status.st_gid,
    )  # fmt: skip


def _size(limit: int) -> str:
    mebibytes, rest = divmod(limit, 1024 * 1024)
    return f"{limit // 1024} KiB" if rest else f"{mebibytes} MiB"
