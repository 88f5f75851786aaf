"""Places that an unprivileged program can read too."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def world_readable() -> Iterator[Path]:
    """A folder that everybody may look into; a test's own is private to its user."""
    folder = Path(tempfile.mkdtemp(prefix="badgateway-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
