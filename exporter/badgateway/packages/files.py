"""Reading files that somebody else may have put there.

``seen_in`` makes all of it read a container's files instead of this host's.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from badgateway.packages.roots import Root

LIMIT: Final = 1 << 20
"""Bytes read of a declaration or metadata file; larger ones are refused, not cut."""

_root: ContextVar[Root | None] = ContextVar("root", default=None)


@contextmanager
def seen_in(root: Root | None) -> Iterator[None]:
    """Let paths mean the files of a container while the context lasts; None means this host's."""
    before = _root.set(root)
    try:
        yield
    finally:
        _root.reset(before)


def is_elsewhere() -> bool:
    """Return whether paths mean the files of a container."""
    return _root.get() is not None


def _open(path: str) -> int:
    """Return a descriptor that only looks: opening a device may act on it, and a FIFO block."""
    root = _root.get()
    return os.open(path, os.O_PATH | os.O_CLOEXEC) if root is None else root.open(path)


def descriptor(path: str, flags: int) -> int:
    """Return ``path`` opened with ``flags``; waits for nobody and acts on no terminal.

    Raises:
        OSError: it cannot be opened.
        ValueError: ``path`` holds a NUL.
    """
    flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if _root.get() is None:
        return os.open(path, flags)
    handle = _open(path)
    try:
        return os.open(f"/proc/self/fd/{handle}", flags)
    finally:
        os.close(handle)


def _status(path: str) -> os.stat_result:
    handle = _open(path)
    try:
        return os.fstat(handle)
    finally:
        os.close(handle)


def read_bytes(path: str, limit: int = LIMIT) -> bytes:
    """Return the content of the regular file ``path``, symbolic links followed.

    Raises:
        OSError: it cannot be read, is no regular file (``EINVAL``), or holds more than ``limit``
            bytes (``EFBIG``). A FIFO does not block, and a device is not even opened.
        ValueError: ``path`` holds a NUL.
    """
    handle = _open(path)
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
        _status(path)
    except OSError as error:
        return None if denied(error) and error.errno != errno.ELOOP else False
    except ValueError:
        return False
    return True


def is_directory(path: str) -> bool:
    """Return whether ``path`` is a directory that can be seen."""
    try:
        return stat.S_ISDIR(_status(path).st_mode)
    except (OSError, ValueError):
        return False


def is_file(path: str) -> bool:
    """Return whether ``path`` is a regular file that can be seen."""
    try:
        return stat.S_ISREG(_status(path).st_mode)
    except (OSError, ValueError):
        return False


def lexists(path: str) -> bool:
    """Return whether there is a file or a link of that name, wherever it leads."""
    root = _root.get()
    return os.path.lexists(path) if root is None else root.link_exists(path)


def realpath(path: str) -> str:
    """Return ``path`` without symbolic links, as far as it leads to something."""
    root = _root.get()
    return os.path.realpath(path) if root is None else root.real(path)


def listdir(directory: str) -> list[str]:
    """Return the names in a directory, sorted.

    Raises:
        OSError: it cannot be read.
        ValueError: ``directory`` holds a NUL.
    """
    if _root.get() is None:
        return sorted(os.listdir(directory))
    handle = _open(directory)
    try:
        return sorted(os.listdir(f"/proc/self/fd/{handle}"))
    finally:
        os.close(handle)


def below(path: str, directory: str) -> bool:
    """Return whether ``path`` is ``directory`` or lies in it, by their names alone."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """Return ``values`` without repetitions, in their order."""
    return tuple(dict.fromkeys(values))
