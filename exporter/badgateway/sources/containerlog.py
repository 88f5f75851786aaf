"""The log of one container of a unit, through the Docker daemon (API 1.24 and later).

The daemon ends an answer with each end of the container, and again begins where it is asked to.
The position is, for each stream of the container, the time of the last counted line and how many
lines of that very time are counted: within a stream times never go back. A container that is
created anew begins a new log, and the old one is gone.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from badgateway.events import Batch, Line
from badgateway.sources import (
    EVIDENCE_SECONDS,
    STALE_SECONDS,
    Position,
    Stopped,
    ThreadedSource,
    docker_client,
    log,
)
from badgateway.sources.container_place import Place
from badgateway.sources.containerframes import Frames, FramesError, Message
from badgateway.sources.containermarks import Marks, Unread
from badgateway.sources.docker_failures import DockerError, NoContainerError, RefusedError
from badgateway.topology.containers.times import parameter

_CHUNKS: Final = 128
"""Chunks of at most 64 KiB that may wait, or are taken at a time."""
_EVIDENCE_LINES: Final = 5000
_AGAIN_SECONDS: Final = 2.0
_REST_SECONDS: Final = 0.2


class ContainerLog(ThreadedSource):
    """Reads the log of whichever container takes one place of a unit."""

    RETRY_SECONDS = 1.0

    def __init__(
        self,
        name: str,
        unit: str,
        find: Callable[[], Place | None],
        host: Callable[[], str],
        begun: float,
    ) -> None:
        """Begin.

        Args:
            name: the source's name.
            unit: the unit, for the lines.
            find: returns the container that is to be read now; called from the source's thread.
            host: returns the daemon's address.
            begun: since when containers are watched, seconds since the epoch: what those write
                that were created later is all counted.
        """
        super().__init__(name)
        self.unit = unit
        self._find, self._host = find, host
        self._begun = begun
        self._since: float | None = None
        self._wake = threading.Event()
        self._answer: Any = None
        self._client: Any = None

    def watch(self, since: float | None) -> None:
        """Read evidence from ``since`` on, if that is earlier than usual."""
        if since is not None:
            self._since = since

    def wake(self) -> None:
        """Look at once whether the container has been started again."""
        self._wake.set()

    def stop(self) -> None:
        """End soon; does not wait."""
        super().stop()
        self._wake.set()
        answer = self._answer
        if answer is not None:
            docker_client.close(answer)

    def read(self, position: Position | None) -> None:
        """Read until the daemon is lost; see ``ThreadedSource.read``."""
        try:
            self._client = docker_client.connect(self._host())
            self._read(position)
        except NoContainerError:
            self._lost("there is no such container any more")
        except RefusedError:
            self._lost(
                "the socket proxy refuses GET /containers/*/logs: what the server says is not read"
            )
        except (DockerError, FramesError) as error:
            if self.stopping.is_set():
                raise Stopped from None
            self._lost(_remedied(str(error)))
        finally:
            client, self._client = self._client, None
            if client is not None:
                client.close()

    def _lost(self, problem: str) -> None:
        if self.status.lost(problem):
            log.warning("%s: %s", self.name, problem)

    def _read(self, position: Position | None) -> None:
        marks, known = Marks.at(0), ""
        is_fresh = True
        while not self.stopping.is_set():
            self.alive()
            self._wake.clear()
            place = self._find()
            if place is None:
                if self.status.up is not None:
                    self._lost("there is no container of it")
                self._pause()
                continue
            if place.identifier != known:
                marks, gap = self._begin(place, position, is_fresh)
                known, is_fresh = place.identifier, False
                if gap:
                    self.deliver(Batch(self.name, (), True, self._position_of(known, marks), gap))
            position = self._follow(place, marks, follow=True)
            self.stopping.wait(_REST_SECONDS)
            # what it wrote last may not have been in the answer that its end cut off
            try:
                position = self._follow(place, marks, follow=False)
            except NoContainerError:
                self._finish(position)  # what it wrote was read to the end
                raise
            place = self._find()
            if place is None or place.identifier != known or not place.runs:
                position = self._finish(position)
                if place is not None and place.identifier == known:
                    self._pause()
        raise Stopped

    def _finish(self, position: Position) -> Position:
        """Note that a container has ended and all that it wrote is counted."""
        whole = {**position, "whole": True}
        self.deliver(Batch(self.name, (), True, whole))
        return whole

    def _pause(self) -> None:
        with self.idle():
            self._wake.wait(_AGAIN_SECONDS)

    def _begin(self, place: Place, position: Position | None, is_fresh: bool) -> tuple[Marks, str]:
        """Find out from where on a container's lines are counted; deliver evidence before that.

        Returns:
            The marks, and why lines of the one before may be lost; empty when none are.
        """
        if position is not None and position.get("id") == place.identifier:
            marks = Marks.of(position)
            if is_fresh:
                self._deliver_evidence(place, marks.newest)
            return marks, ""
        if position is not None:
            lost = not position.get("whole")
            return Marks.at(0), (
                "the container was created anew, and what the one before wrote last was not read"
                if lost
                else ""
            )
        if place.created >= self._begun:
            return Marks.at(0), ""
        marks = Marks.at(time.time_ns())
        self._deliver_evidence(place, marks.newest)
        self.deliver(Batch(self.name, (), True, self._position_of(place.identifier, marks)))
        return marks, ""

    def _deliver_evidence(self, place: Place, until: int) -> None:
        begin = time.time() - EVIDENCE_SECONDS
        if self._since is not None:
            begin = min(begin, self._since)
        asked = {
            "since": parameter(max(0, int(begin * 1e9))),
            "until": parameter(until),
            "tail": str(_EVIDENCE_LINES),
        }
        lines = [
            self._line(message)
            for messages in self._messages(place, asked, follow=False)
            for message in messages
            if message.at < until
        ]
        self.status.ok()
        self.deliver(Batch(self.name, tuple(lines), False, None, fresh=True))

    def _follow(self, place: Place, marks: Marks, follow: bool) -> dict[str, Any]:
        """Count what is not counted yet, until the answer ends; return the position then."""
        unread = Unread(marks)
        asked = {"since": parameter(marks.begin)}
        for messages in self._messages(place, asked, follow):
            lines = [self._line(message) for message in messages if unread.passes(message)]
            if lines:
                self.status.last_event = lines[-1].at
                if time.time() - lines[0].at > STALE_SECONDS:
                    self.status.behind()
                position = self._position_of(place.identifier, marks)
                self.deliver(Batch(self.name, tuple(lines), True, position))
        return self._position_of(place.identifier, marks)

    def _position_of(self, identifier: str, marks: Marks) -> dict[str, Any]:
        return {"id": identifier, "streams": marks.saved(), "whole": False}

    def _line(self, message: Message) -> Line:
        return Line(message.at / 1e9, message.text, self.name, self.unit)

    def _messages(
        self, place: Place, asked: Mapping[str, str], follow: bool
    ) -> Iterator[list[Message]]:
        """Yield what the daemon sends, as much at a time as there is."""
        parameters = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": str(int(follow))}
        path = f"/containers/{place.identifier}/logs"
        answer = docker_client.get(self._client, path, {**parameters, **asked}, endless=follow)
        self._answer = answer
        if self.stopping.is_set():
            docker_client.close(answer)
        self.status.ok()
        frames = Frames(place.has_terminal)
        arrived: queue.Queue[bytes | DockerError | None] = queue.Queue(_CHUNKS)
        done = threading.Event()
        reading = threading.Thread(
            target=_read_on, args=(answer, arrived, done), name=f"log {self.name}", daemon=True
        )
        reading.start()
        try:
            ended = False
            while not ended:
                self.alive()
                messages: list[Message] = []
                for chunk in _waiting(arrived):
                    if chunk is None:
                        ended = True
                    elif isinstance(chunk, DockerError):
                        if self.stopping.is_set():
                            raise Stopped
                        raise chunk
                    else:
                        messages += frames.feed(chunk)
                if messages:
                    yield messages
                if self.stopping.is_set():
                    raise Stopped
        finally:
            self._answer = None
            done.set()
            docker_client.close(answer)


def _read_on(
    answer: Any, arrived: queue.Queue[bytes | DockerError | None], done: threading.Event
) -> None:
    """Put everything that comes into a queue, and then how it ended, until nobody takes it."""

    def put(item: bytes | DockerError | None) -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(item, timeout=_REST_SECONDS)
                return

    try:
        for chunk in docker_client.chunks(answer):
            put(chunk)
            if done.is_set():
                return
        put(None)
    except DockerError as error:
        put(error)


def _waiting(
    arrived: queue.Queue[bytes | DockerError | None],
) -> Iterator[bytes | DockerError | None]:
    """Yield what has come; wait for it a little if there is nothing."""
    try:
        yield arrived.get(timeout=0.5)
        for _ in range(_CHUNKS - 1):
            yield arrived.get_nowait()
    except queue.Empty:
        return


def _remedied(problem: str) -> str:
    if "logging driver" in problem or "does not support reading" in problem:
        return (
            "its log driver keeps nothing that could be read: use json-file, local or journald; "
            "until then only its starts and ends are seen"
        )
    return problem
