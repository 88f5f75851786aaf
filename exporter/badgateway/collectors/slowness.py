"""How long the slowest answers took lately, for each backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

KEPT_SECONDS: Final = 15 * 60.0
_STEP_SECONDS: Final = 60.0


class Slowness:
    """Keeps the longest answer of each minute."""

    def __init__(self) -> None:
        self._longest: dict[str, dict[int, float]] = {}

    def note(self, backend: str, at: float, seconds: Iterable[float]) -> None:
        """Take note of how long answers took that were given at ``at``."""
        longest = max(seconds, default=0.0)
        minutes = self._longest.setdefault(backend, {})
        minute = int(at // _STEP_SECONDS)
        if longest <= minutes.get(minute, 0.0):
            return
        minutes[minute] = longest
        if len(minutes) > 2 * KEPT_SECONDS / _STEP_SECONDS:
            oldest = max(minutes) - KEPT_SECONDS / _STEP_SECONDS
            self._longest[backend] = {m: s for m, s in minutes.items() if m >= oldest}

    def longest(self, backend: str, now: float) -> float:
        """Return the longest of the last quarter of an hour in seconds; 0 when none is known."""
        oldest = int((now - KEPT_SECONDS) // _STEP_SECONDS)
        minutes = self._longest.get(backend, {})
        return max((s for minute, s in minutes.items() if minute >= oldest), default=0.0)

    def forget(self) -> None:
        """Forget all: what was noted while logs were caught up bears the wrong time."""
        self._longest.clear()
