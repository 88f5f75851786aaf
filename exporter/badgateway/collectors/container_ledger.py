"""What happened to containers, held for a moment, and what is saved once it is counted.

The position that is saved is that of the last event whose consequences are counted, together with
what was known of each container then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec

from badgateway.collectors.container_ends import ORDERED, Life
from badgateway.collectors.container_happenings import Amended, Happened, Told
from badgateway.collectors.container_tracker import ContainerTracker
from badgateway.collectors.service_tracker import Exited, Started
from badgateway.collectors.services import HOLD_SECONDS, MISSED_HOLD_SECONDS

UNSORTED_SECONDS: Final = 30.0
"""How long what happens to a unit that nobody watches yet is kept."""
_LASTING: Final = ("recreated", "daemon_restart", "start_limit")


@dataclass(slots=True)
class Held:
    """What happened, and what is known once it is counted.

    Attributes:
        due: when it is to be counted; seconds of the clock that never steps, as ``arrived``.
        arrived: when it was told.
        told: what it is.
        counted: False for what is evidence only.
    """

    due: float
    arrived: float
    told: list[Told]
    counted: bool
    _newest: int
    _lives: dict[str, Any]
    _slots: dict[str, str]


class Ledger:
    """Holds what the tracker tells, in order."""

    def __init__(self, tracker: ContainerTracker, known: Mapping[str, Any]) -> None:
        """Begin with what ``saved`` was at the last checkpoint; the tracker takes it up too."""
        self._tracker = tracker
        self._held: deque[Held] = deque()
        self.begun = 0.0
        """When a daemon was first listened to, also in an earlier life; seconds, 0 for never."""
        self.saved: dict[str, Any] = {"newest": 0, "begun": 0.0, "lives": {}, "slots": {}}
        """What a checkpoint must hold."""
        try:
            lives = msgspec.convert(known.get("lives", {}), dict[str, Life])
            slots = msgspec.convert(known.get("slots", {}), dict[str, str])
            newest = msgspec.convert(known.get("newest", 0), int)
            self.begun = msgspec.convert(known.get("begun", 0.0), float)
        except msgspec.ValidationError:
            return  # another version wrote it
        tracker.recall(lives, slots)
        tracker.newest = newest
        self.saved = {
            "newest": newest,
            "begun": self.begun,
            "lives": {identifier: asdict(life) for identifier, life in lives.items()},
            "slots": dict(slots),
        }

    def begin(self, at: float) -> None:
        """Note a connection; the first one is remembered."""
        self.begun = self.begun or at
        self.saved["begun"] = self.begun

    def hold(self, identifier: str, told: list[Told], counted: bool) -> None:
        """Keep what happened to a container, with what is known once it is counted."""
        now = time.monotonic()
        missed = any(isinstance(one, Happened) and one.event.missed for one in told)
        wait = MISSED_HOLD_SECONDS if missed else HOLD_SECONDS
        life = self._tracker.lives.get(identifier)
        lives = {identifier: asdict(life) if life is not None else None} if identifier else {}
        slots = {life.slot: self._tracker.slots.get(life.slot, "")} if life is not None else {}
        if not told and not self._held and self._is_saved(lives, slots):
            self.saved["newest"] = self._tracker.newest  # with whatever is saved next
            return
        due = max(now + (wait if told else 0.0), self._held[-1].due if self._held else 0.0)
        self._held.append(Held(due, now, told, counted, self._tracker.newest, lives, slots))

    def hold_the_gone(self) -> None:
        """Forget the containers that the tracker has forgotten, in their turn."""
        for identifier in self.saved["lives"].keys() - self._tracker.lives.keys():
            self.hold(identifier, [], counted=True)

    def amend(self, amended: Amended) -> None:
        """Correct the reason of a container's last end or start, if that is still held."""
        kind = Exited if amended.what == "exit" else Started
        for held in reversed(self._held):
            for index, one in enumerate(held.told):
                if (
                    isinstance(one, Happened)
                    and one.identifier == amended.identifier
                    and isinstance(one.event, kind)
                    and one.event.reason not in _LASTING
                ):
                    event = replace(one.event, reason=amended.reason)
                    if isinstance(event, Started):
                        event = replace(event, automatic=False)
                    held.told[index] = replace(one, event=event)
                    return

    def amend_ordered(self, reason: str) -> None:
        """Give every held end that was ordered another reason."""
        for held in self._held:
            for one in held.told:
                if (
                    isinstance(one, Happened)
                    and isinstance(one.event, Exited)
                    and one.event.reason in ORDERED
                ):
                    self.amend(Amended(one.identifier, "exit", reason))

    def due(self, is_sorted: Callable[[Held], bool]) -> Iterator[Held]:
        """Yield what was held long enough; once it is taken, it is saved as counted.

        Args:
            is_sorted: tells whether it is known by now whose it is.
        """
        now = time.monotonic()
        while self._held and self._held[0].due <= now:
            held = self._held[0]
            if not is_sorted(held) and now - held.arrived < UNSORTED_SECONDS:
                return
            self._held.popleft()
            yield held
            self._save(held)

    def _is_saved(self, lives: Mapping[str, Any], slots: Mapping[str, str]) -> bool:
        known, places = self.saved["lives"], self.saved["slots"]
        return all(known.get(i) == life for i, life in lives.items()) and all(
            places.get(slot, "") == identifier for slot, identifier in slots.items()
        )

    def _save(self, held: Held) -> None:
        lives, slots = dict(self.saved["lives"]), dict(self.saved["slots"])
        for identifier, life in held._lives.items():
            lives.pop(identifier, None)
            if life is not None:
                lives[identifier] = life
        for slot, identifier in held._slots.items():
            slots.pop(slot, None)
            if identifier:
                slots[slot] = identifier
        for slot in slots.keys() - self._tracker.slots.keys():
            del slots[slot]
        self.saved = {
            "newest": held._newest, "begun": self.begun, "lives": lives, "slots": slots,
        }  # fmt: skip
