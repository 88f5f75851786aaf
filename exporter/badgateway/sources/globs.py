"""Patterns of log files: which files one stands for now."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import stat
from pathlib import Path
from typing import Final

from badgateway.sources.rotation import COMPRESSED, bases, is_rotated_name

LIMIT: Final = 1000
"""Files at most, the first by name."""

_LOOKED_AT: Final = 100_000


def is_pattern(path: str) -> bool:
    """Tell whether a path stands for several files (glob(7))."""
    return glob.has_magic(path)


def expand(pattern: str) -> list[Path]:
    """Return the log files a pattern stands for now, sorted, at most ``LIMIT``; never raises.

    Only regular files and links to them. A compressed file, and one that another of the pattern's
    files was rotated to, is read with the log it is of: ``access.log.1`` is not in ``*.log*``, and
    ``worker.1`` is in ``worker.*``.
    """
    try:
        looked_at = itertools.islice(glob.iglob(pattern, recursive=True), _LOOKED_AT)
        found = sorted(path for path in looked_at if not path.endswith(COMPRESSED))
    except (OSError, RecursionError, ValueError):
        return []
    kept = (Path(p) for p in found if not _is_rotated(p, pattern) and _is_file(p))
    return list(itertools.islice(kept, LIMIT))


def _is_rotated(path: str, pattern: str) -> bool:
    """Tell whether a file bears another's name and what rotation adds to it.

    The other need not be there: between a renaming and the next line there is none.
    """
    directory, name = os.path.split(path)
    return any(
        is_rotated_name(name, base)
        and (
            fnmatch.fnmatchcase(os.path.join(directory, base), pattern)
            or os.path.lexists(os.path.join(directory, base))
        )
        for base in bases(name)
    )


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
