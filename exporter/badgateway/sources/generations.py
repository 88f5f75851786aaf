"""The files that had a log's name, in their order: which one a position is of, and which came next.

Order is by the number or the date in their names where all have one, else by the time they were
written last. What was read to its end is known by its content, wherever it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from badgateway.sources.openlog import SAMPLE_BYTES, Mark
from badgateway.sources.rotation import Rotated, beginning, elsewhere, holds, is_as_long, siblings

_SLACK: Final = 1.0
_CLOCK: Final = 0.02
"""Files bear the time of a clock that ticks less often than the one asked here."""

_ENDED: Final = ("inode", "offset", "length", "head", "tail", "changed")


class Generations:
    """The files one log was rotated to."""

    def __init__(self, path: Path, alive: Callable[[], None]) -> None:
        """``alive`` is called often while compressed files are looked through."""
        self._path, self._alive = path, alive

    def find(
        self,
        known: Mapping[str, Any],
        apart: Collection[int],
        others: Collection[Mapping[str, Any]] = (),
        copies: bool = True,
    ) -> Rotated | None:
        """Return the file a position was taken in.

        Args:
            known: the position.
            apart: inodes of files it is not.
            others: positions in other files: where nothing was read, only an inode tells, and
                inodes are used again.
            copies: whether a copy of it will do, compressed perhaps.
        """
        for place in (siblings(self._path), *elsewhere(self._path)):
            likely = [s for s in place if copies or s.inode == known["inode"]]
            found = self._found(likely, known, apart)
            if found is None:
                continue
            if int(known["offset"]) or not any(holds(found, m, self._alive) for m in others):
                return found
        return None

    def newest(self, apart: Collection[int]) -> Rotated | None:
        """Return the file that was rotated last, of those whose inodes are not ``apart``."""
        found = [sibling for sibling in siblings(self._path) if sibling.inode not in apart]
        return found[-1] if found else None

    def has_empty(self) -> bool:
        """Tell whether a compressed one holds nothing."""
        return any(s.is_compressed and is_as_long(s, 0) for s in siblings(self._path))

    def after(
        self,
        known: Sequence[Mapping[str, Any]],
        at: float,
        apart: Collection[int],
        read: Collection[Mapping[str, Any]],
        unlike: bytes,
    ) -> Rotated | None:
        """Return the file that came next after the one a position was taken in.

        Args:
            known: the position, then those of earlier files, should it not be found.
            at: when nothing had come yet: if none is found, the first one written since is next.
            apart: inodes of files that are read already, and of the one that has the name now.
            read: further positions, of files that were read.
            unlike: how the file begins that has the name now: what begins so is a copy of it.
        """
        candidates = self._behind(known)
        if candidates is None:
            candidates = [s for s in siblings(self._path) if s.changed > at - _CLOCK]
        passed = [mark for mark in (*known, *read) if int(mark["offset"])]
        for candidate in candidates:
            if candidate.inode in apart or (unlike and beginning(candidate) == unlike):
                continue
            if not any(self._is_read(candidate, mark) for mark in passed):
                return candidate
        return None

    def _is_read(self, candidate: Rotated, mark: Mapping[str, Any]) -> bool:
        """Tell whether a file is the one that was read up to a position, or a copy of it."""
        if not holds(candidate, mark, self._alive):
            return False
        # of a few bytes only all of them tell
        return int(mark["offset"]) >= SAMPLE_BYTES or is_as_long(candidate, int(mark["offset"]))

    def _behind(self, known: Sequence[Mapping[str, Any]]) -> list[Rotated] | None:
        """Return what follows the first of these that is found."""
        for mark in known:
            for place in (siblings(self._path), *elsewhere(self._path)):
                found = self._found(place, mark, ())
                if found is not None:
                    # a higher number written later is an older file that is still written to
                    behind = place[place.index(found) + 1 :]
                    return [s for s in behind if s.dated or s.changed >= found.changed - _SLACK]
        return None

    def _found(
        self, among: list[Rotated], known: Mapping[str, Any], apart: Collection[int]
    ) -> Rotated | None:
        if "inode" not in known:
            return None
        likely = [r for r in among if r.inode not in apart]
        likely.sort(key=lambda r: r.inode != known["inode"])
        return next((r for r in likely if holds(r, known, self._alive)), None)


def ended(mark: Mark, complete: bool = True) -> Mark:
    """Return what of a position is kept of a file that was read, to its end if ``complete``."""
    return {key: mark[key] for key in _ENDED if key in mark} | {"complete": complete}
