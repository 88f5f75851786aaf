"""Sources parsed before, remembered between scans."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Final

import msgspec

from badgateway import __version__
from badgateway.packages import files
from badgateway.packages.imports import Source, parse

FILE_LIMIT: Final = 512 << 10
"""Bytes of a source file that is parsed: a parser may need a thousand times its size."""

CACHE_LIMIT: Final = 64 << 20
_FORMAT: Final = (
    f"{__version__}/{sys.version_info[0]}.{sys.version_info[1]}/{len(Source.__struct_fields__)}"
)


class _Entry(msgspec.Struct, array_like=True):
    modified: int
    size: int
    source: Source


class _File(msgspec.Struct):
    format: str
    minor: tuple[int, int]
    entries: dict[str, _Entry]


class ParseCache:
    """Parses files for one target version, each once as long as it does not change.

    Args:
        path: file to remember results in; None to remember nothing.
        minor: the target's version.
    """

    def __init__(self, path: str | None, minor: tuple[int, int]) -> None:
        self.path = path
        self.minor = minor
        self.parsed = 0
        self._old = self._load()
        self._used: dict[str, _Entry] = {}
        self._memo: dict[str, Source] = {}

    def source(self, path: str, *, main: bool = False) -> Source:
        """Return what the file at ``path`` imports; never raises.

        ``error`` starts with ``denied:`` when it may not be read.
        """
        key = f"{path}\0main" if main else path
        known = self._memo.get(key)
        if known is None:
            known = self._memo[key] = self._read(path, key, main=main)
        return known

    def _read(self, path: str, key: str, *, main: bool) -> Source:
        try:
            status = os.stat(path)
            entry = self._old.get(key)
            if entry and (entry.modified, entry.size) == (status.st_mtime_ns, status.st_size):
                self._used[key] = entry
                return entry.source
            content = files.read_bytes(path, FILE_LIMIT)
        except PermissionError:
            return Source(error="denied: permission denied")
        except (OSError, ValueError) as error:
            return Source(error=files.reason(error))
        self.parsed += 1
        source = parse(content, path, self.minor, main=main)
        self._used[key] = _Entry(status.st_mtime_ns, status.st_size, source)
        return source

    def _load(self) -> dict[str, _Entry]:
        if not self.path:
            return {}
        try:
            content = files.read_bytes(self.path, CACHE_LIMIT)
            stored = msgspec.msgpack.decode(content, type=_File)
        except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
            return {}  # none yet, or damaged: parsing again is the remedy
        fits = stored.format == _FORMAT and stored.minor == self.minor
        return stored.entries if fits else {}

    def save(self) -> bool:
        """Write the results atomically; return whether that was needed and worked."""
        if not self.path or (not self.parsed and self._used.keys() == self._old.keys()):
            return False
        content = msgspec.msgpack.encode(_File(_FORMAT, self.minor, self._used))
        try:
            handle, temporary = tempfile.mkstemp(
                prefix=".parsed-", dir=os.path.dirname(self.path) or "."
            )
        except OSError:
            return False
        try:
            with open(handle, "wb") as stream:
                stream.write(content)
            os.replace(temporary, self.path)
        except OSError:
            try:
                os.unlink(temporary)
            except OSError:
                pass
            return False
        return True
