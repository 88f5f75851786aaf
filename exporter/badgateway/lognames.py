"""Names of log files: each keeps its name and its place for as long as it is remembered."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, MutableMapping
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

_LEFT_KEPT: Final = 100
"""Files no longer read whose positions are kept, lest they come back."""


class LogNames:
    """Which source reads, or read, which file."""

    def __init__(
        self,
        known: Mapping[str, str],
        positions: MutableMapping[str, dict[str, Any]],
        changed: Callable[[], None],
        patterns: Iterable[str] = (),
    ) -> None:
        """Begin.

        Args:
            known: what ``memory`` returned in an earlier life.
            positions: source → up to where it was counted.
            changed: called when there is something to save.
            patterns: those that were looked for in an earlier life.
        """
        self.patterns = set(patterns)
        self._names, self._positions, self._changed = dict(known), positions, changed

    def memory(self) -> dict[str, str]:
        """Source → path."""
        return self._names

    def named(self, owner: str, path: Path, taken: Container[str]) -> str:
        """Return the source that reads a file: the one that did, else the first free name."""
        prefix = f"{owner}-log"
        for source, read in self._names.items():
            if read == str(path) and source not in taken and _bears(source, prefix):
                return source
        names = chain((prefix,), (f"{prefix}-{number}" for number in count(2)))
        return next(n for n in names if n not in taken and n not in self._names)

    def remember(self, files: Mapping[str, Path]) -> None:
        """Keep which file each source reads, and read: its position is of no other file."""
        left = [name for name in self._names if name not in files]
        for name in left[: max(0, len(left) - _LEFT_KEPT)]:
            del self._names[name]
            self._positions.pop(name, None)
        known = {name: str(path) for name, path in files.items()}
        if not known.items() <= self._names.items():
            self._names |= known
            self._changed()

    def expand(self, patterns: Iterable[str]) -> None:
        """Keep that these patterns have been looked for: a file found later is a new one."""
        if not self.patterns.issuperset(patterns):
            self.patterns |= set(patterns)
            self._changed()

    def leave(self, paths: Iterable[str]) -> None:
        """Forget up to where these files were counted: what they hold is counted elsewhere."""
        left = set(paths)
        for name in [name for name, path in self._names.items() if path in left]:
            if self._positions.pop(name, None) is not None:
                self._changed()

    def take_up(self, source: str, path: Path, read: Container[str]) -> None:
        """Let a source go on where another has left the same file.

        Args:
            source: the source that is about to begin.
            path: its file.
            read: the sources that are read now: they share nothing.
        """
        left = [
            name
            for name, known in self._names.items()
            if known == str(path) and name not in read and name in self._positions
        ]
        if not left or left == [source]:
            return
        last = max(left, key=lambda name: float(self._positions[name].get("at", 0)))
        position = self._positions[last]
        for name in left:  # one file has one position: it must not be gone on from twice
            del self._positions[name]
        self._positions[source] = position
        self._changed()


def _bears(source: str, prefix: str) -> bool:
    """Tell whether a source is one of those named by a prefix."""
    rest = source.removeprefix(prefix)
    return source.startswith(prefix) and (not rest or rest.removeprefix("-").isdigit())
