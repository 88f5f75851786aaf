"""Lines as they were written, out of lines as they arrive.

Wrapped lines, pretty-printed JSON, messages of several lines in one envelope, and lines that a
container platform cut into parts. A line that may go on is held back until the next one tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from badgateway import vocabulary
from badgateway.envelopes import Layers, Peeled, layers
from badgateway.explanation import repair
from badgateway.explanation.recognition import Recogniser, Signed
from badgateway.explanation.told import Told

_WRAPPED_PARTS: Final = 24
_JSON_PARTS: Final = 400
_PARTIAL_WRITERS: Final = 64
_MANY_LINES: Final = 10_000
_SHORT: Final = 100
_OPENING: Final = re.compile(r'\{\s*(?:$|"|//|#)')


@dataclass(slots=True)
class _Part:
    number: int
    line: Layers


class Assembly:
    """The lines of one file, put together and handed to its recogniser."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser
        self._held: Signed | None = None
        self._broken: tuple[int, Signed] | None = None
        self._parts: list[_Part] = []
        self._json: list[_Part] = []
        self._size = 0
        self._kinds: tuple[str, ...] = ()
        self._partial: dict[tuple[str, tuple[str, ...]], Peeled] = {}

    def feed(self, number: int, text: str) -> list[Told]:
        """Take the next line of the file, and return what is told so far."""
        told: list[Told] = []
        for part in self._unpacked(text):
            told += self._take(number, Layers(part))
        return told

    def flush(self) -> list[Told]:
        """Return what was held back: the file ends here, or pauses."""
        return self._end_json() + self._release() + self._unbroken() + self._recogniser.rest()

    def _take(self, number: int, line: Layers) -> list[Told]:
        signed = self._recogniser.signed(line)
        if signed is None:
            signed = self._signed_otherwise(line)
        part = _Part(number, line)
        if self._broken is not None:
            if signed is None:
                return self._mended(part)
            return self._unbroken() + self._take(number, line)
        if self._json:
            if signed is None or _is_member(signed[0].text):
                return self._more_json(part)
            return self._end_json() + self._take(number, line)
        opening = signed[0] if signed is not None else _opening(line)
        if opening is not None and _opens(opening):
            told = self._release()
            self._json, self._kinds, self._size = [part], opening.kinds, len(opening.text)
            return told
        if signed is not None:
            told = self._release()
            if signed[1] in vocabulary.SERVERS:
                if repair.breaks_off(signed[0].text):
                    self._broken = (number, signed)
                    return told
                return told + self._recogniser.own(number, signed)
            self._held, self._parts = signed, [part]
            return told
        if self._held is None:
            return self._recogniser.unsigned(number, line)
        if len(self._parts) >= _WRAPPED_PARTS:
            return self._release() + self._recogniser.unsigned(number, line)
        self._parts.append(part)
        return []

    def _signed_otherwise(self, line: Layers) -> Signed | None:
        """Whether a line lost a space at its end, where it was wrapped, or its brackets."""
        first = next(iter(line))
        if len(first.text) <= _SHORT and first.text.endswith((":", "]")):
            return self._recogniser.signed(Layers(replace(first, text=first.text + " ")))
        for peeled in line:
            whole = repair.bracketed(peeled.text)
            if whole is not None:
                return self._recogniser.signed(Layers(replace(peeled, text=whole)))
        return None

    # -- wrapped lines

    def _unbroken(self) -> list[Told]:
        """Take a server's line that breaks off, as it stands."""
        broken, self._broken = self._broken, None
        return self._recogniser.own(*broken) if broken is not None else []

    def _mended(self, part: _Part) -> list[Told]:
        """Take a server's line that breaks off, with the next one if that is its rest."""
        broken, self._broken = self._broken, None
        assert broken is not None
        number, (peeled, name) = broken
        kinds = next((p for p in part.line if p.kinds == peeled.kinds), next(iter(part.line)))
        rest = kinds.text.strip()
        for text in (f"{peeled.text.rstrip()} {rest}", f"{peeled.text}{rest}"):
            if repair.goes_on_as(text):
                return self._recogniser.own(number, (replace(peeled, text=text), name))
        return self._recogniser.own(*broken) + self._take(part.number, part.line)

    def _release(self) -> list[Told]:
        """Take the line that was held back, with what follows it if that is its rest."""
        held, parts = self._held, self._parts
        self._held, self._parts = None, []
        if held is None:
            return []
        recogniser, number = self._recogniser, parts[0].number
        peeled, name = held
        told: list[Told] = []
        used = 1
        if len(parts) > 1:
            best = repair.value(recogniser.trial(name, peeled.text))
            for text, count in self._rejoined(peeled, parts):
                found = repair.value(recogniser.trial(name, text))
                more = count > used and repair.goes_on(peeled.text)
                if found > best or (found == best and more):
                    best, used, peeled = found, count, replace(peeled, text=text)
        told += recogniser.own(number, (peeled, name))
        for part in parts[used:]:
            told += recogniser.unsigned(part.number, part.line)
        return told

    @staticmethod
    def _rejoined(peeled: Peeled, parts: list[_Part]) -> Iterator[tuple[str, int]]:
        """Yield what the held line may have been, and of how many lines."""
        texts = [peeled.text]
        for count, part in enumerate(parts[1:], 2):
            # of several envelopes a platform repeats its own before each piece, the others are gone
            shared = [p for p in part.line if p.kinds == peeled.kinds[: len(p.kinds)]]
            rest = max(shared, key=lambda p: len(p.kinds))
            if rest.kinds == peeled.kinds and rest.writer != peeled.writer:
                return
            if not rest.text.strip():
                return
            texts.append(rest.text)
            if sum(map(len, texts)) > repair.JOINED_LIMIT:
                return
            for text in repair.joined(texts):
                yield text, count

    # -- JSON over several lines

    def _more_json(self, part: _Part) -> list[Told]:
        self._json.append(part)
        inner = self._inside(part.line)
        if inner.rstrip(" ,;").endswith("}"):
            whole = repair.whole_json([self._inside(p.line) for p in self._json])
            if whole is not None:
                first = next(p for p in self._json[0].line if p.kinds == self._kinds)
                number, self._json = self._json[0].number, []
                return self._take(number, Layers(replace(first, text=whole)))
        self._size += len(inner)
        if len(self._json) >= _JSON_PARTS or self._size > repair.JOINED_LIMIT:
            return self._end_json()
        return []

    def _end_json(self) -> list[Told]:
        """Take a JSON object that never ended, as far as it goes."""
        parts, self._json = self._json, []
        if not parts:
            return []
        first = next(p for p in parts[0].line if p.kinds == self._kinds)
        text = "".join(self._inside(part.line) for part in parts)[: repair.JOINED_LIMIT]
        closed = repair.closed_json(text)
        if closed is not None:
            signed = self._recogniser.signed(Layers(replace(first, text=closed)))
            if signed is not None:
                return self._recogniser.own(parts[0].number, signed)
        told: list[Told] = []
        for part in parts:
            signed = self._recogniser.signed(part.line)
            if signed is not None:
                told += self._recogniser.own(part.number, signed)
            else:
                told += self._recogniser.unsigned(part.number, part.line)
        return told

    def _inside(self, line: Layers) -> str:
        """Return a line of an object without the envelopes that the first line had."""
        return next((p for p in line if p.kinds == self._kinds), next(iter(line))).text

    # -- envelopes with several lines, and lines in several envelopes

    def _unpacked(self, text: str) -> Iterator[str | Peeled]:
        if not self._partial and '"log":' not in text and "\\n" not in text and " P" not in text:
            yield text
            return
        packed = next((p for p in layers(text) if p.partial or _key(p) in self._partial), None)
        if packed is not None:
            begun = self._partial.pop(_key(packed), None)
            if begun is not None:
                packed = replace(packed, text=(begun.text + packed.text)[: repair.JOINED_LIMIT])
            if packed.partial and len(self._partial) < _PARTIAL_WRITERS:
                self._partial[_key(packed)] = packed
            else:
                yield packed
            return
        several = next((p for p in layers(text) if "\n" in p.text), None)
        if several is None:
            yield text
            return
        for line in several.text.split("\n", _MANY_LINES):
            yield replace(several, text=line)


def _opening(line: Layers) -> Peeled | None:
    return next((peeled for peeled in line if _OPENING.match(peeled.text)), None)


def _opens(peeled: Peeled) -> bool:
    """Whether a JSON object begins here that does not end here."""
    text = peeled.text
    if not _OPENING.match(text) or (len(text) > _SHORT and text.endswith("}")):
        return False
    return repair.whole_json((text,)) is None


def _key(peeled: Peeled) -> tuple[str, tuple[str, ...]]:
    return peeled.writer, peeled.kinds


def _is_member(text: str) -> bool:
    """Whether a line can be one of a pretty-printed object's."""
    return text.lstrip()[:1] in ('"', "}", "]", "{", "[")
