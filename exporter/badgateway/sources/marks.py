"""What is remembered of a file that was read: enough to know it again, wherever it is then.

A file keeps its inode when it is renamed, and its bytes when it is copied or compressed. So both
are remembered: the inode, and hashes of the file's beginning and of what stands before the offset.
The bytes themselves are not kept: they are a log's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, Final

SAMPLE_BYTES: Final = 256
"""How much of the beginning, and of what stands before the offset, tells one file from another."""

_STEPS: Final = (8, 16, 32, 64, 128)

Mark = dict[str, Any]
"""How far one file was read: ``inode``, ``offset``, a hash of the first ``length`` bytes (``head``)
and of the ``SAMPLE_BYTES`` before the offset (``tail``), hashes of shorter beginnings (``steps``),
its ``size`` and when it was written last (``changed``, seconds since the epoch).

``complete`` is set when nothing more is to come: it has the name no longer and was silent, or is
compressed and was read to its end (``packed``). ``passed`` is set when it is not to be read, and
how long it is, unpacked, is not known."""


def mark(status: os.stat_result, offset: int, head: bytes, tail: bytes) -> Mark:
    """Return how far a file was read; ``head`` and ``tail`` are what was read there."""
    head = head[:offset]
    return {
        "inode": status.st_ino,
        "offset": offset,
        "length": len(head),
        "head": _hash(head),
        "tail": _hash(tail),
        "steps": "".join(_hash(head[:n])[:8] for n in _STEPS if n <= len(head)),
        "size": status.st_size,
        "changed": status.st_mtime,
    }


def fits(known: Mapping[str, Any], head: bytes, tail: bytes) -> bool:
    """Tell whether a file that begins so, and reads so before the offset, is the one meant.

    Positions of earlier versions bear no ``tail``.
    """
    return _hash(head) == known.get("head") and known.get("tail", _hash(tail)) == _hash(tail)


def begins_so(known: Mapping[str, Any], data: bytes) -> bool:
    """Tell whether what was read begins with ``data``, as far as the hashes of it tell."""
    length = int(known.get("length", 0))
    if length and len(data) >= length:
        return _hash(data[:length]) == known.get("head")
    steps = str(known.get("steps", ""))
    usable = [n for n in _STEPS[: len(steps) // 8] if n <= len(data)]
    if not usable:
        return False
    at = 8 * (len(usable) - 1)
    return steps[at : at + 8] == _hash(data[: usable[-1]])[:8]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
