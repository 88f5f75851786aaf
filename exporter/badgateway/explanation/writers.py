"""Who writes the lines of a file, and what is known of each."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from badgateway import vocabulary
from badgateway.dialects import Dialect
from badgateway.envelopes import Peeled
from badgateway.events import LINE_LIMIT, Line

KEPT: Final = 256


@dataclass(slots=True)
class Writer:
    """What is known of one writer's stream."""

    owner: str | None = None
    kinds: tuple[str, ...] = ()
    readers: dict[str, Dialect] = field(default_factory=dict)
    vouched: bool | None = None
    serves: bool = False
    proxies: bool = False
    ended: bool = False
    heads: list[str] = field(default_factory=list)
    places: dict[str, tuple[int, str]] = field(default_factory=dict)


class Writers:
    """The writers of one file; of many, those that wrote last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Writer] = OrderedDict()

    def of(self, name: str) -> Writer:
        """Return what is known of a writer, from now on."""
        writer = self._known.get(name)
        if writer is None:
            writer = self._known[name] = Writer()
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return writer

    def get(self, name: str) -> Writer | None:
        """Return what is known of a writer, if anything is."""
        return self._known.get(name)

    def all(self) -> list[Writer]:
        """Return everybody who is known."""
        return list(self._known.values())

    def servers(self) -> dict[str, Writer]:
        """Return the application servers among them, by name."""
        return {n: w for n, w in self._known.items() if w.owner in vocabulary.SERVERS}


def as_line(peeled: Peeled, at: float) -> Line:
    """Return a line as a dialect reads it, written at ``at`` (seconds since the epoch)."""
    return Line(
        at, peeled.text[:LINE_LIMIT], "", peeled.writer or None, peeled.pid, peeled.invocation
    )
