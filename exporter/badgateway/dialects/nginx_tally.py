"""Counting ordinary nginx access lines by the thousand.

One expression is run over a block of whole lines at once. It counts only when it matched as often
as there are line ends: then every match is one whole line, and none was swallowed or forged.
Otherwise the block is halved, down to small pieces that are handed back.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, Final

from badgateway.dialects import logformat, nginx_fields, nginx_formats, nginx_upstream
from badgateway.dialects.linetally import PROBE_MARKER, Answer, Counts, blocks, each_line, without
from badgateway.events import Tally
from badgateway.vocabulary import CLIENT_CLOSED_REQUEST

_TIMES_KEPT: Final = 10000
_ODD: Final = "odd"
_CAME: Final = "upstream_response_length"
_PROMISED: Final = "upstream_http_content_length"
_TIME: Final = "upstream_response_time"
_WANTED: Final = (
    "status", "server_name", "host", "upstream_addr", "upstream_status", _TIME, _CAME,
    _PROMISED,
)  # fmt: skip
_ORDINARY: Final = re.compile(r"[1-4][0-9]{2}")
_SECONDS: Final = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,3})?")
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")
_JSON_PAIR: Final = re.compile(r'"([^"\\]*+)"( ?: ?)(?:"[^"\\]*+"|([0-9.-]++))')

_FRONT: Final = r'[^ ]++ - [^[]*+\[[^]]*+\] "[^"]*+" ([^ ]++) [^ ]++ "[^"]*+" "[^"]*+"'
_INGRESS: Final = (
    r" [0-9]++ [0-9.]++ \[[^]]*+\] \[[^]]*+\] ([^ ,]++) [0-9-]++ ([0-9.-]++) ([0-9-]++) [0-9a-f]++"
)


@dataclass(frozen=True, slots=True)
class _Grammar:
    """An expression of whole lines with their ends.

    Attributes:
        names: what its groups hold, in order.
        kept: those that say what kind of answer it was.
        avoid: bytes that do not occur in a line that is counted.
    """

    pattern: re.Pattern[bytes]
    names: tuple[str, ...]
    kept: tuple[str, ...]
    avoid: tuple[bytes, ...]


class FastLines:
    """Counts the lines of one stream."""

    def __init__(self, log_format: logformat.LogFormat | None) -> None:
        """Begin; without a format each block's first line says which it is."""
        self._given = _of_template(log_format) if log_format is not None else None
        self._auto = log_format is None

    def tally(self, data: bytes) -> Tally:
        """Count ordinary lines of raw bytes; the others are handed back."""
        counts = Counts()
        for block in blocks(data, counts):
            grammar = self._grammar(block)
            if grammar is None:
                counts.set_aside(block.split(b"\n"))
                continue
            for marker in grammar.avoid:
                block = without(block, marker, counts)
            each_line(block, grammar.pattern.findall, partial(_add, grammar, counts), counts)
        return counts.tally()

    def _grammar(self, block: bytes) -> _Grammar | None:
        if not self._auto:
            return self._given
        first = block[: block.index(b"\n") + 1]
        if self._given is None or not self._given.pattern.fullmatch(first):
            known = (grammar for grammar in _KNOWN if grammar.pattern.fullmatch(first))
            self._given = next(known, None) or _of_json(first)
        return self._given


def _add(grammar: _Grammar, counts: Counts, piece: bytes, found: list[Any]) -> None:
    """Count matches, each of which is the line of ``piece`` at the same place."""
    keys, times, aside = _sorted_out(found, grammar)
    taken: defaultdict[Any, list[float | None]] = defaultdict(list)
    if aside:
        for index, (key, seconds) in enumerate(zip(keys, times, strict=True)):
            if index not in aside:
                taken[key].append(seconds)
    elif times:
        for key, seconds in zip(keys, times, strict=True):
            taken[key].append(seconds)
    numbers = Counter(keys) if not times else {key: len(each) for key, each in taken.items()}
    odd: set[Any] = set()
    for key, number in numbers.items():
        answer = _known_answer(grammar.kept, key)
        if answer is None:
            odd.add(key)
            continue
        counts.add(answer, number)
        if key in taken:
            counts.took(answer[:2], [seconds for seconds in taken[key] if seconds is not None])
    if odd or aside:
        lines = zip(keys, piece.split(b"\n"), strict=False)
        counts.set_aside(
            [line for index, (key, line) in enumerate(lines) if key in odd or index in aside]
        )


