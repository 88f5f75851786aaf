"""The start of reading a log: what is taken for read, and what is delivered as evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from badgateway.sources.contents import passed
from badgateway.sources.ledger import Known
from badgateway.sources.marks import Mark
from badgateway.sources.openlog import CHUNK, CutError, OpenLog
from badgateway.sources.packedlog import PackedLog
from badgateway.sources.rotation import siblings

EVIDENCE_BYTES: Final = 1024 * 1024


def first_marks(
    path: Path, current: OpenLog | None, born_late: bool
) -> Iterator[tuple[Mark, Path]]:
    """Yield what is known of each file on a first start: what is there is not counted.

    A line that has no end yet is still to be counted, also in a file that was rotated already: its
    writer may not know yet.

    Args:
        path: the log.
        current: the file that has the name, opened before this looks for others: what is renamed
            meanwhile is seen twice, and never missed.
        born_late: whether it is counted from its first byte.
    """
    inode = current.status.st_ino if current else 0
    for file in siblings(path):
        if file.inode == inode:
            continue
        try:
            if file.is_compressed:
                yield passed(file), file.path
                continue
            old = OpenLog.at(file.path)
        except OSError:
            continue
        try:
            old.go_to(_last_line(old))
            yield old.mark(), file.path
        finally:
            old.close()
    if current is not None:
        current.go_to(0 if born_late else _last_line(current))
        yield current.mark(), path


def evidence(files: Sequence[Known]) -> Iterator[bytes]:
    """Yield what stands before the place where counting goes on, at most ``EVIDENCE_BYTES``."""
    begun = [k for k in files if k.mark["offset"] and not k.mark.get("passed")]
    if not begun:
        return
    newest = begun[-1]
    end = int(newest.mark["offset"])
    if newest.is_packed:
        if isinstance(newest.log, PackedLog):
            yield newest.log.evidence
        return
    try:
        earlier = OpenLog.at(newest.path)
    except OSError:
        return
    try:
        earlier.go_to(max(0, end - EVIDENCE_BYTES))
        while earlier.offset < end and (data := earlier.take()) is not None:
            yield data[: len(data) - max(0, earlier.offset - end)]
    except CutError:
        pass  # found out, and dealt with, where it is read on
    finally:
        earlier.close()


def _last_line(opened: OpenLog) -> int:
    """Return where the last line that has no end yet begins, or the end of the file."""
    size = opened.status.st_size
    begin = max(0, size - CHUNK)
    newline = os.pread(opened.descriptor, size - begin, begin).rfind(b"\n")
    return size if newline < 0 and begin else begin + newline + 1
