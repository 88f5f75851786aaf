"""What is told of a Docker daemon, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Event = Mapping[str, Any]
Document = Mapping[str, Any]


class Listener(Protocol):
    """What is told of the daemon; called in the loop."""

    @property
    def newest(self) -> int:
        """Time of the newest event taken, also in an earlier life; 0 for none."""

    @property
    def begun(self) -> float:
        """When a daemon was first listened to, also in an earlier life; seconds, 0 for never."""

    def connected(self, another: bool, at: int) -> None:
        """A connection was made; ``another`` daemon process than before answers."""

    def event(self, event: Event, counted: bool) -> bool:
        """An event came, maybe once more; ``counted`` False makes it evidence only.

        Returns:
            Whether it is new.
        """

    def described(self, document: Document) -> None:
        """A container was described; all its events until then have been told."""

    def vanished(self, identifier: str) -> None:
        """A container is there no more."""

    def listed(self, identifiers: frozenset[str]) -> None:
        """Those are all containers there are."""

    def leaving(self) -> None:
        """The daemon takes no new connections: it is going down, and its containers with it."""

    def changed(self) -> None:
        """What runs where may have changed."""
