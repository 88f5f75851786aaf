"""When a line was written, in the ways platforms and programs write it.

A time without a zone is this machine's. A time without a year is the last one that is not in the
future. Month names other than English ones are passed over: the time is then unknown.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_AHEAD_SECONDS: Final = 86400.0
"""How far a time without a year may lie ahead, for clocks and zones that differ."""

ISO: Final = (
    r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
    r"(?:Z| ?UTC\b| ?GMT\b| ?[+-]\d\d:?\d\d)?"
)
"""A time as of ISO 8601 and RFC 3339, and what resembles it."""

_ISO: Final = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r" ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?$"
)
_COMMON: Final = re.compile(
    r"(\d\d)/([A-Za-z]{3})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?: ([+-]\d{4}))?$"
)
_SYSLOG: Final = re.compile(
    r"([A-Za-z]{3}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?$"
)
_SOMEWHERE: Final = re.compile(
    rf"[\[\"(]?(?P<iso>{ISO})|.{{0,120}}?\[(?P<common>\d\d/[A-Za-z]{{3}}/\d{{4}}:[\d:.]{{8,15}}"
    r"(?: [+-]\d{4})?)\]"
)
_EPOCH: Final = re.compile(r'"(?:ts|msec|time|timestamp)":"?(\d{10}(?:\.\d{1,9})?)"?[,}]')
_JSON_TIME: Final = re.compile(rf'"(?:@timestamp|time|timestamp|ts|date)":"({ISO})"')


def read(text: str, now: float | None = None) -> float | None:
    """Return the seconds since the epoch that ``text``, a time and nothing else, means."""
    if found := _ISO.match(text):
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        return _seconds(
            (int(year), int(month), int(day), int(hour), int(minute), int(second or 0)),
            fraction, zone,
        )  # fmt: skip
    if found := _COMMON.match(text):
        day, name, year, hour, minute, second, fraction, zone = found.groups()
        number = _MONTHS.get(name.lower())
        if number is None:
            return None
        moment = (int(year), number, int(day), int(hour), int(minute), int(second))
        return _seconds(moment, fraction, zone)
    if found := _SYSLOG.match(text):
        return _without_year(found, now)
    return None


def inside(text: str) -> float | None:
    """Return the time that a program wrote into its own line, as far as it is a usual place."""
    if text.startswith("{"):
        head = text[:2000]
        if epoch := _EPOCH.search(head):
            return float(epoch[1])
        iso = _JSON_TIME.search(head)
        return read(iso[1]) if iso else None
    found = _SOMEWHERE.match(text)
    return read(found["iso"] or found["common"]) if found else None


def _without_year(found: re.Match[str], now: float | None) -> float | None:
    name, day, year, hour, minute, second, fraction = found.groups()
    month = _MONTHS.get(name.lower())
    if month is None:
        return None
    now = time.time() if now is None else now
    clock = (int(hour), int(minute), int(second))
    if year:
        return _seconds((int(year), month, int(day), *clock), fraction, None)
    this = time.localtime(now).tm_year
    for candidate in range(this + 1, this - 9, -1):  # 29 February is not in every year
        at = _seconds((candidate, month, int(day), *clock), fraction, None)
        if at is not None and at <= now + _AHEAD_SECONDS:
            return at
    return None


def _seconds(
    moment: tuple[int, int, int, int, int, int], fraction: str | None, zone: str | None
) -> float | None:
    year, month, day, hour, minute, second = moment
    try:
        whole = datetime(year, month, day, hour, minute, min(second, 59))
        if zone is None:
            at = whole.timestamp()
        elif zone[0] in "+-":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
            offset = -offset if zone[0] == "-" else offset
            at = whole.replace(tzinfo=timezone(offset)).timestamp()
        else:
            at = whole.replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return at + (float(f"0.{fraction}") if fraction else 0.0)
