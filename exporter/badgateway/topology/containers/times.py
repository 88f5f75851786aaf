"""Docker's times: RFC 3339 with up to nine digits of a second."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_STAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII
)


def nanoseconds(stamp: object) -> int:
    """Return nanoseconds since the epoch; 0 for ``0001-01-01T00:00:00Z`` (never) and no time."""
    found = _STAMP.match(stamp) if isinstance(stamp, str) else None
    if found is None:
        return 0
    zone = "+00:00" if found[3] == "Z" else found[3]
    try:
        seconds = int(datetime.fromisoformat(found[1] + zone).timestamp())
    except (ValueError, OverflowError):
        return 0
    return max(0, seconds * 10**9 + int((found[2] or "").ljust(9, "0")))


def parameter(nanosecond: int) -> str:
    """Return a time as the API's ``since`` and ``until`` take it to the nanosecond."""
    return f"{nanosecond // 10**9}.{nanosecond % 10**9:09d}"
