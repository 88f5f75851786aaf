"""A folder that root alone can write, and that everybody can read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.require import unavailable


@contextlib.contextmanager
def roots_place() -> Iterator[Path]:
    """Give such a folder; without root the test is skipped."""
    if os.geteuid() != 0:
        unavailable("not root: no file here belongs to root alone")
    folder = Path(tempfile.mkdtemp(prefix="badgateway-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
