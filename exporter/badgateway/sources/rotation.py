"""Finding a log file again after it was rotated: renamed, copied, compressed.

Names as logrotate makes them (``access.log.1``, ``access.log-20261121.gz``, ``access.1.log``), as
Caddy does (``access-2026-11-21T16-58-50.123.log.gz``, since 2.11 ``….123-size.log.gz``), and as
they follow each other behind a symbolic link (``access-2026-11-21.log``).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".Z")
"""Endings of compressed files; what Python's own library does not read is not read."""

_OPENERS: Final[Mapping[str, Callable[..., Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
DAMAGED: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
_STEP: Final = 1024 * 1024
_DIRECTORIES: Final = 100
_DATE_DIGITS: Final = 6
_ENDING: Final = r"(?:\.(?:gz|bz2|xz|zst|Z))?"
_TIME: Final = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}(?:-(?:size|time))?"
_AFTER_NAME: Final = rf"(?:{_TIME}|[._-]\d[\dT._:-]*){_ENDING}"
_BEFORE_SUFFIX: Final = rf"(?:{_TIME}|\.\d{{1,4}}|-\d{{8}}(?:-\d+)?)"


@dataclass(frozen=True, slots=True)
class Rotated:
    """A file that had a log's name before.

    Attributes:
        path: where it is now.
        changed: when it was written last, seconds since the epoch.
        inode: its inode; a compressed or copied one has another than the file it was made of.
        size: its length in bytes, as it stands there.
        number: the number at the end of its name, higher for older files, as logrotate counts.
        dated: whether its name bears a date.
    """

    path: Path
    changed: float
    inode: int
    size: int
    number: int | None
    dated: bool

    @property
    def is_compressed(self) -> bool:
        """Whether it must be unpacked."""
        return self.path.suffix in COMPRESSED


def siblings(path: Path) -> list[Rotated]:
    """Return the files a log was rotated to, oldest first; never raises.

    Of a file that is there both plain and compressed, the plain one: the other may be unfinished.
    """
    found: dict[Path, Rotated] = {}
    patterns = [(path, _pattern(path))]
    try:
        if path.is_symlink():
            target = path.resolve()
            patterns += [(target, _pattern(target)), (target, _generations(target))]
    except (OSError, RuntimeError):
        pass  # it leads nowhere, or in a circle
    for place, pattern in patterns:
        for name in _names(place.parent):
            if pattern.fullmatch(name) and name != place.name:
                sibling = at(place.parent / name)
                if sibling is not None:
                    found[sibling.path] = sibling
    kept = [s for s in found.values() if not (s.is_compressed and s.path.with_suffix("") in found)]
    if all(sibling.number is not None for sibling in kept):
        return sorted(kept, key=lambda sibling: -(sibling.number or 0))
    if all(sibling.dated for sibling in kept):
        return sorted(kept, key=lambda sibling: _plain(sibling.path.name))
    return sorted(kept, key=lambda sibling: (sibling.changed, -(sibling.number or 0)))


def elsewhere(path: Path) -> Iterator[list[Rotated]]:
    """Yield what a log may have been rotated to in directories beneath its own (``olddir``)."""
    directory = path.parent
    seen = 0
    for name in _names(directory):
        below = directory / name
        if seen < _DIRECTORIES and below.is_dir() and not below.is_symlink():
            seen += 1
            moved = siblings(below / path.name)
            if moved:
                yield moved


def is_rotated_name(name: str, base: str) -> bool:
    """Tell whether ``name`` is what a file named ``base`` is called once it was rotated."""
    return _pattern(Path(base)).fullmatch(name) is not None


def bases(name: str) -> Iterator[str]:
    """Yield the names a file may have had before it was rotated to ``name``."""
    name = _plain(name)
    for at, character in enumerate(name):
        if character in "._-" and at and name[at + 1 : at + 2].isdigit():
            yield name[:at]
            after = name.rfind(".")
            if after > at and not name[after + 1 :].isdigit():
                yield name[:at] + name[after:]


def opened(path: Path) -> BufferedIOBase:
    """Open a rotated file, unpacked.

    Raises:
        OSError: it cannot be read, or not unpacked.
    """
    opener = _OPENERS.get(path.suffix)
    if opener is None and path.suffix in COMPRESSED:
        raise OSError(0, f"{path.suffix} files cannot be unpacked")
    file: BufferedIOBase = open(path, "rb") if opener is None else opener(path, "rb")  # noqa: SIM115
    return file


def skip(file: BufferedIOBase, length: int, alive: Callable[[], None]) -> None:
    """Read over ``length`` bytes, in steps."""
    while length > 0:
        alive()
        passed = len(file.read(min(length, _STEP)))
        if not passed:
            return
        length -= passed


def _pattern(path: Path) -> re.Pattern[str]:
    """What a file of this name is called when it was rotated."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    inner = f"|{stem}{_BEFORE_SUFFIX}{suffix}{_ENDING}" if suffix else ""
    return re.compile(f"(?:{re.escape(path.name)}{_AFTER_NAME}{inner})")


def _generations(target: Path) -> re.Pattern[str]:
    """What files are called that differ from this one only in the date in their name."""
    parts = re.split(r"\d+", target.name)
    if sum(map(str.isdigit, target.name)) < _DATE_DIGITS:
        return re.compile(r"(?!)")
    return re.compile(r"\d+".join(map(re.escape, parts)) + _ENDING)


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def at(path: Path) -> Rotated | None:
    """Return what is at a path now; None when that is no regular file that can be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    plain = _plain(path.name)
    number = re.search(r"\.(\d{1,4})(?:\.[a-z]+)?$", plain)
    dated = number is None and sum(map(str.isdigit, plain)) >= _DATE_DIGITS
    counted = int(number[1]) if number else None
    return Rotated(path, status.st_mtime, status.st_ino, status.st_size, counted, dated)


def _plain(name: str) -> str:
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return name
