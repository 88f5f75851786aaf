"""The same line in several logs: what a proxy writes down twice is told once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

_KEPT: Final = 5000
"""Lines remembered that another log of the same proxy may tell again."""


class Repeats:
    """Lines that one log of a proxy has told, and that another may tell again."""

    def __init__(self, saved: Iterable[Sequence[str]] = ()) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._told: OrderedDict[tuple[str, str], str] = OrderedDict(
            ((proxy, identity), source) for proxy, identity, source in saved
        )

    def memory(self) -> list[list[str]]:
        """What must be saved with the counters."""
        return [[*key, source] for key, source in self._told.items()]

    def told(self, proxy: str, identity: str, source: str) -> bool:
        """Whether another log of the proxy has told the same; if not, it may do so later."""
        if not identity:
            return False
        key = (proxy, identity)
        teller = self._told.get(key)
        if teller is not None and teller != source:
            del self._told[key]
            return True
        self._told[key] = source
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)
        return False
