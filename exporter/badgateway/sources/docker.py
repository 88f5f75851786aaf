"""The Docker daemon: every container, and every event of their lives.

The daemon remembers 256 events, health checks among them, and a new daemon process remembers none.
On each connection what it remembers since the last counted event is taken first, then all
containers are described: what no event told shows there. After each description the daemon is asked
for its events once more, because the stream may be late: it writes an event before it shows what
the event is about. Blocking calls run in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any, Final

from badgateway.blocking import Blocking, HungError
from badgateway.sources import EVIDENCE_SECONDS, Status, docker_client, log
from badgateway.sources.container_place import Place, find
from badgateway.sources.docker_client import configured_host
from badgateway.sources.docker_events import (
    RING,
    EventStream,
    action_of,
    identifier_of,
    remembered,
)
from badgateway.sources.docker_failures import (
    NEEDED,
    SOCKET,
    AbsentError,
    DockerError,
    NoContainerError,
    RefusedError,
)
from badgateway.sources.docker_listener import Event, Listener

_FIND_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 20.0
_FIRST_RETRY: Final = 0.5
_LAST_RETRY: Final = 5.0
LOOK_SECONDS: Final = 15.0
"""How often all containers are described anew while events tell of changes."""
POLL_SECONDS: Final = 2.0
"""And while no events may be read."""
_AGAIN_SECONDS: Final = 0.5
_SECOND: Final = 10**9
_UNSHOWN: Final = ("kill", "oom", "stop", "restart", "create", "destroy")
"""Events that change nothing in a container's description, or end it."""
_RING_NEARLY: Final = RING - 32

Document = dict[str, Any]