def _sorted_out(
    found: list[Any], grammar: _Grammar
) -> tuple[list[Any], list[float | None], set[int]]:
    """Return what each match tells: its key, its seconds if any has them; and which need a look."""
    if grammar.kept == grammar.names:
        return found, [], set()
    keep = itemgetter(*(grammar.names.index(name) for name in grammar.kept))
    keys, aside = list(map(keep, found)), set()
    if _PROMISED in grammar.names:
        came, promised = grammar.names.index(_CAME), grammar.names.index(_PROMISED)
        aside = {
            index
            for index, row in enumerate(found)
            if row[came] != row[promised] and row[promised] not in (b"", b"-")
        }
    times: list[float | None] = [None] * len(found)
    if _TIME in grammar.names:
        place = grammar.names.index(_TIME)
        read = [_TIMES[row[place]] for row in found]
        aside.update(index for index, seconds in enumerate(read) if seconds is _ODD)
        times = [seconds if isinstance(seconds, float) else None for seconds in read]
    return keys, times, aside


class _Times(dict[bytes, "float | str | None"]):
    """A logged number of seconds → the number; None for none, ``_ODD`` for anything else."""

    def __missing__(self, text: bytes) -> float | str | None:
        if len(self) > _TIMES_KEPT:
            self.clear()
        value: float | str | None = None
        if text not in (b"", b"-"):
            value = float(text) if _SECONDS.fullmatch(text) else _ODD
        self[text] = value
        return value


_TIMES: Final = _Times()


@lru_cache(maxsize=4096)
def _known_answer(names: tuple[str, ...], key: bytes | tuple[bytes, ...]) -> Answer | None:
    return _answer(names, key if isinstance(key, tuple) else (key,))


def _answer(names: Sequence[str], row: Sequence[bytes]) -> Answer | None:
    """What an ordinary line tells; None when it needs a look."""
    fields: dict[str, str] = {}
    for name, value in zip(names, row, strict=True):
        text = value.decode("ascii", "replace")
        if not _PLAIN.fullmatch(text):
            return None
        fields[name] = text
    status = fields["status"]
    if not _ORDINARY.fullmatch(status) or int(status) == CLIENT_CLOSED_REQUEST:
        return None
    if fields.get("upstream_status", "") not in ("", "-", status):
        return None
    said = nginx_upstream.told(int(status), fields)
    return nginx_fields.site_of(fields), said.upstream, int(status)


def _line(pattern: str, names: Sequence[str], *avoid: bytes) -> _Grammar:
    whole = re.compile(f"^(?:{pattern})\n".encode(), re.M | re.S)
    kept = tuple(name for name in names if name not in (_CAME, _PROMISED, _TIME))
    return _Grammar(whole, tuple(names), kept, (PROBE_MARKER, *avoid))


_KNOWN: Final = (
    _line(_FRONT, ("status",)),
    _line(_FRONT + r'(?: "[^"]*+"| [0-9.-]++)++', ("status",)),
    _line(
        _FRONT + _INGRESS,
        ("status", "upstream_addr", "upstream_response_time", "upstream_status"),
    ),
)


def _of_template(found: logformat.LogFormat) -> _Grammar | None:
    """The expression of a given format; None when its lines must be read one by one."""
    names = found.order(_wanted(found.variables))
    return _line(found.pattern(names), names) if "status" in names else None


def _of_json(line: bytes) -> _Grammar | None:
    """The expression of lines with the same keys as this one; None when it is not so simple."""
    text = line.decode("utf-8", "replace").rstrip("\n")
    pairs: list[re.Match[str]] = []
    position = 1
    while text.startswith("{") and (pair := _JSON_PAIR.match(text, position)):
        pairs.append(pair)
        position = pair.end() + 1
    keys = [pair[1] for pair in pairs]
    simple = all(map(nginx_formats.JSON_NAMES.match, keys)) and len(set(keys)) == len(keys)
    if not simple or position != len(text) or not text.endswith("}"):
        return None
    called = nginx_formats.json_names(keys)
    names = tuple(dict.fromkeys(called.values()))
    wanted = set(_wanted(names))
    if "status" not in wanted or not nginx_formats.is_nginx(dict.fromkeys(names, "")):
        return None
    told, taken = [], []
    for pair in pairs:
        name = called[pair[1]]
        value = '[^"]*+' if pair[3] is None else "[0-9.-]++"
        if name in wanted and name not in taken:
            taken.append(name)
            value = f"({value})"
        quote = "" if pair[3] is not None else '"'
        told.append(f'"{re.escape(pair[1])}"{pair[2]}{quote}{value}{quote}')
    # an escaped quote begins with a backslash: such lines are read by themselves
    return _line(r"\{" + ",".join(told) + r"\}", taken, b"\\")


def _wanted(names: Sequence[str]) -> list[str]:
    """What must be captured of a format: lengths only where both are told."""
    both = _CAME in names and _PROMISED in names
    return [name for name in _WANTED if name in names and (both or name not in (_CAME, _PROMISED))]
