"""The committer: makes what was counted durable several times a second, and only then shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from badgateway import state
from badgateway.counters import Counters, Snapshot

COMMIT_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 1.0

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
                await asyncio.to_thread(self._checkpoint.save, document)
            except OSError as error:
                if self.durable:
                    log.error("the checkpoint cannot be written: %s; counters stand still", error)
                self.durable = False
                self._counters.touch()
                return False
            self.durable = True
        self._counters.publish(snapshot)
        return True

    def close(self) -> None:
        """Save once more and let another exporter have the state directory."""
        if self._checkpoint is None:
            return
        try:
            self._checkpoint.save(self._document(self._counters.snapshot()))
        except OSError as error:
            log.error("the last checkpoint could not be written: %s", error)
        self._checkpoint.close()
