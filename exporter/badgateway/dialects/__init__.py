"""What log lines mean: one file for each program.

A dialect turns lines into events. It knows nothing of files, of Prometheus, or of other programs.
To add a program, add a file with one class that has ``NAME`` and ``read``, and its recordings
under ``tests/corpus``; ``dialect`` finds it by its name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from badgateway.events import Event, Line


class Dialect(Protocol):
    """A reader of one program's lines; one instance for each stream, fed in order."""

    NAME: ClassVar[str]

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what happened according to ``line``.

        Returns:
            The events; an empty tuple when the line is understood and tells of none; None when the
            line is not of this dialect. Never raises, whatever the line holds.
        """


@runtime_checkable
class Remembering(Protocol):
    """A dialect that must know over a restart what was written long before."""

    def memory(self) -> dict[str, Any]:
        """Return what to remember, as plain data."""

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned; called before the first line."""


def dialect(name: str) -> Dialect:
    """Return a new reader of the dialect ``name``, the name of its file.

    Raises:
        ModuleNotFoundError: no such dialect.
    """
    module = importlib.import_module(f"{__name__}.{name}")
    reader: Dialect = module.Reader()
    return reader
