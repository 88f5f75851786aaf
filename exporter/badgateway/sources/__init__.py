"""How bytes and states arrive: one file for each kind of source.

Log sources run in a thread of their own, so that a slow disk or a large journal delays nobody.
They deliver ``Batch``es in order and wait until each is counted. On every start they first deliver
what was written in the last ``EVIDENCE_SECONDS`` as evidence that is not counted, then count on
from the saved position: a dialect in the middle of a traceback finds its thread again, and an
exporter started after the crash still knows the package.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from badgateway.events import Batch

EVIDENCE_SECONDS = 15 * 60.0
"""How far back lines are read as evidence on a start."""

HUNG_SECONDS = 10.0
"""A source whose thread shows no sign of life for this long hangs, as on a dead disk."""

STALE_SECONDS = 60.0
"""A line older than this when it is read comes from an absence; until then a source catches up."""

log = logging.getLogger("badgateway.sources")

Position = Mapping[str, Any]
Deliver = Callable[[Batch], Awaitable[None] | None]


@dataclass(slots=True)
class Status:
    """What is known of one source.

    Attributes:
        up: True once it can be read, False when it cannot, None before the first try.
        problem: why it cannot be read and what would help; empty when it can.
        last_event: time of the last line or event read, seconds since the epoch.
        unread: bytes not read yet.
        clock: seconds that go on steadily, from whenever.
    """

    up: bool | None = None
    problem: str = ""
    last_event: float | None = None
    unread: int = 0
    clock: Callable[[], float] = time.monotonic
    _behind_until: float = 0.0

    @property
    def catching_up(self) -> bool:
        """Whether lines from an absence are being read, or were a moment ago.

        It stays true until every scrape has had the chance to see it: alerts on what logs tell
        are held back by it.
        """
        return self.clock() < self._behind_until

    def behind(self) -> None:
        """Note that lines from an absence were just counted."""
        self._behind_until = self.clock() + STALE_SECONDS

    def ok(self) -> None:
        """Note that the source can be read."""
        self.up, self.problem = True, ""

    def lost(self, problem: str) -> bool:
        """Note that it cannot; tell whether that is news."""
        news = self.up is not False or self.problem != problem
        self.up, self.problem = False, problem
        return news


class Stopped(Exception):  # noqa: N818  a signal between threads, not an error
    """The exporter is stopping; the thread ends."""


class ThreadedSource(ABC):
    """A log source that reads in a thread and heals by itself."""

    RETRY_SECONDS = 5.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = Status()
        self.stopping = threading.Event()
        self._position: Position | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._accept: Deliver | None = None
        self._alive = time.monotonic()
        self._idle = False

    def now(self) -> Status:
        """What is known of it at this moment: its own word, unless it hangs."""
        silent = time.monotonic() - self._alive
        working = self._thread is not None and not self._idle
        if not working or silent < HUNG_SECONDS or self.status.up is False:
            return self.status
        return replace(self.status, up=False, problem=f"reading has hung for {silent:.0f} s")

    def alive(self) -> None:
        """Note that the thread goes on; called by it at least every few seconds."""
        self._alive = time.monotonic()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Mark a time in which the thread only waits: that is no hanging."""
        self._idle = True
        try:
            yield
        finally:
            self.alive()
            self._idle = False

    def start(
        self, loop: asyncio.AbstractEventLoop, accept: Deliver, position: Position | None
    ) -> None:
        """Begin to read.

        Args:
            loop: the loop in which ``accept`` is called.
            accept: takes each batch; counting must be done when it, or what it returns, ends.
            position: where the last checkpoint stood, or None for a first start.
        """
        self._loop, self._accept, self._position = loop, accept, position
        self.alive()
        self._thread = threading.Thread(target=self._run, name=f"source {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; does not wait."""
        self.stopping.set()

    def deliver(self, batch: Batch) -> None:
        """Hand over a batch and wait until it is counted.

        Raises:
            Stopped: the exporter ends; the batch may or may not have been counted, and the
                position saved says which.
        """
        loop, accept = self._loop, self._accept
        assert loop is not None
        assert accept is not None

        async def hand_over() -> None:
            counting = accept(batch)
            if counting is not None:
                await counting

        if self.stopping.is_set() or loop.is_closed():
            raise Stopped
        future = asyncio.run_coroutine_threadsafe(hand_over(), loop)
        while True:
            self.alive()
            try:
                future.result(timeout=0.5)
                if batch.position is not None:
                    self._position = batch.position
                return
            except TimeoutError:
                if self.stopping.is_set() or loop.is_closed():
                    future.cancel()
                    raise Stopped from None

    def _run(self) -> None:
        while not self.stopping.is_set():
            self.alive()
            try:
                # whatever ended the last attempt, what it counted is not read again
                self.read(self._position)
            except Stopped:
                return
            except Exception as error:
                if self.status.lost(f"{type(error).__name__}: {error}"):
                    log.exception("source %s failed; trying again", self.name)
            self.stopping.wait(self.RETRY_SECONDS)

    @abstractmethod
    def read(self, position: Position | None) -> None:
        """Read on from ``position`` until lost; called again after a pause.

        Raises:
            Stopped: the exporter ends.
        """
