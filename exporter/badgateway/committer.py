"""The committer: makes what was counted durable several times a second, and only then shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from badgateway import state
from badgateway.blocking import Blocking
from badgateway.counters import Counters, Snapshot

COMMIT_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 1.0
HUNG_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0

log = logging.getLogger("badgateway")


class Committer:
    """Saves the counters, and what goes with them, to one checkpoint."""

    def __init__(
        self,
        counters: Counters,
        checkpoint: state.Checkpoint | None,
        document: Callable[[Snapshot], state.Document],
    ) -> None:
        """Begin.

        Args:
            counters: what is saved and then shown.
            checkpoint: where to; None to show without saving, for a single look.
            document: brings together what belongs to a snapshot, at the moment it was taken.
        """
        self._counters, self._checkpoint, self._document = counters, checkpoint, document
        self._disk = Blocking("writing the checkpoint")
        self._writing: asyncio.Future[None] | None = None
        self.durable = checkpoint is not None

    async def run(self, before: Callable[[], object]) -> None:
        """Commit until cancelled; ``before`` is called ahead of each look for changes."""
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            before()
            if self._counters.dirty and not await self.commit():
                await asyncio.sleep(RETRY_SECONDS)

    async def commit(self) -> bool:
        """Save and show what was counted; tell whether that worked."""
        snapshot = self._counters.snapshot()
        if self._checkpoint is not None:
            document = self._document(snapshot)
            try:
                self._writing = self._disk.begin(self._checkpoint.save, document)
                await asyncio.wait((self._writing,), timeout=HUNG_SECONDS)
                if not self._writing.done():
                    self._lost("the disk has not answered for 5 s")
                # shown when that comes back: what is counted meanwhile is in the next snapshot
                await asyncio.shield(self._writing)
            except OSError as error:
                self._lost(error.strerror or str(error))
                self._counters.touch()
                return False
            if not self.durable:
                log.info("the checkpoint is written again; counters go on")
            self.durable = True
        self._counters.publish(snapshot)
        return True

    async def close(self) -> None:
        """Save once more and let another exporter have the state directory."""
        if self._checkpoint is None:
            return
        if self._writing is not None:  # cut short by the stop; two must not write at a time
            await asyncio.wait((self._writing,), timeout=CLOSE_SECONDS)
            if not self._writing.done():
                log.error("the last checkpoint could not be written: the disk does not answer")
                return
        document = self._document(self._counters.snapshot())
        last = self._disk.begin(self._checkpoint.save, document)
        await asyncio.wait((last,), timeout=CLOSE_SECONDS)
        if not last.done() or last.exception() is not None:
            reason = last.exception() if last.done() else "the disk does not answer"
            log.error("the last checkpoint could not be written: %s", reason)
        self._checkpoint.close()

    def _lost(self, reason: str) -> None:
        if self.durable:
            log.error("the checkpoint cannot be written: %s; counters stand still", reason)
        self.durable = False
