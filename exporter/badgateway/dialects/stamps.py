"""Times as logs write them, in seconds since the epoch; None for what is no such time."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

from badgateway.envelopes import times

_CLF: Final = re.compile(
    r"[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?"
    r"(?: [+-][0-9]{4})?"
)
_LOCAL: Final = re.compile("[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def iso(text: str) -> float | None:
    """Read ISO 8601 with its zone."""
    try:
        found = datetime.fromisoformat(text)
        return found.timestamp() if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def clf(text: str) -> float | None:
    """Read ``DD/Mon/YYYY:HH:MM:SS[.mmm][ +ZZZZ]``; without a zone it is the machine's."""
    return times.read(text) if _CLF.fullmatch(text) else None


@lru_cache(maxsize=64)
def local(text: str) -> float | None:
    """Read ``YYYY/MM/DD HH:MM:SS`` of the machine's zone; a second's lines bear the same."""
    return times.read(text) if _LOCAL.fullmatch(text) else None
