"""Counting Caddy's ordinary access lines by the thousand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Final

import msgspec

from badgateway.dialects.caddy_entries import site_of
from badgateway.dialects.linetally import PROBE_MARKER, Counts, blocks, each_line, without
from badgateway.events import Tally


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
        ordinary = without(block, PROBE_MARKER, counts)
        each_line(ordinary, _decoded, partial(_add, counts), counts)
    return counts.tally()


def _decoded(piece: bytes) -> list[_Answer]:
    try:
        return _DECODER.decode_lines(piece)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []


def _add(counts: Counts, piece: bytes, answers: list[_Answer]) -> None:
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
