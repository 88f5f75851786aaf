"""Times as logs write them, in seconds since the epoch; None for what is no such time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_CLF: Final = re.compile(
    r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,3})?"
    r"(?: ([+-][0-9]{4}))?"
)
_LOCAL: Final = re.compile("([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})")


def iso(text: str) -> float | None:
    """Read ISO 8601 with its zone."""
    try:
        found = datetime.fromisoformat(text)
        return found.timestamp() if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def clf(text: str) -> float | None:
    """Read ``DD/Mon/YYYY:HH:MM:SS[.mmm][ +ZZZZ]``; without a zone it is the machine's."""
    found = _CLF.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    month = _MONTHS[found[2]]
    clock = f"{found[4]}:{found[5]}:{found[6]}"
    if found[8]:
        whole = iso(f"{found[3]}-{month:02}-{found[1]}T{clock}{found[8]}")
    else:
        whole = local(f"{found[3]}/{month:02}/{found[1]} {clock}")
    return None if whole is None else whole + float(f"0{found[7] or ''}")


def local(text: str) -> float | None:
    """Read ``YYYY/MM/DD HH:MM:SS`` of the machine's zone."""
    found = _LOCAL.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second).timestamp()
    except (ValueError, OverflowError):
        return None
