"""The files of one log that are being read, or were: kept in step with what there is.

What ``identify`` finds out is taken up by ``adopt``: files that moved are known by their new names,
what is new waits to be read, and what is gone is told.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from badgateway.sources.contents import wholly_read
from badgateway.sources.generations import Identified, beneath, identify, present
from badgateway.sources.ledger import Known, Ledger
from badgateway.sources.marks import Mark
from badgateway.sources.naming import Name
from badgateway.sources.openlog import OpenLog
from badgateway.sources.packedlog import DamagedError, PackedLog
from badgateway.sources.rotation import Rotated, elsewhere

LINGER_SECONDS: Final = 60.0
"""An old file that has no name any more, or that another has followed, is let go after this."""

_OPEN_KEPT: Final = 8
_TRIES: Final = 5
_GONE_GAP: Final = "the file read last is gone"
_CUT_GAP: Final = "the file was cut, and what it held is nowhere else"
SHORT_GAP: Final = "a file was cut, and its copy holds less than it held"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the directory has found.

    Attributes:
        pairs: the files that are there, oldest first, and what is known of each.
        missing: what is there no longer.
        has_new: whether an old file is there of which nothing was known.
    """

    pairs: list[tuple[Rotated, Known]]
    missing: list[Known]
    has_new: bool

    @property
    def deleted(self) -> list[Known]:
        """Open files that were deleted and of which a copy was kept; to be read before that."""
        return [k for file, k in self.pairs if k.log and file.inode != k.mark["inode"]]


