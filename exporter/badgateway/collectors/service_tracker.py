"""What systemd's properties say happened to a unit (systemd 252, org.freedesktop.systemd1(5)).

Pure: properties in, starts and ends out. A new ``InvocationID`` is a new start; ``NRestarts`` only
tells whether systemd did it by itself, because it is set back by a manual restart, by
``reset-failed`` and when a unit is unloaded. ``Result`` never says ``start-limit-hit`` after
automatic restarts: that is a unit that fails out of ``auto-restart`` without having run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LIMIT_HIT: Final = "start-limit-hit"
_RESULTS: Final = {
    "signal": "signal",
    "core-dump": "core_dump",
    "oom-kill": "oom",
    "watchdog": "watchdog",
    "resources": "resources",
    _LIMIT_HIT: "start_limit",
    "exec-condition": "condition",
}
_UNTOLD: Final = ("LoadState", "TriggeredBy")
_CHECKS: Final = ("Condition", "Assert")
_FORGOTTEN: Final = 1
"""Stands for the time of an end that systemd has forgotten."""
_EXEC_FAILED: Final = range(200, 244)
"""Exit statuses by which systemd says that it could not execute (systemd.exec(5))."""


@dataclass(frozen=True, slots=True)
class Started:
    """A unit was started anew; ``reason`` of ``vocabulary.SERVICE_REASONS``."""

    at: float
    reason: str
    automatic: bool
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Exited:
    """A unit ended, or its start was refused."""

    at: float
    reason: str
    status: int
    invocation: str
    missed: bool = False


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A unit as it is now; times in seconds since the epoch, 0 for never."""

    active: str = "unknown"
    sub: str = ""
    result: str = ""
    main_pid: int = 0
    restarts: int = 0
    invocation: str = ""
    started: float = 0.0
    exited: float = 0.0
    exit_status: int = 0
    changed: float = 0.0
    triggered_by_socket: bool = False

    @property
    def down(self) -> bool:
        """Not running, whatever for."""
        return self.active in ("failed", "inactive", "not_found") or self.sub == "auto-restart"

    @property
    def asleep(self) -> bool:
        """Not running, and a socket would wake it: asking it directly would do that."""
        return self.triggered_by_socket and self.active != "active"


@dataclass(slots=True)
class Known:
    """What is saved of a unit between runs of the exporter."""

    invocation: str = ""
    restarts: int = 0
    exited: int = 0
    boot: str = ""
    checked: int = 0


