"""What a test needs of the machine: skipped with its reason on a laptop, failed in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from tests.lab.parts import PartMissing, binary


def require(part: str) -> Path:
    """Return the path of a real server or tool; without it skip the test, or fail it in CI."""
    try:
        return binary(part)
    except PartMissing as missing:
        unavailable(str(missing))


def unavailable(reason: str) -> NoReturn:
    """End the running test because the machine lacks something: a failure where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs it: {reason}", pytrace=False)
    pytest.skip(reason)
