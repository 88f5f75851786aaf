"""Lines of files as they are: compressed or not, in any encoding, in any order, endless or huge."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import os
import stat
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from badgateway.envelopes import layers, times
from badgateway.events import LINE_LIMIT

STANDARD_INPUT: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_CHUNK: Final = 256 * 1024
_SAMPLE: Final = 200
"""Lines looked at to tell whether the newest comes first."""
_REVERSIBLE: Final = 64 * 1024 * 1024
"""Bytes of a file that may be read backwards: it is held in memory."""

Progress = Callable[[int], None]


class Unreadable(Exception):  # noqa: N818 - reads as what it is
    """A file cannot be read; the text says which, and why."""


def opened(name: str) -> BinaryIO:
    """Return a file's bytes, unpacked if it is compressed.

    Raises:
        Unreadable: it does not exist, may not be read, or is no file.
    """
    if name == STANDARD_INPUT:
        return _unpacked(sys.stdin.buffer)
    try:
        status = Path(name).stat()
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable(f"{name}: is a directory")
        return _unpacked(Path(name).open("rb"))
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise Unreadable(f"{name!r}: {error}") from error


def unbuffered(name: str) -> io.FileIO:
    """Return a file's bytes as they come, for one that grows.

    Raises:
        Unreadable: as of ``opened``.
    """
    try:
        if name == STANDARD_INPUT:
            return io.FileIO(sys.stdin.fileno(), closefd=False)
        return io.FileIO(name)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{name}: {getattr(error, 'strerror', None) or error}") from error


def numbered(
    name: str, file: BinaryIO, progress: Progress | None = None
) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, oldest first where that can be told.

    Raises:
        Unreadable: the file ends in the middle of what was compressed, or reading fails.
    """
    lines = _lines(name, file, progress)
    sample = list(itertools.islice(lines, _SAMPLE))
    indent = _indent([text for _, text in sample])
    if indent:
        sample = [(number, text[indent:]) for number, text in sample]
        lines = ((number, text.removeprefix(" " * indent)) for number, text in lines)
    if not _newest_first(sample):
        yield from sample
        yield from lines
        return
    size = sum(len(text) for _, text in sample)
    for line in lines:
        sample.append(line)
        size += len(line[1])
        if size > _REVERSIBLE:
            yield from sample
            yield from lines
            return
    yield from reversed(sample)


def decoded(raw: bytes) -> str:
    """Return a line's text; bytes that are no UTF-8 are kept apart, not lost."""
    return raw[: LINE_LIMIT * 4].decode("utf-8", "surrogateescape")[:LINE_LIMIT]


def _lines(name: str, file: BinaryIO, progress: Progress | None) -> Iterator[tuple[int, str]]:
    number = done = 0
    try:
        while True:
            raw = file.readline(_CHUNK)
            if not raw:
                return
            number += 1
            done += len(raw)
            rest = raw
            while not rest.endswith(b"\n") and len(rest) == _CHUNK:
                rest = file.readline(_CHUNK)  # what is beyond is not kept
                done += len(rest)
            if progress is not None and number % 1000 == 0:
                progress(done)
            yield number, decoded(raw.rstrip(b"\n"))
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise Unreadable(f"{name}: line {number + 1}: {reason}") from error


def _unpacked(file: BinaryIO) -> BinaryIO:
    reader = file if hasattr(file, "peek") else io.BufferedReader(file)  # type: ignore[type-var]
    head = reader.peek(4)[:4]
    if head.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=reader), _CHUNK)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return cast(BinaryIO, codecs.EncodedFile(reader, "utf-8", "utf-16", "replace"))
    return reader


def _indent(texts: list[str]) -> int:
    """Return by how many spaces all lines are moved to the right, as in a quoted block."""
    return min((len(text) - len(text.lstrip(" ")) for text in texts if text.strip()), default=0)


def _newest_first(sample: list[tuple[int, str]]) -> bool:
    """Whether times fall from line to line; a few that stand still or rise do not matter.

    Only times of the same place are compared: a program's own may be of when a request began.
    """
    places: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for _, text in sample:
        place, at = _time(text)
        if at is not None:
            places[place].append(at)
    found = max(places.values(), key=len, default=[])
    rises = sum(later > earlier for earlier, later in itertools.pairwise(found))
    falls = sum(later < earlier for earlier, later in itertools.pairwise(found))
    return len(found) > 1 and falls > 0 and falls > 3 * rises and found[-1] < found[0]


def _time(text: str) -> tuple[tuple[str, ...], float | None]:
    """Return where a line bears its time, and that time."""
    for peeled in layers(text):
        if peeled.at is not None:
            return peeled.kinds, peeled.at
        at = times.inside(peeled.text)
        if at is not None:
            return (*peeled.kinds, "inside"), at
    return (), None


def size(name: str) -> int | None:
    """Return a regular file's size in bytes; None for a pipe."""
    try:
        status = os.fstat(sys.stdin.fileno()) if name == STANDARD_INPUT else os.stat(name)
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
