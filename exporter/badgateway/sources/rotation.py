"""Finding a log file again after it was rotated: renamed, copied, compressed.

Names as logrotate makes them (``access.log.1``, ``access.log-20261121.gz``) and as Caddy does
(``access-2026-11-21T16-58-50.123.log.gz``).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from badgateway.sources import Position

HEAD_BYTES: Final = 256
_ROTATED: Final = re.compile(r"[.-]\d[\d.T:-]*(?:\.gz)?")
_ROTATED_BEFORE_SUFFIX: Final = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"


def mark(descriptor: int, offset: int, head: bytes | None = None) -> dict[str, Any]:
    """Return the position at ``offset`` of an open file; ``head`` is its beginning, if known."""
    if head is None:
        head = os.pread(descriptor, min(offset, HEAD_BYTES), 0)
    return _mark(os.fstat(descriptor), offset, head)


def holds(descriptor: int, position: Position, size: int) -> bool:
    """Tell whether an open file is the one a position was taken in, and still holds it."""
    return (
        os.fstat(descriptor).st_ino == position.get("inode")
        and size >= int(position["offset"])
        and _hash(os.pread(descriptor, int(position.get("length", 0)), 0)) == position.get("head")
    )


def rotated(path: Path, position: Position) -> list[Path]:
    """Return the file a position was taken in and those rotated after it, oldest first.

    Empty when it is not found. The file that has the name now is not among them.
    """
    siblings = [sibling for _, sibling in sorted(_siblings(path))]
    found = next((n for n, sibling in enumerate(siblings) if _is(sibling, position)), None)
    return [] if found is None else siblings[found:]


def mark_rotated(path: Path, offset: int) -> dict[str, Any]:
    """Return the position at ``offset`` of a rotated file.

    Raises:
        OSError: it is gone.
    """
    with _opened(path) as file:
        return _mark(path.stat(), offset, file.read(min(offset, HEAD_BYTES)))


def read_rotated(path: Path, offset: int, chunk: int) -> Iterator[bytes]:
    """Yield what a rotated file holds from ``offset`` on; a damaged one ends early."""
    try:
        with _opened(path) as file:
            file.seek(offset)
            while data := file.read(chunk):
                yield data
    except (OSError, EOFError, zlib.error):
        return


def _mark(status: os.stat_result, offset: int, head: bytes) -> dict[str, Any]:
    return {
        "device": status.st_dev,
        "inode": status.st_ino,
        "offset": offset,
        "length": len(head),
        "head": _hash(head),
        "at": time.time(),
    }


def _siblings(path: Path) -> Iterator[tuple[tuple[float, str], Path]]:
    """Yield rotated files with what orders them: the time in the name, else that of the end."""
    before = re.compile(
        re.escape(path.stem) + _ROTATED_BEFORE_SUFFIX + re.escape(path.suffix) + r"(?:\.gz)?"
    )
    try:
        names = os.listdir(path.parent)
    except OSError:
        return
    for name in names:
        sibling = path.parent / name
        if before.fullmatch(name):
            yield (0.0, name), sibling
        elif name.startswith(path.name) and _ROTATED.fullmatch(name[len(path.name) :]):
            try:
                yield (sibling.stat().st_mtime, name), sibling
            except OSError:
                continue


def _is(path: Path, position: Position) -> bool:
    """Tell whether a rotated file begins and ends as the one a position was taken in."""
    length = int(position.get("length", 0))
    try:
        if not length:  # nothing was read of it: only the inode tells
            return path.stat().st_ino == position.get("inode")
        with _opened(path) as file:
            if _hash(file.read(length)) != position.get("head"):
                return False
            if path.suffix == ".gz":
                return file.seek(int(position["offset"])) == int(position["offset"])
            return path.stat().st_size >= int(position["offset"])
    except (OSError, EOFError, zlib.error):
        return False


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
