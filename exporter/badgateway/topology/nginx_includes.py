"""nginx' configuration files brought together: each ``include`` replaced by what it names.

``crossplane`` reads each single file. The includes are followed here, because a file may be a pipe,
a device, or one that includes itself many times over: nothing is opened that is no regular file,
and what is read is bounded. What cannot be read is told and the rest is read.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import crossplane

from badgateway import regularfile

_FILE_BYTES: Final = 16 * 1024 * 1024
_ALL_BYTES: Final = 64 * 1024 * 1024
_DIRECTIVES: Final = 500_000
_INCLUDES: Final = 20_000
_DEPTH: Final = 50

Directive = dict[str, Any]
Stamp = tuple[str, tuple[int, ...]]


class Configuration:
    """One configuration as it is on disk.

    Attributes:
        directives: all of it, includes put in their places.
        problem: the first thing that could not be read, with file and line; empty for none.
        stamps: files and folders it was read from, as they were just before.
    """

    def __init__(self, path: Path) -> None:
        """Read ``path`` and what it includes; may block.

        Raises:
            ValueError: it is nested or includes too deeply or too much.
        """
        self.problem = ""
        self.stamps: dict[str, Stamp] = {}
        self._folder = os.path.dirname(path)
        self._files: dict[str, list[Directive]] = {}
        self._bytes = self._seen = self._included = 0
        try:
            self.directives = list(self._whole(self._file(str(path)), (str(path),)))
        except RecursionError:
            raise ValueError(f"{path}: nested too deeply") from None

    def _file(self, path: str) -> list[Directive]:
        """One file's directives; none where it cannot be read."""
        if path not in self._files:
            self._files[path] = []
            self._files[path] = self._parsed(path)
        return self._files[path]

    def _parsed(self, path: str) -> list[Directive]:
        self.stamps[path] = stamp(path)
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            self._tell(path, getattr(error, "strerror", None) or str(error))
            return []
        if not stat.S_ISREG(status.st_mode):
            self._tell(path, "not a regular file")
            return []
        self._bytes += status.st_size
        if status.st_size > _FILE_BYTES or self._bytes > _ALL_BYTES:
            self._tell(path, "too large to be read")
            return []
        payload = crossplane.parse(
            path, single=True, catch_errors=True, check_ctx=False, check_args=False
        )
        for told in payload["errors"]:
            self._tell(f"{path}:{told.get('line') or '?'}", str(told.get("error")))
        parsed: list[Directive] = payload["config"][0]["parsed"]
        return parsed

    def _whole(self, directives: list[Directive], way: tuple[str, ...]) -> Iterator[Directive]:
        """Directives with their includes replaced; ``way`` names the files that led here."""
        for directive in directives:
            self._seen += 1
            if self._seen > _DIRECTIVES:
                raise ValueError(f"{way[0]}: more than {_DIRECTIVES} directives")
            if directive["directive"] == "include":
                for path in self._named(directive, way):
                    yield from self._whole(self._file(path), (*way, path))
            elif "block" in directive:
                yield {**directive, "block": list(self._whole(directive["block"], way))}
            else:
                yield directive

    def _named(self, directive: Directive, way: tuple[str, ...]) -> list[str]:
        """The files an ``include`` names."""
        place = f"{way[-1]}:{directive.get('line') or '?'}"
        if not directive["args"]:
            self._tell(place, "an include of nothing")
            return []
        pattern = os.path.join(self._folder, str(directive["args"][0]))
        found = self._matching(pattern) if glob.has_magic(pattern) else [pattern]
        self._included += len(found)
        if len(way) > _DEPTH or self._included > _INCLUDES:
            raise ValueError(f"{place}: includes too much, perhaps itself")
        if any(path in way for path in found):
            self._tell(place, "includes itself")
        return [path for path in found if path not in way]

    def _matching(self, pattern: str) -> list[str]:
        folder = os.path.dirname(pattern)
        folders = [folder]
        while glob.has_magic(folder):
            folder = os.path.dirname(folder)
            folders.append(folder)
        for each in folders:  # where others may appear
            for path in glob.glob(each) if glob.has_magic(each) else [each]:
                self.stamps.setdefault(path, stamp(path))
        return sorted(glob.glob(pattern))

    def _tell(self, place: str, problem: str) -> None:
        self.problem = self.problem or f"{place}: {problem}"[:300]


def stamp(path: str) -> Stamp:
    """What changes when a file is written or replaced, or a folder's files are."""
    try:
        return path, regularfile.stamp(os.stat(path))
    except (OSError, ValueError):
        return path, ()
