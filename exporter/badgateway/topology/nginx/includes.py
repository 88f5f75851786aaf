"""nginx' configuration files brought together: each ``include`` replaced by what it names.

A file may be a pipe, a device, or one that includes itself many times over: nothing is opened that
is no regular file, and what is read is bounded. What cannot be read is told and the rest is read.
Paths mean this host's files, or those of a container (``packages.files.seen_in``).
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from badgateway import regularfile
from badgateway.packages import files
from badgateway.topology.nginx import parsing as nginx_parsing
from badgateway.topology.nginx.parsing import Directive
from badgateway.topology.proxies.templates import template_of

_FILE_BYTES: Final = 16 * 1024 * 1024
_ALL_BYTES: Final = 64 * 1024 * 1024
_DIRECTIVES: Final = 500_000
_INCLUDES: Final = 20_000
_DEPTH: Final = 50
_PROBLEMS: Final = 100
_NANO: Final = 1e9

Stamp = tuple[str, tuple[int, ...]]


class Configuration:
    """One configuration as it is on disk.

    Attributes:
        directives: all of it, includes put in their places.
        problems: what could not be read: (``file:line`` or file, why) pairs, at most 100.
        stamps: files and folders it was read from, as they were just before.
        digest: differs where two configurations say something else, whatever their white space and
            comments; empty where a part cannot be seen.
    """

    def __init__(self, path: Path, located: Callable[[str], str] | None = None) -> None:
        """Read ``path`` and what it includes; may block.

        Args:
            path: the file.
            located: returns where an included file or pattern is looked for; None for where nginx
                does, beside ``path``.

        Raises:
            ValueError: it is nested or includes too deeply or too much.
        """
        self.problems: list[tuple[str, str]] = []
        self.stamps: dict[str, Stamp] = {}
        folder = os.path.dirname(path)
        self._located = located or (lambda name: os.path.join(folder, name))
        self._files: dict[str, list[Directive]] = {}
        self._hidden = False
        self._broken = hashlib.sha256()
        self._bytes = self._seen = self._included = 0
        try:
            self.directives = list(self._whole(self._file(str(path), ""), (str(path),)))
            self.digest = "" if self._hidden else self._digest()
        except RecursionError:
            raise ValueError(f"{path}: nested too deeply") from None

    @property
    def problem(self) -> str:
        """The first thing that could not be read, with file and line; empty for none."""
        return ": ".join(self.problems[0])[:300] if self.problems else ""

    @property
    def changed(self) -> float:
        """When a file of it was last changed, or a folder whose files it takes; epoch seconds."""
        times = (max(state[3], state[4]) for _, state in self.stamps.values() if state)
        return max(times, default=0) / _NANO

    def _digest(self) -> str:
        found = self._broken
        _feed(found, self.directives)
        return found.hexdigest()

    def _file(self, path: str, named_at: str) -> list[Directive]:
        """One file's directives; none where it cannot be read."""
        if path not in self._files:
            self._files[path] = []
            self._files[path] = self._parsed(path, named_at)
        return self._files[path]

    def _parsed(self, path: str, named_at: str) -> list[Directive]:
        self.stamps[path] = stamp(path)
        size = self.stamps[path][1][2] if self.stamps[path][1] else 0
        self._bytes += size
        try:
            if self._bytes > _ALL_BYTES:
                raise OSError(errno.EFBIG, "too large, with all the others,", path)
            content = files.read_bytes(path, _FILE_BYTES)
        except (OSError, ValueError) as error:
            why = files.reason(error) + (" to be read" if size > _FILE_BYTES else "")
            self._tell(path, f"{why}, included at {named_at}" if named_at else why)
            self._hidden = self._hidden or not isinstance(error, FileNotFoundError)
            self._broken.update(f"missing {path}".encode("utf-8", "replace"))
            return []
        parsed, problems = nginx_parsing.parse(content, path)
        if problems:
            self._broken.update(content)
            kind = template_of(content.decode("utf-8", "replace"))
            said = f" (it looks like a template, {kind}, that was not filled in)" if kind else ""
            for line, problem in problems:
                self._tell(f"{path}:{line}", problem + said)
        return parsed

    def _whole(self, directives: list[Directive], way: tuple[str, ...]) -> Iterator[Directive]:
        """Directives with their includes replaced; ``way`` names the files that led here."""
        for directive in directives:
            self._seen += 1
            if self._seen > _DIRECTIVES:
                raise ValueError(f"{way[0]}: more than {_DIRECTIVES} directives")
            if directive["directive"] == "include":
                place = f"{way[-1]}:{directive['line']}"
                for path in self._named(directive, place, way):
                    yield from self._whole(self._file(path, place), (*way, path))
            elif "block" in directive:
                yield {**directive, "block": list(self._whole(directive["block"], way))}
            else:
                yield directive

    def _named(self, directive: Directive, place: str, way: tuple[str, ...]) -> list[str]:
        """The files an ``include`` names."""
        if not directive["args"]:
            self._tell(place, "an include of nothing")
            return []
        pattern = self._located(str(directive["args"][0]))
        found = self._matching(pattern) if glob.has_magic(pattern) else [pattern]
        self._included += len(found)
        if len(way) > _DEPTH or self._included > _INCLUDES:
            raise ValueError(f"{place}: includes too much, perhaps itself")
        if any(path in way for path in found):
            self._tell(place, "includes itself")
        return [path for path in found if path not in way]

    def _matching(self, pattern: str) -> list[str]:
        """The files of a pattern (glob(7)); the folders where others may appear are kept."""
        found = ["/"] if pattern.startswith("/") else [""]
        for name in filter(None, pattern.split("/")):
            if not glob.has_magic(name):
                found = [os.path.join(folder, name) for folder in found]
                continue
            folders, found = found, []
            for folder in folders:
                self.stamps.setdefault(folder, stamp(folder))
                found += [os.path.join(folder, each) for each in _names(folder, name)]
        there = [path for path in found if files.lexists(path)]
        for path in set(found).difference(there):
            self.stamps.setdefault(path, stamp(path))
        return sorted(there)

    def _tell(self, place: str, problem: str) -> None:
        if len(self.problems) < _PROBLEMS:
            self.problems.append((place, problem[:300]))


def stamp(path: str) -> Stamp:
    """What changes when a file is written or replaced, or a folder's files are."""
    try:
        handle = files.descriptor(path or ".", os.O_PATH)
    except (OSError, ValueError):
        return path, ()
    try:
        status = os.fstat(handle)
    finally:
        os.close(handle)
    return path, regularfile.stamp(status)


def _names(folder: str, pattern: str) -> Iterable[str]:
    try:
        names = files.listdir(folder or ".")
    except (OSError, ValueError):
        return ()
    hidden = pattern.startswith(".")
    return (
        name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) and (hidden or not name.startswith("."))
    )


def _feed(found: hashlib._Hash, directives: Iterable[Directive]) -> None:
    for directive in directives:
        words = (directive["directive"], *directive["args"])
        found.update("\0".join(words).encode("utf-8", "replace"))
        if "block" in directive:
            found.update(b"\1{")
            _feed(found, directive["block"])
            found.update(b"\1}")
        else:
            found.update(b"\1;")