class Docker:
    """A connection to a daemon that comes back by itself."""

    NAME = "docker"

    def __init__(self, enabled: bool, host: str | None, listener: Listener) -> None:
        """Begin.

        Args:
            enabled: False never connects.
            host: the daemon's address; None to look for it.
            listener: is told.
        """
        self.status = Status()
        self.documents: dict[str, Document] = {}
        """Container's id → its last description."""
        self.version = ""
        self._listener = listener
        self._enabled, self._host = enabled, host
        self.host: str | None = None
        """Where the daemon is looked for; empty for nowhere, None before that is known."""
        self._finding = Blocking("reading where Docker is", _FIND_SECONDS)
        self._calls = Blocking("asking Docker", _PATIENCE_SECONDS)
        self._opening = Blocking("opening Docker's events", _PATIENCE_SECONDS)
        self._client: Any = None
        self._stream: EventStream | None = None
        self._refused = False
        self._owed: set[str] = set()
        self._reconfigured = asyncio.Event()
        self._begun = time.time_ns()
        self.expected = False
        """Whether there must be a daemon: one was there before, or the configuration names it."""

    @property
    def watching(self) -> float:
        """Since when containers are watched, seconds since the epoch."""
        return self._listener.begun or time.time()

    def find(self, unit: str, number: str) -> Place | None:
        """Return the container that takes a place of a unit now; may be called from any thread."""
        return find(list(self.documents.values()), unit, number)

    def reconfigure(self, enabled: bool, host: str | None) -> None:
        """Use another daemon from now on, if it is another."""
        if (enabled, host) != (self._enabled, self._host):
            self._enabled, self._host = enabled, host
            self._reconfigured.set()
            if self._stream is not None:
                self._stream.close()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        pause = _FIRST_RETRY
        while True:
            self._reconfigured.clear()
            host = self.host = await self._found()
            if not host:
                self._absent()
                pause = _LAST_RETRY
            else:
                begun = time.monotonic()
                try:
                    await self._stay(host)
                except (DockerError, HungError, OSError) as error:
                    if self.status.lost(str(error) or type(error).__name__):
                        log.warning("docker: %s", self.status.problem)
                finally:
                    self._disconnect()
                lived = time.monotonic() - begun > 2 * _LAST_RETRY
                pause = _FIRST_RETRY if lived else min(_LAST_RETRY, 2 * pause)
            try:
                async with asyncio.timeout(pause):
                    await self._reconfigured.wait()
            except TimeoutError:
                pass

    async def _found(self) -> str:
        """Where the daemon may be; Docker's own settings lie on a disk that may hang."""
        if not self._enabled:
            return ""
        try:
            return await self._finding.call(configured_host, self._host)
        except (HungError, OSError) as error:
            log.debug("docker: %s", error)
            return self.host or ""

    def _absent(self) -> None:
        self.documents.clear()
        if not self._enabled:
            self.status.up, self.status.problem = None, ""
        elif self.expected and self.status.lost(
            f"no socket at {SOCKET}: Docker does not run, or it is not mounted"
        ):
            log.warning("docker: %s", self.status.problem)

    async def _stay(self, host: str) -> None:
        """Connect, take what happened meanwhile, and follow until the connection breaks."""
        self._client = await self._calls.call(docker_client.connect, host)
        self.version = str(self._client.api_version)
        self._refused = False
        await self._catch_up()
        events = await self._open(host)
        await self._look()
        self._well()
        self.expected = True
        self._listener.changed()
        looked = time.monotonic()
        while not self._reconfigured.is_set():
            if events is None:
                await asyncio.sleep(POLL_SECONDS)
                await self._look()
                self._well()
                continue
            for event in await events.next(_AGAIN_SECONDS if self._owed else LOOK_SECONDS):
                self._take(event)
            await self._pay()
            if time.monotonic() - looked >= LOOK_SECONDS:
                await self._look()
                looked = time.monotonic()

    async def _catch_up(self) -> None:
        """Take the events that the daemon remembers and that are not taken yet."""
        newest = self._listener.newest
        known = newest or int(self._listener.begun * _SECOND)
        try:
            ring = await self._calls.call(remembered, self._client)
        except RefusedError:
            self._refused = True
            self._listener.connected(another=False, at=time.time_ns())
            return
        times = [int(event.get("timeNano") or 0) for event in ring]
        # the daemon that told it would still remember it, if not too much came after it
        another = bool(newest) and newest not in times and len(ring) < _RING_NEARLY
        at = time.time_ns()
        self._listener.connected(another, at)
        begin = known - _SECOND if known else at - int(EVIDENCE_SECONDS) * _SECOND
        for event, when in zip(ring, times, strict=True):
            if when > begin and event.get("Type") == "container":
                self._listener.event(event, counted=bool(known))
        self._begun = max(times, default=at)

    async def _open(self, host: str) -> EventStream | None:
        if self._refused:
            return None
        own = await self._calls.call(docker_client.connect, host)
        # what is told twice is taken once; events of one moment need not come in order
        stream = await self._opening.call(EventStream, own, max(0, self._begun - _SECOND))
        stream.start()
        self._stream = stream
        return stream

    async def _look(self) -> None:
        """Describe all containers."""
        found = await self._calls.call(docker_client.identifiers, self._client)
        moved = await self._describe(found)
        for gone in self.documents.keys() - set(found):
            del self.documents[gone]
        self._listener.listed(frozenset(found) | moved)

    async def _describe(self, identifiers: Collection[str]) -> set[str]:
        """Describe containers, once everything is told that happened to them before.

        Returns:
            Those that something happened to meanwhile; they still are to be described.
        """
        self._owed.update(identifiers)
        found: dict[str, Document] = {}
        for identifier in identifiers:
            try:
                document = await self._calls.call(docker_client.inspect, self._client, identifier)
            except NoContainerError:
                self._vanished(identifier)
            else:
                found[identifier] = document
        moved = await self._catch_events()
        for identifier in found.keys() - moved:
            self._owed.discard(identifier)
            self.documents[identifier] = found[identifier]
            self._listener.described(found[identifier])
        return moved

    async def _catch_events(self) -> set[str]:
        """Take what the stream has not told yet; return the containers it is about."""
        if self._refused:
            return set()
        since = max(0, max(self._listener.newest, self._begun) - _SECOND)
        ring = await self._calls.call(remembered, self._client, since)
        return {identifier_of(event) for event in ring if self._take(event)}

    def _vanished(self, identifier: str) -> None:
        self._owed.discard(identifier)
        self.documents.pop(identifier, None)
        self._listener.vanished(identifier)

    def _take(self, event: Event) -> bool:
        """Tell an event; return whether it is new."""
        identifier, action = identifier_of(event), action_of(event)
        self.status.last_event = max(
            self.status.last_event or 0.0, int(event.get("timeNano") or 0) / 1e9
        )
        is_new = self._listener.event(event, counted=True)
        if is_new and action == "destroy":
            self._vanished(identifier)
            self._listener.changed()
        elif is_new and action not in _UNSHOWN:
            self._owed.add(identifier)
        return is_new

    async def _pay(self) -> None:
        """Describe anew what events were about; what cannot be described now is so soon."""
        if not self._owed:
            return
        try:
            await self._describe(sorted(self._owed))
        except AbsentError:
            # its events may go on for a while: they tell how everything ends
            self._listener.leaving()
        except (DockerError, HungError) as error:
            log.debug("docker: %s", error)
        self._listener.changed()

    def _well(self) -> None:
        before = self.status.problem
        self.status.ok()
        if self._refused:
            self.status.problem = (
                f"no events: the socket proxy refuses /events; containers are looked at every "
                f"{POLL_SECONDS:.0f} s, and what happens between is not seen. Allow {NEEDED}"
            )
            if self.status.problem != before:
                log.warning("docker: %s", self.status.problem)

    def _disconnect(self) -> None:
        self._owed.clear()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        client, self._client = self._client, None
        if client is not None:
            client.close()
