"""Reading files that somebody else may have put there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Final

LIMIT: Final = 1 << 20
"""Bytes read of a declaration or metadata file; larger ones are refused, not cut."""


def read_bytes(path: str, limit: int = LIMIT) -> bytes:
    """Return the content of the regular file ``path``, symbolic links followed.

    Raises:
        OSError: it cannot be read, is no regular file (``EINVAL``), or holds more than ``limit``
            bytes (``EFBIG``). A FIFO does not block, and a device is not even opened.
        ValueError: ``path`` holds a NUL.
    """
    # O_PATH looks without opening: opening a device may act on it, opening a FIFO may block.
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        if status.st_size > limit:
            raise OSError(errno.EFBIG, "too large", path)
        with open(f"/proc/self/fd/{handle}", "rb") as stream:
            content = stream.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise OSError(errno.EFBIG, "too large", path)
    return content


def read_text(path: str, limit: int = LIMIT) -> str:
    """Return ``path`` decoded as UTF-8, undecodable bytes replaced; raises as ``read_bytes``."""
    return read_bytes(path, limit).decode("utf-8-sig", "replace")


def reason(error: Exception) -> str:
    """Return why a file could not be read, in words, without naming it."""
    if isinstance(error, OSError):
        return error.strerror.lower() if error.strerror else "cannot be read"
    return "cannot be read"


def denied(error: OSError) -> bool:
    """Return whether ``error`` means that something may be there and we may not see it."""
    return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


def exists(path: str) -> bool | None:
    """Return whether ``path`` leads to something; None when that cannot be seen."""
    try:
        os.stat(path)
    except OSError as error:
        return None if denied(error) and error.errno != errno.ELOOP else False
    except ValueError:
        return False
    return True


def is_directory(path: str) -> bool:
    """Return whether ``path`` is a directory that can be seen."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def below(path: str, directory: str) -> bool:
    """Return whether ``path`` is ``directory`` or lies in it, by their names alone."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """Return ``values`` without repetitions, in their order."""
    return tuple(dict.fromkeys(values))
