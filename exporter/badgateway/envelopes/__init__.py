"""What platforms wrap around a program's lines, and how it is taken off.

Pure functions: a line goes in, what is left of it comes out, with the time, the writer and the pid
that the wrapping told. They never raise, do a bounded amount of work for any input, and take
nothing from inside a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from badgateway.envelopes import prefixes, structured
from badgateway.envelopes.cleaning import cleaned
from badgateway.envelopes.peeled import Peeled

__all__ = ["Layers", "Peeled", "cleaned", "container_line", "layers"]

_DEPTH: Final = 6
"""Envelopes over one another; more than that nobody stacks."""
_LAYERS: Final = 24
"""Ways to read one line that are tried."""
_SHAPES: Final = (
    structured.container_json, structured.journal_json, *prefixes.PREFIXES, structured.collected,
)  # fmt: skip


class Layers:
    """The layers of a line, peeled as far as somebody looks and kept for the next who does."""

    def __init__(self, text: str | Peeled) -> None:
        self._found: list[Peeled] = []
        self._more = layers(text)

    def __iter__(self) -> Iterator[Peeled]:
        yield from self._found
        for peeled in self._more:
            self._found.append(peeled)
            yield peeled


def layers(text: str | Peeled) -> Iterator[Peeled]:
    """Yield ``text``, cleaned, and then what is left of it with ever more envelopes taken off.

    It may be a line of which some envelopes were taken off before.

    Where two envelopes could be meant, the likelier comes first. The first layer that a dialect
    reads is the right one.
    """
    begun = text if isinstance(text, Peeled) else Peeled(cleaned(text))
    yield begun
    left = _LAYERS
    seen = {begun.text}
    waiting = [begun]
    while waiting:
        outer = waiting.pop()
        if len(outer.kinds) >= _DEPTH:
            continue
        found = []
        for shape in _SHAPES:
            inner = shape(outer.text)
            if inner is None or inner.text in seen:
                continue
            left -= 1
            if left < 0:
                return
            seen.add(inner.text)
            within = _within(outer, inner)
            yield within
            found.append(within)
        waiting += reversed(found)


def container_line(text: str) -> Peeled | None:
    """Peel what a container platform wraps around the lines of a log file.

    Returns:
        What the container wrote, for a line of docker's json-file, of kubelet (CRI), or of a saved
        ``docker compose logs``; None for any other line.
    """
    for shape in (structured.container_json, prefixes.cri, prefixes.compose):
        peeled = shape(text)
        if peeled is not None:
            return replace(peeled, text=cleaned(peeled.text))
    return None


def _within(outer: Peeled, inner: Peeled) -> Peeled:
    """Return what both envelopes tell; the inner one knows better who wrote, and when."""
    named = bool(inner.writer)
    return Peeled(
        cleaned(inner.text) if inner.text else "",
        inner.at if inner.at is not None else outer.at,
        inner.writer or outer.writer,
        inner.pid if named or inner.pid is not None else outer.pid,
        inner.manager if inner.manager is not None else outer.manager,
        inner.invocation or outer.invocation,
        inner.partial or outer.partial,
        outer.kinds + inner.kinds,
    )
