"""What Docker's events and descriptions say happened to containers (API 1.24 and later).

Pure: events and inspected containers in, starts and ends out. A start is a new ``StartedAt``;
``RestartCount`` only tells whether more happened than was seen, because it is set back by an
ordered restart and by a restart of the daemon.

An event and a description may tell of the same start or end, in either order. What a description
says happened before its event is written (``StartedAt`` before ``start``, ``FinishedAt`` before
``die``), and between two starts of a container there is an end: that is how they are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from badgateway.collectors.container_ends import (
    ORDERED,
    Life,
    exit_reason,
    gave_up,
    number,
    ordered_reason,
    policy_of,
)
from badgateway.collectors.container_happenings import (
    Amended,
    Happened,
    Missed,
    OutOfMemory,
    Told,
)
from badgateway.collectors.service_tracker import Exited, Started
from badgateway.topology.containers.labels import number_of, unit_of
from badgateway.topology.containers.times import nanoseconds

ACTIONS: Final = (
    "create", "start", "die", "kill", "stop", "oom", "restart", "rename", "pause", "unpause",
    "destroy", "health_status",
)  # fmt: skip
"""Events that say something; the many of health checks being run do not."""

_AFTER_DAEMON: Final = 15 * 10**9
"""Until then after its return a daemon starts what its containers' policies ask for."""
_FORGOTTEN: Final = 120 * 10**9
_SLOTS_KEPT: Final = 1000