class ServiceTracker:
    """Follows one unit's properties."""

    def __init__(self, boot: str, known: Known | None = None) -> None:
        """Begin with what was known when the last checkpoint was written, or with nothing."""
        self._boot = boot
        self.known = known
        self._properties: dict[str, Any] = {}
        self._sub = ""
        self._stopping = False
        self._waiting = False
        self._timed_out_in = ""
        self._result = ""
        self._ends = 0
        self._restarts = known.restarts if known else 0
        self._scheduled = False
        self._at_job: tuple[str, int] | None = None
        self._last_reason = "unknown"

    @property
    def state(self) -> ServiceState:
        """The unit as the properties seen so far describe it."""
        get = self._properties.get
        triggers = get("TriggeredBy") or ()
        active = str(get("ActiveState", "unknown"))
        if get("LoadState") == "not-found" and active in ("inactive", "failed"):
            active = "not_found"  # a unit whose file was removed may still run
        return ServiceState(
            active=active,
            sub=str(get("SubState", "")),
            result=str(get("Result", "")),
            main_pid=int(get("MainPID", 0)),
            restarts=int(get("NRestarts", 0)),
            invocation=_hexadecimal(get("InvocationID")),
            started=_seconds(get("ExecMainStartTimestamp")),
            exited=_seconds(get("ExecMainExitTimestamp")),
            exit_status=int(get("ExecMainStatus", 0)),
            changed=_seconds(get("StateChangeTimestamp")),
            triggered_by_socket=any(str(unit).endswith(".socket") for unit in triggers),
        )

    @property
    def properties(self) -> Mapping[str, Any]:
        """All properties seen so far."""
        return self._properties

    def look(self, properties: Mapping[str, Any]) -> list[Started | Exited]:
        """Take a unit's whole set of properties, after a time when changes were not told."""
        self._properties = dict(properties)
        happened = self._compare(missed=True)
        self._sub = self.state.sub
        return happened

    def refresh(self, properties: Mapping[str, Any]) -> None:
        """Take properties whose changes are not told by signals; nothing follows from them."""
        self._properties.update({name: properties[name] for name in _UNTOLD if name in properties})

    def job(self, result: str, now: float) -> list[Started | Exited]:
        """Take a job of the unit; ``result`` is empty for a new one.

        A start that is refused for its dependencies or its limit leaves the unit as it was.
        """
        known, before = self.known, self._at_job
        if known is None:
            return []
        if not result:
            self._at_job = (known.invocation, self._ends)
            return []
        self._at_job = None
        if result == "dependency":
            return [Exited(now, "dependency", 0, known.invocation)]
        state = self.state
        if (
            result != "failed"
            or state.active != "failed"
            or before is None
            or (before[1] != self._ends)
        ):
            return []  # or its end was told
        limit = before[0] == known.invocation
        self._last_reason = "start_limit" if limit else self._exit_reason(state)
        return [Exited(now, self._last_reason, 0, known.invocation)]

    def change(self, properties: Mapping[str, Any]) -> list[Started | Exited]:
        """Take the properties that one signal carried."""
        self._properties.update(properties)
        happened = self._compare(missed=False)
        self._sub = self.state.sub
        return happened

    def _compare(self, missed: bool) -> list[Started | Exited]:
        state, known = self.state, self.known
        if known is None:
            self.known = Known(
                state.invocation, state.restarts, self._exit_stamp, self._boot, self._check_stamp
            )
            self._restarts = state.restarts
            if self._exit_stamp and state.down:
                self._last_reason = self._exit_reason(state)
            return []
        if state.result != "timeout":
            self._timed_out_in = ""
        elif not self._timed_out_in:
            self._timed_out_in = self._sub or "running"
        ended = bool(known.exited)
        exits = [*self._exits(state, missed), *self._refusals(missed)]
        starts = self._starts(state, missed)
        if missed:
            # every start in the absence was preceded by an end that nobody told of
            unseen = [start for start in starts if start.reason != "host_boot"][ended:]
            exits = [Exited(start.at, start.reason, 0, "", missed=True) for start in unseen] + exits
        self._ends += len(exits)
        self._stopping = state.sub.startswith("stop") and bool(state.main_pid or self._stopping)
        self._waiting = state.sub == "auto-restart" or (self._waiting and state.sub == "dead")
        return [*exits, *starts]

    def _exits(self, state: ServiceState, missed: bool) -> list[Exited]:
        known = self.known
        assert known is not None
        before, self._result = self._result, state.result
        stamp = self._exit_stamp
        if stamp and stamp != known.exited:
            known.exited = stamp
            self._last_reason = self._exit_reason(state)
            return [
                Exited(state.exited, self._last_reason, state.exit_status, state.invocation, missed)
            ]
        if missed and not state.invocation and known.invocation and not known.exited:
            # it ran, and ended while nobody looked; systemd has unloaded it and knows no more
            known.exited = _FORGOTTEN
            self._last_reason = "unknown"
            at = state.changed or time.time()
            return [Exited(at, "unknown", 0, known.invocation, missed=True)]
        if missed or state.active != "failed":
            return []
        if self._waiting or (state.result == _LIMIT_HIT and before != _LIMIT_HIT):
            self._last_reason = "start_limit"
        elif self._sub in ("failed", "") or state.exited:
            return []
        else:  # never came to run: the environment file is missing, for instance
            self._last_reason = self._exit_reason(state)
        return [Exited(state.changed, self._last_reason, 0, state.invocation)]

    def _refusals(self, missed: bool) -> list[Exited]:
        """A start that a condition or an assertion of the unit did not let happen."""
        known, get = self.known, self._properties.get
        assert known is not None
        stamp = self._check_stamp
        if stamp <= known.checked:
            return []
        known.checked = stamp
        refused = any(
            int(get(f"{kind}Timestamp", 0)) == stamp and get(f"{kind}Result") is False
            for kind in _CHECKS
        )
        return [Exited(_seconds(stamp), "condition", 0, "", missed)] if refused else []

    def _starts(self, state: ServiceState, missed: bool) -> list[Started]:
        known = self.known
        assert known is not None
        if not state.invocation or state.invocation == known.invocation:
            # it counts a restart once that is due, which is before the start itself
            self._scheduled = self._scheduled or (not missed and state.restarts > self._restarts)
            self._restarts = state.restarts
            return []
        first = not known.invocation
        happened: list[Started] = []
        at = state.started or state.changed
        if known.boot != self._boot:
            happened.append(Started(at, "host_boot", False, missed))
            happened += [Started(at, self._last_reason, True, missed)] * state.restarts
        elif not first:
            automatic = state.restarts - known.restarts
            if automatic <= 0 and (self._scheduled or (self._waiting and state.restarts)):
                automatic = 1  # reset-failed has set systemd's counter back meanwhile
            if automatic <= 0:
                happened.append(Started(at, "manual", False, missed))
                automatic = state.restarts
            happened += [Started(at, self._last_reason, True, missed)] * automatic
        known.invocation, known.restarts, known.boot = state.invocation, state.restarts, self._boot
        self._restarts, self._scheduled = state.restarts, False
        if not state.exited:
            known.exited = 0
        return happened

    @property
    def _check_stamp(self) -> int:
        return max(int(self._properties.get(f"{kind}Timestamp", 0)) for kind in _CHECKS)

    @property
    def _exit_stamp(self) -> int:
        return int(self._properties.get("ExecMainExitTimestamp", 0))

    def _exit_reason(self, state: ServiceState) -> str:
        if state.result == "timeout":
            if self._timed_out_in.startswith("start"):
                return "start_timeout"
            return "stop_timeout" if self._timed_out_in.startswith("stop") else "runtime_limit"
        if state.result in _RESULTS and not (self._stopping and state.result == "signal"):
            return _RESULTS[state.result]
        if self._stopping:
            return "manual"
        if state.result == "success":
            return "clean_exit"
        if state.result == "exit-code":
            return "exec_failed" if state.exit_status in _EXEC_FAILED else "exit_code"
        return "unknown"


def _seconds(microseconds: object) -> float:
    value = int(microseconds) if isinstance(microseconds, int) else 0
    return value / 1e6 if 0 < value < 2**63 else 0.0


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return bytes(value).hex()
    return ""
