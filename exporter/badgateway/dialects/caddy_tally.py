"""Counting Caddy's ordinary access lines by the thousand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from operator import attrgetter
from typing import Final

import msgspec

from badgateway.dialects.caddy_entries import site_of
from badgateway.dialects.linetally import Counts, blocks, halves, without
from badgateway.events import Tally

_PROBE_MARKER: Final = b"badgateway/"
_SMALL: Final = 1024


class _Request(msgspec.Struct, gc=False):
    host: str = ""


class _Answer(msgspec.Struct, gc=False):
    """What is needed of an access line; one with more in it does not decode."""

    logger: str
    status: int
    request: _Request
    duration: float | None = None
    upstream: str | None = None
    upstream_retries: int | None = None


_Key = tuple[str, str | None, int, int | None, str]
_key: Final[Callable[[_Answer], _Key]] = attrgetter(
    "request.host", "upstream", "status", "upstream_retries", "logger"
)
_DECODER: Final = msgspec.json.Decoder(_Answer)


def tally(data: bytes) -> Tally:
    """Count ordinary access lines of raw bytes; the others are handed back."""
    counts = Counts()
    for block in blocks(data, counts):
        _count(without(block, _PROBE_MARKER, counts), counts)
    return counts.tally()


def _count(block: bytes, counts: Counts) -> None:
    pieces = [block]
    while pieces:
        piece = pieces.pop()
        try:
            answers = _DECODER.decode_lines(piece)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            answers = []
        if len(answers) == piece.count(b"\n"):
            _add(piece, answers, counts)
            continue
        parts = halves(piece) if len(piece) > _SMALL else (piece,)
        if len(parts) == 1:
            counts.set_aside(piece.split(b"\n"))
        else:
            pieces += reversed(parts)


def _add(piece: bytes, answers: list[_Answer], counts: Counts) -> None:
    """Count entries, each of which is the line of ``piece`` at the same place."""
    found: defaultdict[_Key, list[float | None]] = defaultdict(list)
    for answer in answers:
        found[_key(answer)].append(answer.duration)
    odd = set()
    for key, seconds in found.items():
        host, upstream, status, retries, logger = key
        if not 100 <= status < 499 or retries or not logger.startswith("http.log.access"):
            odd.add(key)
            continue
        place = site_of(host), upstream or None
        counts.add((*place, status), len(seconds))
        counts.took(place, [taken for taken in seconds if taken is not None and 0 <= taken < 1e20])
    if odd:
        lines = zip(answers, piece.split(b"\n"), strict=False)
        counts.set_aside([line for a, line in lines if _key(a) in odd])
