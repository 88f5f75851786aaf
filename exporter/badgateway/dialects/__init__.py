"""What log lines mean: one file for each program.

A dialect turns lines into events. It knows nothing of files, of Prometheus, or of other programs.
To add a program, add a file with one class ``Reader`` that has ``NAME``, ``SIGNATURE`` and
``read``, and its recordings under ``tests/corpus``; ``dialect`` finds it by its name.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from badgateway.dialects.requests import Newest
from badgateway.events import Event, Line, Tally


class Dialect(Protocol):
    """A reader of one program's lines; one instance for each stream, fed in order.

    Attributes:
        NAME: the format's name, with hyphens where its file's name has underscores.
        SIGNATURE: matches, at its beginning, a line that only this program writes.
    """

    NAME: ClassVar[str]
    SIGNATURE: ClassVar[re.Pattern[str]]

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what happened according to ``line``.

        Returns:
            The events; an empty tuple when the line is understood and tells of none; None when the
            line is not of this dialect. Never raises, whatever the line holds.
        """


@runtime_checkable
class Tallying(Protocol):
    """A dialect that can count ordinary lines by the thousand.

    Attributes:
        tells: whether a line says what happened at the upstreams; if not, an ordinary answer may
            belong to a failed attempt that the error log told of.
        IDENTIFIES: whether a line bears what tells it from every other, so that it is known again
            in another log; tallied it is not.
    """

    tells: bool
    IDENTIFIES: ClassVar[bool]

    def tally(self, data: bytes) -> Tally:
        """Return what whole lines of raw bytes tell; never raises."""


@runtime_checkable
class Remembering(Protocol):
    """A dialect that must know over a restart what was written long before."""

    def memory(self) -> dict[str, Any]:
        """Return what to remember, as plain data."""

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned; called before the first line."""


@runtime_checkable
class Holding(Protocol):
    """A dialect that holds an event back until later lines show what it was."""

    def rest(self) -> tuple[Event, ...]:
        """Return what was held back: nothing more is written, or not for a while."""


@runtime_checkable
class Requested(Protocol):
    """A dialect of a server that may write a line for each request."""

    requests: Newest


def names() -> tuple[str, ...]:
    """Return the names of all dialects."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        if hasattr(importlib.import_module(f"{__name__}.{module.name}"), "Reader"):
            found.append(module.name.replace("_", "-"))
    return tuple(sorted(found))


def dialect(name: str, log_format: str = "", escape: str = "default") -> Dialect:
    """Return a new reader of the dialect ``name``.

    Args:
        name: one of ``names``.
        log_format: the template of its lines, for a dialect that has templates.
        escape: how that template's values are escaped.

    Raises:
        ModuleNotFoundError: no such dialect.
    """
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    reader: Dialect = module.Reader(log_format, escape) if log_format else module.Reader()
    return reader
