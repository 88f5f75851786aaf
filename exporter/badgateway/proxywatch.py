"""Proxies watched: their processes and files, disk against memory, and what their own test says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from badgateway.blocking import Blocking
from badgateway.nginxloads import NginxLoads
from badgateway.sources import proctree
from badgateway.supervision import Supervisor
from badgateway.topology.caddy import files as caddy_files
from badgateway.topology.nginx import processes as nginx_processes
from badgateway.topology.nginx.includes import Stamp, stamp
from badgateway.topology.nginx.loads import Seen
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.proxies.state import ProxyState, Tested

FILES_SECONDS: Final = 1.0
PROCESSES_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 60.0
"""How often files that were refused are tested again: what was missing may be there now."""
_UNJUDGED_SECONDS: Final = 15.0
"""The same, where the test came to nothing, as when it took too long on a busy host."""
_DISK_SECONDS: Final = 5.0
_OFTEN_LOOKED_AT: Final = 200


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an admin API told: a digest of it, since when, and by which process."""

    digest: str
    at: float
    process: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Trial:
    """A test of files: of which, when (monotonic seconds), and what came of it."""

    key: tuple[str, ...]
    at: float
    outcome: Tested | None = None


class ProxyWatch:
    """Knows of each proxy whether it runs, what it has loaded, and what its next reload brings."""

    def __init__(
        self,
        supervisor: Supervisor,
        changed: Callable[[], None],
        is_current: Callable[[ProxyPlace], bool],
        learnt: Mapping[str, Any] | None = None,
        touch: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            supervisor: notes how the looks go.
            changed: called when the proxies should be looked at anew.
            is_current: tells whether what was read last of a proxy's files still holds; may block.
            learnt: what ``memory`` returned in an earlier life.
            touch: called when there is something new to remember.
        """
        self._touch = touch
        known = learnt or {}
        self._supervisor, self._changed, self._is_current = supervisor, changed, is_current
        self._woken = asyncio.Event()
        self._loads = NginxLoads(self._woken.set, known.get("nginx"))
        self._answers = _recalled(known.get("answers"))
        self._disk = Blocking("looking at proxies", _DISK_SECONDS)
        self._programs = Blocking("looking at a proxy's program", _DISK_SECONDS)
        self._places: dict[str, ProxyPlace] = {}
        self._running: dict[str, bool | None] = {}
        self._stamps: dict[str, tuple[Stamp, ...]] = {}
        self._trials: dict[str, _Trial] = {}
        self._tests: set[asyncio.Task[None]] = set()
        self.states: dict[str, ProxyState] = {}
        """Proxy → its configuration, disk against memory."""

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter."""
        answers = {name: msgspec.to_builtins(answer) for name, answer in self._answers.items()}
        return {"nginx": self._loads.memory(), "answers": answers}

    def concerns(self, unit: str) -> bool:
        """Tell whether a unit is a proxy's."""
        return any(place.unit == unit for place in self._places.values())

    def _has_run(self, place: ProxyPlace) -> bool:
        return self._running.get(place.name) is not None or self._loads.knows(place.name)

    # -- at each look at the host

    async def apply(self, place: ProxyPlace, found: ProxyFound, at: float) -> ProxyFound:
        """Return what a proxy serves, with what it has loaded and since when.

        Args:
            place: where it is found.
            found: what its files, and its admin API, say.
            at: when they said so at the latest, seconds since the epoch.
        """
        try:
            seen, running = await self._disk.call(_look, place, self._has_run(place))
        except OSError:
            return found  # processes that cannot be seen now are seen the next time
        self._running[place.name] = running
        if place.kind != "nginx":
            if place.config and not place.container:
                with contextlib.suppress(OSError):  # they are read at the next look, too
                    written = await self._disk.call(caddy_files.look, place.config)
                    self._stamps[place.name] = written.stamps[:_OFTEN_LOOKED_AT]
            return self._answered(place, found)
        if seen is None:
            return found
        self._loads.see(place.name, seen)
        return self._loads.read(place.name, found, at)

    def watch(
        self,
        places: tuple[ProxyPlace, ...],
        answers: Mapping[str, ProxyFound],
        tests: bool,
    ) -> None:
        """Watch exactly these proxies from now on.

        Args:
            places: where they are.
            answers: proxy → what it serves.
            tests: whether their own tests may be run.
        """
        self._places = {place.name: place for place in places}
        gone = self.states.keys() - self._places.keys()
        self._loads.forget(gone)
        for name in gone:
            for kept in (self.states, self._running, self._trials, self._answers, self._stamps):
                kept.pop(name, None)
        for place in places:
            found = answers.get(place.name)
            if found is None:
                continue
            if not tests:
                self._trials.pop(place.name, None)
            elif place.kind == "nginx":
                self._test(place, found)
            self._tell(place, found, tests)

    def _tell(self, place: ProxyPlace, found: ProxyFound, tests: bool) -> None:
        before = self.states.get(place.name, ProxyState())
        pending = bool(found.digest and found.loaded_digest)
        pending = pending and found.digest != found.loaded_digest
        since = 0.0
        if pending:
            late = found.changed if found.changed > found.loaded_at else time.time()
            since = before.pending_since or late
        tested = None
        if place.kind == "nginx":
            trial = self._trials.get(place.name)
            tested = trial.outcome if trial is not None else None
        elif tests:
            tested = proxytest.caddy(found, not str(place.config).endswith(".json"))
        running, last = self._running.get(place.name), before.found
        if last is None or any(
            getattr(last, each) != getattr(found, each)
            for each in ("digest", "loaded_digest", "loaded_at")
        ):
            self._touch()
        self.states[place.name] = ProxyState(found, running, tested, pending, since, place)

    def _answered(self, place: ProxyPlace, found: ProxyFound) -> ProxyFound:
        """What an admin API told, with the time at which that was first told."""
        if not found.loaded_digest:
            return found
        start = proctree.started(place.pid) if place.pid else None
        process = None if start is None else (place.pid, start)
        began = 0.0 if start is None else proctree.clock(start)
        known = self._answers.get(place.name)
        if known is None or (process is not None and known.process != process):
            known = _Answer(found.loaded_digest, began, process)
        elif known.digest != found.loaded_digest:
            known = _Answer(found.loaded_digest, time.time(), process)
        self._answers[place.name] = known
        return replace(found, loaded_at=known.at)

    # -- the proxy's own test

    def _test(self, place: ProxyPlace, found: ProxyFound) -> None:
        """Have files tested that are not those of the last test."""
        said = found.digest or found.problems.get("nginx-config", "")
        key = (said, place.binary, place.config or "", str(place.pid))
        trial, now = self._trials.get(place.name), time.monotonic()
        if not said:
            self._trials.pop(place.name, None)
            return
        if trial is not None and trial.key == key:
            if now - trial.at < _again(trial.outcome):
                return
            outcome = trial.outcome  # it stands until another takes its place
        else:
            outcome = None
        self._trials[place.name] = _Trial(key, now, outcome)
        task = asyncio.create_task(self._tested(place, key))
        self._tests.add(task)
        task.add_done_callback(self._tests.discard)

    async def _tested(self, place: ProxyPlace, key: tuple[str, ...]) -> None:
        outcome = await proxytest.nginx(place, self._programs)
        trial = self._trials.get(place.name)
        if trial is None or trial.key != key:
            return  # the files are others already
        self._trials[place.name] = replace(trial, outcome=outcome)
        if (state := self.states.get(place.name)) is not None:
            self.states[place.name] = replace(state, tested=outcome)

    # -- between two looks

    async def run(self) -> None:
        """Look at processes and files until cancelled; have the host looked at when they change."""
        looked = float("-inf")
        try:
            while True:
                with self._supervisor.timed("proxies"):
                    due = time.monotonic() - looked >= PROCESSES_SECONDS - _SETTLE_SECONDS
                    if self._woken.is_set() or due:
                        self._woken.clear()
                        looked = time.monotonic()
                        await self._look_at_processes()
                    if await self._disk.call(self._files_changed):
                        self._changed()
                try:
                    async with asyncio.timeout(FILES_SECONDS):
                        await self._woken.wait()
                    await asyncio.sleep(_SETTLE_SECONDS)  # others end at the same time
                except TimeoutError:
                    pass
        finally:
            self._loads.close()
            for task in self._tests:
                task.cancel()
            await asyncio.gather(*self._tests, return_exceptions=True)

    async def _look_at_processes(self) -> None:
        for place in tuple(self._places.values()):
            if not place.pid:
                continue
            seen, running = await self._disk.call(_look, place, True)
            turned = running is not self._running.get(place.name)
            if seen is not None and place.kind == "nginx":
                turned |= self._loads.see(place.name, seen)
            if turned:
                self._changed()

    def _files_changed(self) -> bool:
        """Whether a proxy's files are others than those that were read; may block."""
        turned = False
        for place in tuple(self._places.values()):
            if place.kind == "nginx":
                turned |= not self._is_current(place)
                continue
            known = self._stamps.get(place.name, ())
            now = self._stamps[place.name] = tuple(stamp(path) for path, _ in known)
            turned |= now != known
        return turned


def _again(outcome: Tested | None) -> float:
    """After how many seconds files are tested again although they are the same."""
    if outcome is None or outcome.valid or outcome.message.startswith(proxytest.SYNTAX_IS_RIGHT):
        return float("inf")
    return _AGAIN_SECONDS if outcome.valid is False else _UNJUDGED_SECONDS


def _look(place: ProxyPlace, was_seen: bool) -> tuple[Seen | None, bool | None]:
    """A proxy's processes, and whether it runs; None where that cannot be told. May block."""
    if not place.pid:
        return None, False if was_seen else None
    if proctree.started(place.pid) is None:
        return None, False
    return nginx_processes.look(place.pid) if place.kind == "nginx" else None, True


def _recalled(saved: object) -> dict[str, _Answer]:
    """What admin APIs had told in an earlier life."""
    found = {}
    for name, answer in saved.items() if isinstance(saved, Mapping) else ():
        try:
            found[str(name)] = msgspec.convert(answer, _Answer)
        except msgspec.ValidationError:
            continue  # another version wrote it
    return found
