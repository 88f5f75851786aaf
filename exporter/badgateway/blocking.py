"""Calls that may block, kept away from the loop: a hung disk must delay neither scrape nor stop.

Each kind of call has one daemon thread of its own: what hangs on a dead disk or network file system
cannot be interrupted, only not waited for.
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

PATIENCE_SECONDS: Final = 10.0

T = TypeVar("T")
_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], object]]


class HungError(TimeoutError):
    """A call has not come back; the text says what and for how long."""


class Blocking:
    """One kind of blocking call."""

    def __init__(self, what: str, patience: float = PATIENCE_SECONDS) -> None:
        """Begin.

        Args:
            what: what is done, for messages; a gerund.
            patience: seconds after which a call is no longer waited for.
        """
        self._what, self._patience = what, patience
        self._under_way: asyncio.Future[Any] | None = None
        self._begun = 0.0
        self._work: SimpleQueue[_Work | None] | None = None

    @property
    def is_hung(self) -> bool:
        """Whether a call under way has been waited for in vain."""
        under_way = self._under_way is not None and not self._under_way.done()
        return under_way and time.monotonic() - self._begun > self._patience

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Return what ``function(*args)`` returns, computed in a thread.

        Raises:
            OSError: no thread can be started.
            HungError: it, or an earlier call, does not come back. Called again after that, no
                further thread is started until the first has come back.
        """
        while (earlier := self._under_way) is not None:
            await self._wait(earlier)
            if self._under_way is earlier:  # another that waited may have begun by now
                self._under_way = None
        future = self.begin(function, *args)
        await self._wait(future)
        if self._under_way is future:
            self._under_way = None
        return future.result()

    def begin(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Start a call without bound on its time; the caller waits as it likes.

        Raises:
            OSError: no thread can be started.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(_retrieve)
        if self._work is None:
            work: SimpleQueue[_Work | None] = SimpleQueue()
            try:
                threading.Thread(target=_run, args=(work,), name=self._what, daemon=True).start()
            except RuntimeError as error:  # neither memory nor processes are left
                raise OSError(errno.EAGAIN, f"{self._what}: {error}") from None
            self._work = work
            weakref.finalize(self, work.put, None)
        self._work.put((loop, future, lambda: function(*args)))
        self._under_way, self._begun = future, time.monotonic()
        return future

    async def _wait(self, future: asyncio.Future[Any]) -> None:
        """Wait for an end, good or bad, for as long as patience lasts."""
        await asyncio.wait((future,), timeout=self._patience)
        if not future.done():
            seconds = time.monotonic() - self._begun
            raise HungError(f"{self._what} has hung for {seconds:.0f} s")


def _run(work: SimpleQueue[_Work | None]) -> None:
    """Do one call after the other until told to end."""
    while (item := work.get()) is not None:
        loop, future, function = item
        result, problem = None, None
        try:
            result = function()
        except BaseException as error:
            problem = error
        try:
            loop.call_soon_threadsafe(_finish, future, result, problem)
        except RuntimeError:
            pass  # the loop has ended: nobody waits any more
        del item, function, result, problem  # nothing is kept alive while waiting


def _finish(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Look at an exception nobody waits for, so that asyncio does not print it."""
    if not future.cancelled():
        future.exception()
