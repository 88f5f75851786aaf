"""What a log's files hold, compared with each other and with what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from badgateway.sources.marks import SAMPLE_BYTES, Mark, begins_so, fits, mark
from badgateway.sources.openlog import OpenLog
from badgateway.sources.rotation import DAMAGED, Rotated, opened, skip

Alive = Callable[[], None]

_STEP: Final = 1024 * 1024


def holds(file: Rotated, known: Mapping[str, Any], alive: Alive) -> bool:
    """Tell whether a file holds what was read, at the place where it was read."""
    offset = int(known["offset"])
    if known.get("passed"):
        return _is_passed(file, known)
    if not offset:
        return False
    if file.is_compressed and is_untouched(file, known):
        return True
    if known.get("packed") and offset < SAMPLE_BYTES:  # of a few bytes only all of them tell
        return len(beginning(file, offset + 1)) == offset and _begins(file, known)
    try:
        if not file.is_compressed:
            if file.size < offset:
                return False
            log = OpenLog.at(file.path)
            try:
                return log.continues(known)
            finally:
                log.close()
        with opened(file.path) as unpacked:
            head = unpacked.read(int(known.get("length", 0)))
            if not fits({"head": known.get("head")}, head, b""):
                return False
            skip(unpacked, offset - SAMPLE_BYTES - len(head), alive)
            tail = head + unpacked.read(min(offset - len(head), SAMPLE_BYTES))
            if len(tail) < min(offset, len(head) + SAMPLE_BYTES):
                return False
            return fits(known, head, tail[-SAMPLE_BYTES:])
    except DAMAGED:
        return False


def passed(file: Rotated) -> Mark:
    """Return what is remembered of a file that is not to be read, as far as it can be."""
    try:
        with opened(file.path) as unpacked:
            head = unpacked.read(SAMPLE_BYTES)
    except DAMAGED:
        head = b""
    known = mark(file.path.stat(), len(head), head, b"") if file.path.exists() else {}
    return known | {
        "inode": file.inode, "size": file.size, "changed": file.changed, "offset": 0,
        "passed": True, "complete": True,
    }  # fmt: skip


def wholly_read(file: Rotated) -> Mark:
    """Return what is remembered of a file all of which was read, under another name perhaps."""
    if file.is_compressed:
        return passed(file)
    try:
        log = OpenLog.at(file.path)
    except OSError:
        return passed(file)
    try:
        log.go_to(file.size)
        return log.mark() | {"complete": True}
    finally:
        log.close()


def is_unread(known: Mark) -> bool:
    """Tell whether nothing was read of a file, though it was to be."""
    return not int(known["offset"]) and not known.get("passed")


def is_untouched(file: Rotated, known: Mapping[str, Any]) -> bool:
    """Tell whether a file is the same as ever, by what the file system knows of it."""
    return (file.inode, file.size, file.changed) == (
        known["inode"], known.get("size"), known.get("changed")
    )  # fmt: skip


def _is_passed(file: Rotated, known: Mapping[str, Any]) -> bool:
    """Tell whether a file is one that was compressed before the first start, perhaps unpacked."""
    if file.changed != known.get("changed"):
        return False
    if file.size == known.get("size"):
        return True
    return bool(known.get("length")) and begins_so(known, beginning(file, SAMPLE_BYTES))


def is_rest_of(file: Rotated, known: Mapping[str, Any], alive: Alive) -> bool:
    """Tell whether what is missing began as a shorter file does: it was copied, written to, cut."""
    offset = int(known["offset"])
    data = beginning(file, SAMPLE_BYTES)
    if not data or not begins_so(known, data):
        return False
    return file.size < offset if not file.is_compressed else _is_shorter(file, offset, alive)


def _is_shorter(file: Rotated, length: int, alive: Alive) -> bool:
    try:
        with opened(file.path) as unpacked:
            skip(unpacked, length - 1, alive)
            return not unpacked.read(1)
    except DAMAGED:
        return False


def _begins(file: Rotated, known: Mapping[str, Any]) -> bool:
    """Tell whether a file begins as what was read did."""
    length = int(known.get("length", 0))
    return fits({"head": known.get("head")}, beginning(file, length), b"")


def is_beginning(file: Rotated, other: Rotated, longer: bool, alive: Alive) -> bool:
    """Tell whether another file begins with all that a file holds, and holds more if ``longer``."""
    plain = not file.is_compressed and not other.is_compressed
    if plain and other.size < file.size:
        return False
    data = beginning(file, SAMPLE_BYTES)
    if not data or not beginning(other, SAMPLE_BYTES).startswith(data):
        return False
    try:
        with opened(file.path) as first, opened(other.path) as second:
            if plain:
                first.seek(max(0, file.size - SAMPLE_BYTES))
                second.seek(first.tell())
            while data := first.read(_STEP):
                alive()
                if second.read(len(data)) != data:
                    return False
            return not longer or bool(second.read(1))
    except DAMAGED:
        return False


def beginning(file: Rotated, length: int) -> bytes:
    """Return the first bytes of a file, unpacked; none when it cannot be read."""
    try:
        with opened(file.path) as unpacked:
            return unpacked.read(length)
    except DAMAGED:
        return b""
