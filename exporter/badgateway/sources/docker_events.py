"""A daemon's events, read in a thread of their own and told in the loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from badgateway.collectors.container_tracker import ACTIONS
from badgateway.sources import docker_client
from badgateway.sources.docker_client import DockerError
from badgateway.topology.container_times import parameter

RING: Final = 256
"""How many events a daemon remembers; a new daemon process begins with none."""

_FILTERS: Final = json.dumps({"type": ["container"], "event": list(ACTIONS)})
_LINE_LIMIT: Final = 1024 * 1024

Event = Mapping[str, Any]


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
        self._queue: asyncio.Queue[Event | DockerError] = asyncio.Queue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read; to be called in the loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name="docker events", daemon=True
        )
        self._thread.start()

    async def next(self, seconds: float) -> Event | None:
        """Return the next event, or None when there is none for so long.

        Raises:
            DockerError: the stream has ended.
        """
        try:
            async with asyncio.timeout(seconds):
                found = await self._queue.get()
        except TimeoutError:
            return None
        if isinstance(found, DockerError):
            raise found
        return found

    def close(self) -> None:
        """End it soon; does not wait."""
        docker_client.close(self._answer)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        end = DockerError("the daemon has ended the stream of events")
        try:
            for event in _documents(docker_client.chunks(self._answer)):
                loop.call_soon_threadsafe(self._queue.put_nowait, event)
        except DockerError as error:
            end = error
        except RuntimeError:
            return  # the loop has ended: nobody listens any more
        try:
            loop.call_soon_threadsafe(self._queue.put_nowait, end)
        except RuntimeError:
            pass


def remembered(client: Any) -> list[Event]:
    """Return all events the daemon remembers, of everything, oldest first. Blocks.

    Raises:
        DockerError: the daemon cannot be reached, or refuses.
    """
    until = parameter(time.time_ns())
    answer = docker_client.get(client, "/events", {"since": "0", "until": until}, endless=False)
    try:
        return list(_documents(docker_client.chunks(answer)))
    finally:
        answer.close()


def _documents(chunks: Any) -> Any:
    """Yield the JSON objects of a stream, one a line."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise DockerError("the daemon does not speak Docker's API")
        for line in lines:
            if line.strip():
                yield _document(line)
    if rest.strip():
        yield _document(rest)


def _document(line: bytes) -> Event:
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise DockerError("the daemon does not speak Docker's API")
    return document
