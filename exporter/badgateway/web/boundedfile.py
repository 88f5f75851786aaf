"""Reading a file that an operator named, without ever waiting for it or reading without end."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read(path: Path, limit: int) -> bytes:
    """Return the file's content.

    Args:
        path: the file.
        limit: how many bytes it may have.

    Raises:
        OSError: it cannot be read; ``strerror`` says why, also of what is no file and of what is
            too large.
    """
    # A pipe would be waited for, and everything else with it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISCHR(kind):
            raise OSError(0, "is no regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(0, f"larger than {limit // 1024} KiB")
    return content
