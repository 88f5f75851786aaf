"""Why a container ended, by its exit status and by the events before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ORDERED: Final = ("manual", "killed", "stop_timeout")
"""Ends after which no policy starts a container again."""

_KILL: Final = 9
_DEADLY: Final = (2, 3, 6, _KILL, 15)
_KILL_NANOSECONDS: Final = 15 * 10**9
_OOM_NANOSECONDS: Final = 2 * 10**9
_LAST_SIGNAL: Final = 64


@dataclass(slots=True)
class Life:
    """What is known of one container, saved between runs of the exporter.

    Times are nanoseconds since the epoch, 0 for never.

    Attributes:
        unit: what it is a container of; see ``topology.container.Container``.
        number: which replica of it.
        boot: the host's boot it was last started in.
        until: its last event.
        started: its last start that is counted.
        start_told: whether the event of that start has been seen.
        ended: its last end that is counted.
        end_told: whether the event of that end has been seen.
        signals: (time, number) of signals that were ordered since it was started.
        oom: when the kernel killed a process of it, since it was started.
        reason: why it ended last.
        policy: its restart policy; empty when not known.
        retries: how often that tries.
        restarts: ``RestartCount`` as last described.
        starts: starts counted since that description.
        gave_up: whether it is counted that its policy tries no more.
        daemon_left: whether its daemon has gone since it was started.
        gone: when it was removed.
    """

    unit: str
    number: str = "1"
    boot: str = ""
    until: int = 0
    started: int = 0
    start_told: bool = True
    ended: int = 0
    end_told: bool = True
    signals: list[tuple[int, int]] = field(default_factory=list)
    oom: int = 0
    reason: str = ""
    policy: str = ""
    retries: int = 0
    restarts: int = 0
    starts: int = 0
    gave_up: bool = False
    daemon_left: bool = False
    gone: int = 0

    @property
    def slot(self) -> str:
        """Its place among the containers of its unit."""
        return f"{self.unit} {self.number}"


def exit_reason(life: Life, at: int, status: int) -> str:
    """Return why a container ended (``vocabulary.SERVICE_REASONS``), as far as is known then.

    Args:
        life: what happened to it before.
        at: when it ended.
        status: its exit status.
    """
    if any(n in _DEADLY and at - when <= _KILL_NANOSECONDS for when, n in life.signals):
        return "killed"
    if life.oom and (status == 128 + _KILL or at - life.oom <= _OOM_NANOSECONDS):
        return "oom"
    if status == 0:
        return "clean_exit"
    if status in (126, 127):
        return "exec_failed"
    if 128 < status <= 128 + _LAST_SIGNAL:
        return "signal"
    return "exit_code"


def ordered_reason(life: Life) -> str:
    """Return why a container ended that was stopped: in time, or killed because it was not."""
    numbers = [number for _, number in life.signals]
    return "stop_timeout" if _KILL in numbers[1:] else "manual"


def gave_up(life: Life, state: Mapping[str, Any], count: int) -> bool:
    """Return whether a container is not restarted any more because it was too often."""
    return (
        life.policy == "on-failure"
        and 0 < life.retries <= count
        and state.get("Status") == "exited"
        and number(state.get("ExitCode")) != 0
    )


def policy_of(given: Mapping[str, Any]) -> tuple[str, int]:
    """Return a restart policy's name, and how often it tries."""
    return str(given.get("Name") or "no"), number(given.get("MaximumRetryCount"))


def number(given: object) -> int:
    """Return a number that may be written as text; 0 for anything else."""
    try:
        return int(str(given))
    except ValueError:
        return 0