class ContainerTracker:
    """Follows the containers of one daemon."""

    def __init__(self, boot: str) -> None:
        """Begin with nothing known, in the boot of this identity."""
        self._boot = boot
        self.lives: dict[str, Life] = {}
        self.slots: dict[str, str] = {}
        """Unit and replica → the container it was last."""
        self._returned = 0
        self.newest = 0
        """Time of the newest event seen, nanoseconds since the epoch."""

    def recall(self, lives: Mapping[str, Life], slots: Mapping[str, str]) -> None:
        """Take up what was known when the last checkpoint was written."""
        self.lives, self.slots = dict(lives), dict(slots)

    def daemon_returned(self, at: int) -> None:
        """Note that another daemon process answers since ``at``, nanoseconds since the epoch."""
        self._returned = at
        for life in self.lives.values():
            life.daemon_left = True

    def event(self, event: Mapping[str, Any]) -> list[Told]:
        """Take an event of a container, as the daemon's ``/events`` writes it."""
        action = str(event.get("Action", "")).partition(":")[0]
        actor = event.get("Actor") or {}
        identifier, attributes = str(actor.get("ID", "")), actor.get("Attributes") or {}
        at = int(event.get("timeNano") or 0)
        if action not in ACTIONS or not identifier:
            return []
        life = self.lives.get(identifier)
        if life is None:
            name = str(attributes.get("name", ""))
            life = Life(unit_of(attributes, name), number_of(attributes), boot=self._boot)
            self.lives[identifier] = life
        if at <= life.until:
            return []
        life.until, self.newest = at, max(self.newest, at)
        match action:
            case "kill":
                life.signals.append((at, number(attributes.get("signal"))))
            case "oom":
                life.oom = at
                return [OutOfMemory(life.unit, at / 1e9)]
            case "die":
                return self._died(identifier, life, at, number(attributes.get("exitCode")))
            case "start":
                return self._started(identifier, life, at)
            case "stop":
                life.reason = ordered_reason(life)
                return [Amended(identifier, "exit", life.reason)]
            case "restart":
                return [Amended(identifier, "start", "manual")]
            case "rename":
                name = str(attributes.get("name", ""))
                self._renamed(identifier, life, unit_of(attributes, name))
            case "destroy":
                return self._destroyed(identifier, life, at)
        return []

    def look(self, document: Mapping[str, Any]) -> list[Told]:
        """Take a container's description: the events before it was made must be taken already."""
        identifier, state = str(document.get("Id", "")), document.get("State") or {}
        started, ended = nanoseconds(state.get("StartedAt")), nanoseconds(state.get("FinishedAt"))
        host = document.get("HostConfig") or {}
        policy = host.get("RestartPolicy") or {}
        count = number(document.get("RestartCount"))
        life = self.lives.get(identifier)
        if life is None:
            labels = (document.get("Config") or {}).get("Labels") or {}
            name = str(document.get("Name", "")).lstrip("/")
            life = self.lives[identifier] = Life(
                unit_of(labels, name), number_of(labels), boot=self._boot
            )
            life.policy, life.retries = policy_of(policy)
            life.restarts, life.start_told, life.end_told = count, False, False
            happened = self._appeared(identifier, life, started)
            life.started, life.ended = started, ended if ended > started else 0
            if life.ended:
                life.reason = exit_reason(life, ended, number(state.get("ExitCode")))
                life.gave_up = gave_up(life, state, count)
            return happened
        life.policy, life.retries = policy_of(policy)
        happened = self._compare(identifier, life, started, ended, state, count)
        life.restarts, life.starts = count, 0
        if not life.gave_up and gave_up(life, state, count) and life.reason not in ORDERED:
            life.gave_up = True
            happened.append(
                Happened(life.unit, identifier, Exited(ended / 1e9, "start_limit", 0, identifier))
            )
        return happened

    def look_for_absent(self, present: Iterable[str]) -> list[Told]:
        """Take the ids of all containers there are; the others have gone unseen."""
        happened: list[Told] = []
        there = set(present)
        for identifier, life in list(self.lives.items()):
            if identifier in there or life.gone:
                continue
            if life.started > life.ended:
                slot = self.slots.get(life.slot)
                reason = "recreated" if slot and slot != identifier else "unknown"
                event = Exited(life.until / 1e9, reason, 0, identifier, missed=True)
                happened.append(Happened(life.unit, identifier, event))
            del self.lives[identifier]
        return happened

    def _compare(
        self, identifier: str, life: Life, started: int, ended: int, state: Mapping[str, Any],
        count: int,
    ) -> list[Told]:  # fmt: skip
        """What a description says that no event has told."""
        happened: list[Told] = []
        status = number(state.get("ExitCode"))
        anew = started > life.started
        rebooted = life.boot != self._boot
        if not anew and state.get("Status") in ("running", "paused"):
            life.daemon_left = False  # it has outlived its daemon
        if anew:
            if life.started > life.ended and not rebooted:
                # of an end in the absence no status is left: the start has overwritten it
                life.reason = "daemon_restart" if life.daemon_left else "unknown"
                life.ended = ended if life.started < ended < started else started - 1
                life.end_told = False
                happened.append(self._exit(identifier, life, life.ended, life.reason, 0))
            lost = count - (life.restarts if count >= life.restarts else 0) > life.starts + 1
            happened += self._begun(identifier, life, started, missed=True)
            life.started, life.start_told = started, False
            if lost:
                happened.append(Missed(life.unit))
        if ended > started > 0 and ended > life.ended and life.started > life.ended:
            if bool(state.get("OOMKilled")):
                life.oom = ended
            life.reason = self._end_reason(life, ended, status)
            happened.append(self._exit(identifier, life, ended, life.reason, status))
            life.ended, life.end_told = ended, False
        return happened

    def _appeared(self, identifier: str, life: Life, started: int) -> list[Told]:
        """Note a container that nothing was known of, and its start if its unit ran before."""
        before = self.slots.get(life.slot)
        if not started:
            return []
        self._take_slot(identifier, life)
        if before is None or before == identifier:
            return []
        event = Started(started / 1e9, "recreated", False, missed=True)
        return [Happened(life.unit, identifier, event)]

    def _died(self, identifier: str, life: Life, at: int, status: int) -> list[Told]:
        is_late = at < life.started  # told after the start that followed it
        life.start_told = life.start_told or not is_late
        known = life.ended > 0 and (is_late or life.ended >= life.started)
        if not life.end_told and known and (is_late or at >= life.ended):
            life.end_told = True
            life.reason = self._end_reason(life, at, status)
            return [Amended(identifier, "exit", life.reason)]
        life.reason = self._end_reason(life, at, status)
        life.ended, life.end_told = at, True
        return [self._exit(identifier, life, at, life.reason, status, missed=False)]

    def _end_reason(self, life: Life, at: int, status: int) -> str:
        if life.daemon_left and at <= self._returned + _AFTER_DAEMON and status in (0, 137, 143):
            return "daemon_restart"
        return exit_reason(life, at, status)

    def _started(self, identifier: str, life: Life, at: int) -> list[Told]:
        if at < life.started:
            # another start was described meanwhile, and this one was not known of
            reason = life.reason or "unknown"
            return [Happened(life.unit, identifier, Started(at / 1e9, reason, True))]
        if not life.start_told and (life.started > life.ended or at <= life.ended):
            life.start_told = True
            return []
        life.end_told = True
        happened: list[Told] = []
        if life.started > life.ended and life.boot == self._boot:
            # it ended while nobody told: its daemon was away
            life.reason = "daemon_restart" if life.daemon_left else "unknown"
            life.ended = at - 1
            happened.append(self._exit(identifier, life, at, life.reason, 0))
        happened += self._begun(identifier, life, at, missed=False)
        life.started, life.start_told = at, True
        life.starts += 1
        return happened

    def _begun(self, identifier: str, life: Life, at: int, missed: bool) -> list[Told]:
        """A container runs anew; say why, unless that was to be expected."""
        reason, automatic = self._start_reason(identifier, life, at)
        life.signals.clear()
        life.oom, life.gave_up, life.boot = 0, False, self._boot
        life.daemon_left = False
        self._take_slot(identifier, life)
        if not reason:
            return []
        return [Happened(life.unit, identifier, Started(at / 1e9, reason, automatic, missed))]

    def _start_reason(self, identifier: str, life: Life, at: int) -> tuple[str, bool]:
        """Why it was started, and whether by itself; nothing for the first start there was."""
        before = self.slots.get(life.slot)
        if life.boot != self._boot:
            return "host_boot", False
        if not life.started and not life.ended:
            replaces = before is not None and before != identifier
            return ("recreated", False) if replaces else ("", False)
        by_daemon = life.daemon_left and life.policy != "no"
        if by_daemon and at <= self._returned + _AFTER_DAEMON:
            return "daemon_restart", False
        if life.reason in ORDERED:
            return "manual", False
        failed = life.reason != "clean_exit"
        by_policy = life.policy in ("", "always", "unless-stopped") or (
            life.policy == "on-failure" and failed and not life.gave_up
        )
        return (life.reason or "unknown", True) if by_policy else ("manual", False)

    def _take_slot(self, identifier: str, life: Life) -> None:
        self.slots.pop(life.slot, None)
        self.slots[life.slot] = identifier
        while len(self.slots) > _SLOTS_KEPT:
            del self.slots[next(iter(self.slots))]

    def _renamed(self, identifier: str, life: Life, unit: str) -> None:
        if self.slots.get(life.slot) == identifier:
            del self.slots[life.slot]
            life.unit = unit
            self._take_slot(identifier, life)
        life.unit = unit

    def _destroyed(self, identifier: str, life: Life, at: int) -> list[Told]:
        # kept for a while: its events may be told once more after a reconnection
        life.gone = at
        for known, other in list(self.lives.items()):
            if other.gone and other.gone < self.newest - _FORGOTTEN:
                del self.lives[known]
        if life.started <= life.ended:
            return []
        life.ended = at
        return [self._exit(identifier, life, at, "unknown", 0)]

    def _exit(
        self, identifier: str, life: Life, at: int, reason: str, status: int, missed: bool = True
    ) -> Happened:
        return Happened(life.unit, identifier, Exited(at / 1e9, reason, status, identifier, missed))
