"""How far a source has come that has much to read, in words for the log."""

from __future__ import annotations

from typing import Final

LARGE: Final = 32 * 1024 * 1024
"""Bytes unread from which on it is told."""

EVERY_SECONDS: Final = 10.0
FIRST_SECONDS: Final = 2.0


class Progress:
    """One source's way through what was there when it began, or heaped up since."""

    def __init__(self, now: float) -> None:
        """``now`` and all later times are seconds of one clock that never steps."""
        self._begun: float | None = None
        self._told = now
        self._read = 0

    def after(self, read: int, unread: int, now: float) -> str:
        """Return what to say after so many bytes were read and so many are left; mostly nothing."""
        if self._begun is None:
            if unread < LARGE:
                return ""
            self._begun, self._read, self._told = now, 0, now - EVERY_SECONDS + FIRST_SECONDS
            return f"{_mebibytes(unread + read)} to read before it is up to date"
        self._read += read
        took = now - self._begun
        if not unread:
            self._begun = None
            return f"up to date: {_mebibytes(self._read)} read in {took:.0f} s"
        if now - self._told < EVERY_SECONDS:
            return ""
        self._told = now
        percent = 100 * self._read // (self._read + unread)
        left = unread * took / self._read if self._read else 0
        return f"{_mebibytes(unread)} left to read, {percent} % done, about {_duration(left)} more"


def _mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f} MiB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
