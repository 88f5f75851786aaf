"""Which file is which: the files that bear a log's name, or bore it, and what was read of them.

A file is known again by its inode if it still holds what was read of it, else by what it holds. So
the order in which files were renamed, copied, compressed and deleted does not matter, nor how often
that happened meanwhile: what is known of no file was not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from badgateway.sources.contents import (
    Alive,
    holds,
    is_beginning,
    is_rest_of,
    is_unread,
    is_untouched,
    passed,
    wholly_read,
)
from badgateway.sources.marks import Mark
from badgateway.sources.rotation import Rotated, at, siblings


@dataclass(frozen=True, slots=True)
class Identified:
    """What the files that are there now are.

    Attributes:
        files: each with how far it was read, None if it was not; oldest first.
        missing: what was read of files that are there no longer, nor copies of them.
        is_undecided: whether there are files that may be about to become a copy of another.
    """

    files: tuple[tuple[Rotated, Mark | None], ...]
    missing: tuple[Mark, ...]
    is_undecided: bool


def present(path: Path, beneath: str = "") -> list[Rotated]:
    """Return the files of one log that are there now, oldest first and the one of its name last.

    Args:
        path: the log.
        beneath: a directory beneath its own that it is rotated to, if there is one.

    Raises:
        OSError: its directory cannot be listed.
    """
    next(iter(path.parent.iterdir()), None)
    moved = siblings(path.parent / beneath / path.name) if beneath else []
    current = at(path)
    files = [*moved, *siblings(path), *([current] if current else [])]
    return [*{file.inode: file for file in files}.values()]  # of two names, the later


def identify(
    files: Sequence[Rotated], known: Iterable[Mark], path: Path, horizon: float, alive: Alive
) -> Identified:
    """Find out which of the files are those that were read.

    Args:
        files: those that are there, as of ``present``.
        known: how far files were read.
        path: the log.
        horizon: of files last written until then it is no longer known that they were read.
        alive: called often while compressed files are looked through.
    """
    found: dict[int, Mark] = {}
    copies: set[int] = set()
    left = [*known]
    newest_first = files[::-1]

    def claim(file: Rotated, fitting: Callable[[Rotated, Mark], bool]) -> None:
        nonlocal left
        marks = [mark for mark in left if fitting(file, mark)]
        if marks:
            best = max(marks, key=lambda mark: int(mark["offset"]))
            found[file.inode] = best
            left = [mark for mark in left if mark is not best]

    def put_aside(file: Rotated, others: Iterable[Rotated], longer: bool = False) -> bool:
        if file.path == path or not any(is_beginning(file, o, longer, alive) for o in others):
            return False
        copies.add(file.inode)
        if file.is_compressed:
            found[file.inode] = passed(file)
        return True

    def rest() -> list[Rotated]:
        settled = {*found, *copies}
        return [
            file
            for file in newest_first
            if file.inode not in settled and (file.path == path or file.changed > horizon)
        ]

    # a copy is put aside before it can be taken for what it is a copy of
    for file in newest_first:
        claim(file, lambda f, mark: is_untouched(f, mark) and holds(f, mark, alive))
    for file in rest():
        if not put_aside(file, [f for f in files if f.inode in found and f.inode not in copies]):
            own = [mark for mark in left if mark["inode"] == file.inode]
            if not file.is_compressed and any(holds(file, mark, alive) for mark in own):
                claim(file, lambda f, mark: holds(f, mark, alive))
    for file in rest():
        others = [f for f in files if f.inode in found or f.path == path]
        if not put_aside(file, [f for f in others if f is not file and f.inode not in copies]):
            claim(file, lambda f, mark: holds(f, mark, alive))
    for file in rest():
        if file.path != path and any(is_rest_of(file, mark, alive) for mark in left):
            found[file.inode] = wholly_read(file)
        else:
            # of two that hold the same, the newer is the one that may be written to
            others = [f for f in newest_first if f.inode not in copies]
            at_file = others.index(file)
            if not put_aside(file, others[:at_file]):
                put_aside(file, others[at_file + 1 :], True)
    for file in rest():
        was_empty = any(is_unread(mark) and mark["inode"] == file.inode for mark in left)
        if not file.size and file.path != path and not was_empty:
            copies.add(file.inode)  # something is copied to it in a moment, perhaps
    # of a file of which nothing was read only its inode is known, and inodes are used again
    for file in rest():
        claim(file, lambda f, mark: is_unread(mark) and f.inode == mark["inode"])
    kept = tuple(
        (file, found.get(file.inode))
        for file in files
        if file.inode in found
        or (file.inode not in copies and (file.path == path or file.changed > horizon))
    )
    missing = tuple(
        mark
        for mark in left
        if not (is_unread(mark) and mark["inode"] in copies)
        and not any(f.inode in found and holds(f, mark, alive) for f in files)
    )
    is_undecided = any(f.inode in copies and f.inode not in found for f in files)
    return Identified(kept, missing, is_undecided)


def beneath(
    path: Path, missing: Sequence[Mark], places: Iterator[list[Rotated]], alive: Alive
) -> tuple[str, list[Rotated]]:
    """Find the directory beneath a log's own that it is rotated to.

    Returns:
        Its name, empty when nothing that is missing is found in any; and what it holds that was
        there before that.
    """
    for place in places:
        for number, file in enumerate(place):
            if any(int(mark["offset"]) and holds(file, mark, alive) for mark in missing):
                return str(file.path.parent.relative_to(path.parent)), place[:number]
    return "", []
