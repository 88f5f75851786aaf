"""A daemon's events, read in a thread of their own and told in the loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, Final

from badgateway.collectors.container_tracker import ACTIONS
from badgateway.sources import docker_client, docker_shapes
from badgateway.sources.docker_failures import CALL_SECONDS, STRANGE, DockerError
from badgateway.sources.docker_listener import Event
from badgateway.topology.containers.times import parameter

RING: Final = 256
"""How many events a daemon remembers; a new daemon process begins with none."""

_FILTERS: Final = json.dumps({"type": ["container"], "event": list(ACTIONS)})
_LINE_LIMIT: Final = 1024 * 1024
_QUEUED: Final = 16 * RING


class EventStream:
    """An open stream of events, in the order in which the daemon tells them."""

    def __init__(self, client: Any, since: int) -> None:
        """Open it; blocks.

        Args:
            client: a connection that nobody else uses.
            since: tell remembered events from this time on, nanoseconds since the epoch.

        Raises:
            DockerError: the daemon cannot be reached, or refuses.
        """
        self._answer = docker_client.get(
            client, "/events", {"since": parameter(since), "filters": _FILTERS}, endless=True
        )
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._end: DockerError | None = None
        self._room = threading.Semaphore(_QUEUED)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; to be called in the loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name="docker events", daemon=True
        )
        self._thread.start()

    async def next(self, seconds: float) -> list[Event]:
        """Return what has come, oldest first; wait so long if there is nothing.

        Raises:
            DockerError: the stream has ended, and everything before that was returned.
        """
        found: list[Event] = []
        if self._end is None or not self._queue.empty():
            try:
                async with asyncio.timeout(seconds):
                    found.append(await self._queue.get())
            except TimeoutError:
                return []
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        self._room.release(max(1, len(found)))
        found = [event for event in found if event]
        if not found and self._end is not None:
            raise self._end
        return found

    def close(self) -> None:
        """End it soon; does not wait."""
        docker_client.close(self._answer)
        self._room.release(_QUEUED)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        end = DockerError("the daemon has ended the stream of events")
        try:
            for event in _documents(docker_client.chunks(self._answer)):
                self._room.acquire()
                loop.call_soon_threadsafe(self._queue.put_nowait, event)
        except DockerError as error:
            end = error
        except RuntimeError:
            return  # the loop has ended: nobody listens any more
        try:
            loop.call_soon_threadsafe(self._finish, end)
        except RuntimeError:
            pass

    def _finish(self, end: DockerError) -> None:
        self._end = end
        self._queue.put_nowait({})  # wakes who waits


def identifier_of(event: Event) -> str:
    """Return the id of the container an event is about."""
    return str((event.get("Actor") or {}).get("ID", ""))


def action_of(event: Event) -> str:
    """Return what an event says has happened, without what a health check found."""
    return str(event.get("Action", "")).partition(":")[0]


def remembered(client: Any, since: int = 0) -> list[Event]:
    """Return the events the daemon remembers, oldest first. Blocks.

    Args:
        client: a connection.
        since: nanoseconds since the epoch: only what has happened to containers from then on; 0
            for all events, of everything.

    Raises:
        DockerError: the daemon cannot be reached, or refuses.
    """
    asked = {"since": parameter(since), "until": parameter(time.time_ns())}
    if since:
        asked["filters"] = _FILTERS
    answer = docker_client.get(client, "/events", asked, endless=False)
    found: list[Event] = []
    try:
        for event in _documents(docker_client.chunks(answer, CALL_SECONDS)):
            found.append(event)
            if len(found) > _QUEUED:
                raise DockerError(STRANGE)
    finally:
        answer.close()
    return found


def _documents(chunks: Any) -> Any:
    """Yield the JSON objects of a stream, one a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise DockerError(STRANGE)
        for line in lines:
            if line.strip():
                yield _document(line)
    if rest.strip():
        yield _document(rest)


def _document(line: bytes) -> Event:
    try:
        return docker_shapes.event(json.loads(line))
    except (ValueError, RecursionError):
        raise DockerError(STRANGE) from None
