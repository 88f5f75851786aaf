"""Recollection: what a checkpoint holds, brought together at the moment of its counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from badgateway import state
from badgateway.counters import Snapshot

LEARNT_SECONDS: Final = 2.0

Recall = Callable[[], Any]


class Recollection:
    """Makes the documents of checkpoints."""

    def __init__(
        self,
        positions: Callable[[], Mapping[str, Mapping[str, Any]]],
        exact: Mapping[str, Recall],
        learnt: Mapping[str, Recall],
    ) -> None:
        """Begin.

        Args:
            positions: returns up to where each source was counted.
            exact: name → what must be of the counters' moment.
            learnt: name → what need not be, and is encoded only every ``LEARNT_SECONDS``.
        """
        self._positions, self._exact, self._learnt = positions, exact, learnt
        self._encoded: dict[str, msgspec.Raw] = {}
        self._encoded_at = float("-inf")

    def expire(self) -> None:
        """Let the next document hold everything as it is then."""
        self._encoded_at = float("-inf")

    def document(self, snapshot: Snapshot) -> state.Document:
        """Return what is saved together with a snapshot that was just taken."""
        now = time.monotonic()
        if now - self._encoded_at > LEARNT_SECONDS:
            self._encoded_at = now
            self._encoded = {
                name: msgspec.Raw(msgspec.json.encode(recall()))
                for name, recall in self._learnt.items()
            }
        exact = {name: recall() for name, recall in self._exact.items()}
        return state.document(snapshot, self._positions(), {**exact, **self._encoded})
