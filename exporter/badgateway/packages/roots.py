"""The files of a container as it sees them, read from outside and never outside of it.

A path is walked one name at a time with descriptors: a symbolic link, absolute ones too, leads to
another place inside, and nothing that the container changes meanwhile leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_LINKS: Final = 40
_NAMES: Final = 512


@dataclass(frozen=True, slots=True)
class Root:
    """Where a container's files are on this host.

    Attributes:
        places: (path inside, path on this host) pairs: what is mounted, and ``/`` where the rest
            can be seen.
    """

    places: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, places: Sequence[tuple[str, str]]) -> Root:
        """Return the root of these places, their paths made plain."""
        return cls(tuple((os.path.normpath(inside), host) for inside, host in places))

    def open(self, path: str) -> int:
        """Return a descriptor (``O_PATH``) of what ``path`` leads to.

        Raises:
            OSError: there is nothing, or (``EACCES``) it cannot be seen from here.
            ValueError: ``path`` holds a NUL.
        """
        return self._walk(path)[0]

    def real(self, path: str) -> str:
        """Return the path inside without symbolic links, as ``os.path.realpath`` does."""
        try:
            handle, found = self._walk(path)
        except (OSError, ValueError):
            return os.path.normpath(path)
        os.close(handle)
        return found

    def link_exists(self, path: str) -> bool:
        """Return whether there is a file or a link of that name, wherever it leads."""
        try:
            handle, _ = self._walk(path, follow_last=False)
        except (OSError, ValueError):
            return False
        os.close(handle)
        return True

    def _walk(self, path: str, follow_last: bool = True) -> tuple[int, str]:
        if "\0" in path:
            raise ValueError("embedded null byte")
        left = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        inside: list[str] = []
        handles: list[int | None] = [self._place("/")]
        links = names = 0
        try:
            while left:
                name, names = left.pop(), names + 1
                if name == "..":
                    if inside:
                        inside.pop()
                        _close(handles.pop())
                    continue
                if names > _NAMES:
                    raise OSError(errno.ENAMETOOLONG, "too many names", path)
                here = "/" + "/".join((*inside, name))
                handle = self._place(here) or self._child(handles[-1], name, here)
                if handle is not None and stat.S_ISLNK(os.fstat(handle).st_mode):
                    if not left and not follow_last:
                        handles.append(handle)
                        return self._taken(handles), here
                    links += 1
                    target = _target(handle)
                    os.close(handle)
                    if links > _LINKS:
                        raise OSError(errno.ELOOP, "too many links", path)
                    if target.startswith("/"):
                        for old in handles[1:]:
                            _close(old)
                        del handles[1:]
                        inside.clear()
                    left += [n for n in reversed(target.split("/")) if n not in ("", ".")]
                    continue
                inside.append(name)
                handles.append(handle)
            return self._taken(handles), "/" + "/".join(inside)
        finally:
            for rest in handles:
                _close(rest)

    def _place(self, inside: str) -> int | None:
        """Open what is mounted at a path; None when nothing is, or it cannot be seen."""
        for place, host in self.places:
            if place == inside:
                with suppress(OSError):
                    return os.open(host, os.O_PATH | os.O_CLOEXEC)
        return None

    def _child(self, parent: int | None, name: str, here: str) -> int | None:
        """Open a name in a directory; None when only something mounted below can be seen."""
        above = here.rstrip("/") + "/"
        if parent is None:
            if any(place.startswith(above) for place, _ in self.places):
                return None
            raise PermissionError(errno.EACCES, "cannot be seen from here", here)
        flags = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(name, flags, dir_fd=parent)
        except FileNotFoundError:
            if any(place.startswith(above) for place, _ in self.places):
                return None
            raise

    @staticmethod
    def _taken(handles: list[int | None]) -> int:
        """Take the last descriptor out, so that it stays open."""
        found = handles.pop()
        if found is None:
            raise PermissionError(errno.EACCES, "cannot be seen from here")
        return found


def _target(handle: int) -> str:
    """Where a link leads (readlinkat(2) of an empty path)."""
    return os.readlink("", dir_fd=handle)


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)
