"""What was read of one log, file by file: the position that a checkpoint keeps.

A position is ``files``, the ``Mark`` of each file of which something is known, oldest first;
``at``, when it was taken, seconds since the epoch; ``behind``, whether lines of an absence were
being read; ``horizon``, until when files were last written that are all read and no longer among
``files``; and ``beneath``, the directory beneath the log's own that it is rotated to, if it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from badgateway.sources.marks import Mark
from badgateway.sources.openlog import OpenLog
from badgateway.sources.packedlog import PackedLog
from badgateway.sources.rotation import COMPRESSED, Rotated

_PLAIN_KEPT: Final = 64
_PACKED_KEPT: Final = 8
"""Complete files remembered: one that may still be compressed must be known by its content then."""

_CLOCK: Final = 0.02
"""Files bear the time of a clock that ticks less often than the one asked here."""


class Known:
    """One file: how far it was read, and the open file if it is being read.

    Attributes:
        mark: how far it was read.
        path: where it was seen last.
        log: the open file.
        since: when it said something last.
        waits: whether it is to be opened and read.
        is_cut: whether what was read of it is no longer in it.
        least: bytes it must hold, because that many were seen in the file it is a copy of.
    """

    def __init__(self, mark: Mark, path: Path, since: float) -> None:
        self.mark, self.path, self.since = mark, path, since
        self.log: OpenLog | PackedLog | None = None
        self.waits = self.is_cut = False
        self.least = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to come, and nothing is lost when it is deleted."""
        return bool(self.mark.get("complete"))

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed."""
        return self.path.suffix in COMPRESSED

    @property
    def unread(self) -> int:
        """Bytes not read yet."""
        if self.log is not None:
            return self.log.unread
        return max(0, int(self.mark["size"]) - int(self.mark["offset"])) if self.waits else 0

    def close(self) -> None:
        """Let the open file go."""
        if self.log is not None:
            self.log.close()
        self.log = None

    def refresh(self) -> None:
        """Take the mark of where the open file was read to."""
        if self.log is None or self.is_cut:
            return
        status, old = self.log.status, self.mark
        now = self.log.offset, status.st_size, status.st_mtime
        if now != (old["offset"], old.get("size"), old.get("changed")):
            self.mark = self.log.mark()


class Ledger:
    """All that is known of one log's files, oldest first."""

    def __init__(self, position: Mapping[str, Any], path: Path, now: float) -> None:
        """Take up a position; an empty one knows of nothing."""
        self.at = float(position.get("at", now))
        self.behind = bool(position.get("behind"))
        self.beneath = str(position.get("beneath", ""))
        self.horizon = float(position.get("horizon", 0.0))
        marks = position.get("files")
        if marks is None and position:
            marks = [*_earlier(position)]
            self.horizon = float(position.get("named", self.at)) - _CLOCK
        self.files = [Known(dict(mark), path, now) for mark in marks or ()]

    def position(self, now: float) -> dict[str, Any]:
        """Return the position reached; what need not be remembered any more is forgotten."""
        left = {True: _PACKED_KEPT, False: _PLAIN_KEPT}
        kept: list[Known] = []
        for known in reversed(self.files):
            if known.is_complete and known.log is None:
                left[known.is_packed] -= 1
                if left[known.is_packed] < 0:
                    self.horizon = max(self.horizon, float(known.mark["changed"]))
                    continue
            kept.append(known)
        self.files = kept[::-1]
        # of a compressed file of which nothing was read there is nothing to know it by
        marks = [k.mark for k in self.files if k.mark["offset"] or k.is_complete or not k.is_packed]
        position: dict[str, Any] = {"files": marks, "at": now}
        if self.horizon:
            position["horizon"] = self.horizon
        if self.behind:
            position["behind"] = True
        if self.beneath:
            position["beneath"] = self.beneath
        return position

    def of(self, mark: Mark | None, file: Rotated, now: float) -> Known:
        """Return what is known of a file by its mark; without one it is new."""
        for known in self.files:
            if known.mark is mark:
                return known
        unread: Mark = {"inode": file.inode, "offset": 0, "size": file.size}
        return Known(mark or unread | {"changed": file.changed}, file.path, now)


def _earlier(position: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the marks of a position as it was before it had ``files``."""
    main = {k: v for k, v in position.items() if k not in ("left", "ended", "previous", "at")}
    ended: Iterable[Mapping[str, Any]] = position.get("ended", ())
    for mark in (*ended, position.get("previous", {}), *position.get("left", ()), main):
        if "inode" in mark and mark.get("offset"):
            yield {"size": mark["offset"], **mark}