class Family:
    """One log's files.

    Attributes:
        current: the file that has the name, or had it last.
        gap: why lines may have been lost, until it is told.
        must_look: whether to look again which file is which, whatever else says so.
    """

    def __init__(
        self, name: Name, ledger: Ledger, clock: Callable[[], float], alive: Callable[[], None]
    ) -> None:
        """Begin with what a ledger knows; ``alive`` is called often meanwhile."""
        self.current: Known | None = None
        self.gap, self.must_look = "", False
        self._name, self._path, self._ledger = name, name.path, ledger
        self._clock, self._alive = clock, alive
        self._loose: list[Known] = []
        """Deleted files that may still be written to, and will not be known again."""
        self._listed: list[Known] = []
        self._dropped = deque[object](maxlen=_OPEN_KEPT)
        """When files that are gone were written last."""
        self._stamp: object = None

    def all(self) -> list[Known]:
        """Return every file of which something is known."""
        return [*self._ledger.files, *self._loose]

    def has_changed(self) -> bool:
        """Tell whether to find out again which file is which."""
        return self.must_look or self._name.stamp() != self._stamp

    def identify(self) -> Found | None:
        """Find out which file is which; None when that cannot be now."""
        if self._name.is_barred():
            self.must_look = True
            return None
        for _ in range(_TRIES):
            self._stamp = self._name.stamp()
            try:
                files = present(self._path, self._ledger.beneath)
            except OSError as error:
                self._name.lost(error)
                self.must_look = True
                return None
            seen = identify(
                files, [k.mark for k in self._ledger.files], self._path, self._ledger.horizon,
                self._alive,
            )  # fmt: skip
            if not self._is_in_doubt(seen, files):
                break
        self.must_look = seen.is_undecided
        now = self._clock()
        return Found(
            [(file, self._ledger.of(mark, file, now)) for file, mark in seen.files],
            [known for known in self._ledger.files if _is_among(known.mark, seen.missing)],
            any(mark is None and file.path != self._path for file, mark in seen.files),
        )

    def adopt(self, found: Found) -> bool:
        """Take up what was found, and note what was not; tell whether there is more to read."""
        pairs = found.pairs
        listed = [known for _, known in pairs]
        plain = [k for f, k in pairs if not f.is_compressed and f.path != self._path]
        for file, known in pairs:
            self._place(file, known, bool(plain) and known is plain[-1])
        kept: list[Known] = []
        for known in self._ledger.files:
            if known in listed:
                continue
            if known.log is not None and not known.is_cut:
                # one that is empty, and deleted, will not be known again
                (kept if known.log.status.st_size else self._loose).append(known)
                continue
            is_missing = not known.is_complete and known in found.missing
            if is_missing and (known.mark["offset"] or not found.has_new):
                self.gap = _CUT_GAP if known.is_cut else _GONE_GAP
            self._dropped.append(known.mark.get("changed"))
            known.close()
        self._ledger.files = [*kept, *listed]
        self._listed = listed
        has_new = self._take_name(listed[-1] if pairs and pairs[-1][0].path == self._path else None)
        return has_new or any(known.waits for known in listed)

    def open(self, known: Known) -> bool:
        """Open a file that waits to be read; False when it cannot be, or is not there any more."""
        offset = int(known.mark["offset"])
        try:
            opened: OpenLog | PackedLog
            if known.is_packed:
                opened = PackedLog(known.path, offset, self._alive)
            else:
                opened = OpenLog.at(known.path)
                opened.go_to(offset)
        except FileNotFoundError:
            self.must_look, known.waits = True, False
            return False
        except (OSError, DamagedError) as error:
            known.waits = False
            if known is self.current:
                self._name.lost(error)
                self.must_look = True
            else:
                # read before it was compressed, in a way that is not understood here?
                others = [k.mark.get("changed") for k in self.all() if k is not known]
                if known.mark["changed"] not in (*others, *self._dropped):
                    self.gap = f"{known.path.name} cannot be read: {error}"
                known.mark = known.mark | {"complete": True, "passed": True}
            return False
        known.waits = False
        status = opened.status
        other = status.st_ino != known.mark["inode"]
        if not offset and known is not self.current:  # inodes are used again
            other = other or status.st_size != known.mark["size"]
            other = other or status.st_mtime != known.mark["changed"]
        if other or (isinstance(opened, OpenLog) and offset and not opened.continues(known.mark)):
            opened.close()
            self.must_look = True  # renamed or cut between the look and the opening
            return False
        known.log, known.since = opened, self._clock()
        return True

    def let_go(self) -> bool:
        """Close old files that say nothing any more; tell whether what is known has changed."""
        now = self._clock()
        changed = False
        old = [
            k for k in self._ledger.files if isinstance(k.log, OpenLog) and k is not self.current
        ]
        for number, known in enumerate(old):
            silent = now - known.since >= LINGER_SECONDS
            if not silent and len(old) - number <= _OPEN_KEPT:
                continue
            assert known.log is not None
            if not known.log.status.st_nlink or known not in self._listed:
                known.close()
                self._ledger.files.remove(known)
                changed = True
                continue
            if silent and not known.is_complete:
                known.mark = known.mark | {"complete": True}
                changed = True
            if number < len(old) - 1:  # the last one's writer may not know yet
                known.close()
        for known in [k for k in self._loose if now - k.since >= LINGER_SECONDS]:
            known.close()
            self._loose.remove(known)
        return changed

    def _is_in_doubt(self, seen: Identified, files: list[Rotated]) -> bool:
        """Tell whether to look again for what is missing, because it may be elsewhere."""
        gone = [
            known
            for known in self._ledger.files
            if _is_among(known.mark, seen.missing)
            and not known.is_complete
            and (known.log is None or known.is_cut or known.log.status.st_nlink)
        ]
        if not gone:
            return False
        marks = [known.mark for known in gone]
        name, before = beneath(self._path, marks, elsewhere(self._path), self._alive)
        if name and name != self._ledger.beneath:
            self._ledger.beneath = name
            now = self._clock()
            self._ledger.files[:0] = [Known(wholly_read(f), f.path, now) for f in before]
            return True
        # a directory that is listed while files are renamed in it may not show all of them
        again = present(self._path, self._ledger.beneath)
        return [(f.path, f.inode) for f in again] != [(f.path, f.inode) for f in files]

    def _place(self, file: Rotated, known: Known, is_newest: bool) -> None:
        """Note where a known file is now, and whether there may be more in it."""
        is_moved = file.inode != known.mark["inode"]
        if known.log is not None and not known.is_cut:
            known.path = file.path
            if not is_moved:
                return
            # deleted, and a copy of it kept; it may still be written to
            loose = Known(known.mark, known.path, known.since)
            loose.log, known.log = known.log, None
            self._loose.append(loose)
        known.close()
        known.is_cut = False
        is_changed = (file.size, file.changed) != (known.mark.get("size"), known.mark["changed"])
        if is_moved and not known.is_complete:
            known.least = int(known.mark.get("size", 0))
            if not file.is_compressed and file.size < known.least:
                self.gap = SHORT_GAP
        known.path = file.path
        is_passed = bool(known.mark.get("passed"))
        is_due = is_moved or (is_changed and not file.is_compressed)
        known.waits = not is_passed and (is_due or not known.is_complete or is_newest)
        known.mark = known.mark | _seen_as(file)
        if known.waits and is_due:
            known.mark = known.mark | {"complete": False, "packed": False}

    def _take_name(self, current: Known | None) -> bool:
        """Read the file that has the name from now on; tell whether it is another."""
        if current is None:
            if self.current is None or os.path.lexists(self._path):
                opened = self._name.opened()  # tells why it cannot be read
                if opened is not None:
                    opened.close()
                    self.must_look = True
            return False
        before, self.current = self.current, current
        if current.log is None:
            current.waits = True
            if not self.open(current):
                return False
        self._name.is_seen()
        return before is not current


def _seen_as(file: Rotated) -> Mark:
    return {"inode": file.inode, "size": file.size, "changed": file.changed}


def _is_among(mark: Mark, marks: Sequence[Mark]) -> bool:
    return any(mark is other for other in marks)
