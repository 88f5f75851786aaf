"""Whether a unit was stopped or started only because another one was.

systemd does not say so. A stop or restart of one unit makes jobs for all that are part of it at the
same moment, and a unit that is bound to another is stopped at once when that one ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

_BONDS: Final = ("PartOf", "BindsTo", "Requires", "Requisite", "StopPropagatedFrom")
_NO_SERVICES: Final = (".slice", ".mount", ".swap", ".device")
_ALWAYS_THERE: Final = frozenset(("sysinit.target", "basic.target"))
_TOGETHER_SECONDS: Final = 0.1
"""Jobs of one transaction are told one right after another."""
_ENDED_SECONDS: Final = 1.0
_JOB_SECONDS: Final = 100.0
"""A job may last as long as its unit takes to stop."""
_KEPT: Final = 8
_UNITS: Final = 2000


def bonds(properties: Mapping[str, Any]) -> frozenset[str]:
    """Return the units whose stop or restart a unit follows, by its properties."""
    named = (str(unit) for bond in _BONDS for unit in properties.get(bond) or ())
    return frozenset(
        unit for unit in named if not unit.endswith(_NO_SERVICES) and unit not in _ALWAYS_THERE
    )


class Propagation:
    """Remembers jobs, and ends of units that others are bound to."""

    def __init__(self) -> None:
        self._jobs: dict[str, deque[float]] = {}
        self._ended: dict[str, float] = {}
        self._idle: set[str] = set()

    def job(self, unit: str, at: float, *, followed: bool) -> None:
        """Take note of a new job.

        Of a unit that is not followed itself and does not run it can only be a start, which
        nothing is led by.
        """
        if len(self._jobs) > _UNITS:
            self._jobs.clear()
        if followed or unit not in self._idle:
            self._jobs.setdefault(unit, deque(maxlen=_KEPT)).append(at)

    def change(self, unit: str, properties: Mapping[str, Any], at: float) -> None:
        """Take changed properties of a unit that others are bound to."""
        active = properties.get("ActiveState")
        if active in ("inactive", "failed"):
            if unit not in self._idle:
                self._ended[unit] = at
            self._idle.add(unit)
        elif active is not None:
            self._idle.discard(unit)

    def led(self, unit: str, others: Iterable[str], at: float) -> bool:
        """Tell whether what was ordered of a unit at ``at`` came from one of the others."""
        own = [job for job in self._jobs.get(unit, ()) if at - _JOB_SECONDS < job <= at + 0.5]
        if not own:
            return False
        job = own[-1]
        for other in others:
            if any(abs(job - one) < _TOGETHER_SECONDS for one in self._jobs.get(other, ())):
                return True
            if -_TOGETHER_SECONDS < job - self._ended.get(other, 0.0) < _ENDED_SECONDS:
                return True
        return False
