"""Whose line it is: each line of a file goes to the dialect that owns it.

A line is owned by the dialect whose signature fits it, as it stands or with envelopes taken off. A
line without a signature belongs to whoever wrote the one before in the same writer's stream, if
that dialect understands it; otherwise it is unknown, never forced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from badgateway import dialects, vocabulary
from badgateway.dialects import Holding, systemd
from badgateway.envelopes import Layers, Peeled, times
from badgateway.envelopes.prefixes import INDENT
from badgateway.events import LINE_LIMIT, Event, Line, Response, ServerEnd, UpstreamFailure
from badgateway.explanation import managed, repair, shells
from badgateway.explanation.told import Told
from badgateway.explanation.units import DIALECT, Units, is_other
from badgateway.explanation.writers import Writer, Writers, as_line

_UNITS_KEPT: Final = 256
_NOWHEN: Final = (978_220_800, 978_393_600)
"""About the first of January 2001, which stands for a time that nobody wrote."""
_HEADS_KEPT: Final = 4
_REPAIRS: Final = 2000
"""Lines of a file whose beginning is tried to be put right: a damaged file has no more."""
_SHORTEST: Final = 40
_LONGEST: Final = 8192
_TIMED: Final = (("time",), ("date",), ("clock",))
_NAMED_PID: Final = re.compile(r".{0,60}?[\[ (:](\d{1,10})[\])]")

Signed = tuple[Peeled, str]
"""A line as its dialect reads it, and the dialect's name."""


class Recogniser:
    """Reads the lines of one file."""

    def __init__(self, file: str, only: str | None = None) -> None:
        """Begin.

        Args:
            file: its name, for what is told.
            only: the dialect every line is of; None to find out.
        """
        self._file = file
        self._names = (only,) if only else dialects.names()
        self._fixed = only is not None
        self._fresh = {name: dialects.dialect(name) for name in self._names}
        self._writers = Writers()
        self._units = Units(file)
        self._own_units: set[str] = set()
        self._unexecuted: list[Told] = []
        self._last = 0.0
        self._repairs = _REPAIRS
        self.unknown = 0
        self.read: dict[str, int] = dict.fromkeys(self._names, 0)

    @property
    def latest(self) -> float:
        """Time of the last line that bore one, in seconds since the epoch."""
        return self._last

    def signed(self, line: Layers) -> Signed | None:
        """Return the layer of a line that bears a dialect's signature, and the dialect."""
        for peeled in line:
            for name in self._ordered(peeled.writer):
                if self._bears(name, peeled):
                    return peeled, name
        return None

    def _bears(self, name: str, peeled: Peeled) -> bool:
        """Whether a line is a dialect's by its signature, or by order."""
        if self._fixed:
            return dialects.dialect(name).read(as_line(peeled, 0.0)) is not None
        return self._fresh[name].SIGNATURE.match(peeled.text) is not None

    def trial(self, name: str, text: str) -> tuple[Event, ...] | None:
        """Return what a dialect reads in a text, alone; nothing remembers it."""
        if not self._fresh[name].SIGNATURE.match(text):
            return None
        return dialects.dialect(name).read(Line(self._last, text[:LINE_LIMIT], self._file))

    def own(self, number: int, signed: Signed) -> list[Told]:
        """Take a line with a signature."""
        peeled, name = signed
        writer = self._writers.of(peeled.writer)
        events = self._whole(writer, name, peeled)
        if events is None:
            return self.unsigned(number, (peeled,))
        head = peeled.text[:24]
        if head not in writer.heads:
            writer.heads = [*writer.heads[1 - _HEADS_KEPT :], head]
        return self._taken(number, writer, name, peeled, events)

    def rest(self) -> list[Told]:
        """Return what dialects held back: the file ends here, or pauses."""
        told: list[Told] = []
        for writer in self._writers.all():
            for name, reader in writer.readers.items():
                if isinstance(reader, Holding):
                    place = writer.places.get(name, (0, ""))
                    events = reader.rest()
                    told += [Told(event, name, self._file, *place) for event in events]
        held, self._unexecuted = self._unexecuted, []
        return told + held + self._units.rest()

    def unsigned(self, number: int, line: Iterable[Peeled]) -> list[Told]:
        """Take a line without a signature: a continuation, systemd's, or unknown."""
        found = list(line)
        for peeled in found:
            unit = managed.manager(peeled)
            if unit is not None:
                return self._managed(number, peeled, *unit)
        understood: list[Told] | None = None
        for peeled in found:
            writer = self._writers.get(peeled.writer)
            if writer is None or writer.owner is None or peeled.kinds != writer.kinds:
                continue
            events = self._read(writer, writer.owner, peeled)
            if events is not None:
                if writer.owner not in vocabulary.SERVERS:
                    events = ()  # the rest of a message; whatever it says was said by others
                understood = self._taken(number, writer, writer.owner, peeled, events)
                break
        told = understood or self._orphan(number, found) or self._not_executed(number, found)
        if told is None and understood is None:
            told = self._damaged(number, found)
        if told is None and understood is None:
            self.unknown += bool(found[0].text.strip())
        return told or []

    def _whole(self, writer: Writer, name: str, peeled: Peeled) -> tuple[Event, ...] | None:
        """Read a line; one that is known to be cut leaves nothing open behind it."""
        cut = repair.uncut(peeled.text)
        events = None
        if cut is not None and name not in vocabulary.SERVERS:
            events = self.trial(name, cut)
        if events is None:
            events = self._read(writer, name, peeled)
        if not events:
            for text in repair.restored(peeled.text if cut is None else cut):
                events = self.trial(name, text) or events
        return events

    # -- lines that nobody signed

    def _orphan(self, number: int, found: list[Peeled]) -> list[Told] | None:
        """Offer a line to the servers: what they print as they die has no mark of theirs."""
        own = [peeled for peeled in found if INDENT not in peeled.kinds]
        peeled = max(own, key=lambda p: (bool(p.writer), len(p.kinds)))
        writer = self._writers.of(peeled.writer)
        for name in self._names:
            if name not in vocabulary.SERVERS or name == writer.owner:
                continue
            events = self._read(writer, name, peeled)
            if events:
                return self._taken(number, writer, name, peeled, events)
        return None

    def _not_executed(self, number: int, found: list[Peeled]) -> list[Told] | None:
        """A server that was to be started and is not there; its manager may tell of it, too."""
        if not shells.COMPLAINT.search(found[0].text):
            return None
        for peeled in found:
            server = shells.missing(peeled.text)
            writer = self._writers.get(peeled.writer)
            if server is None or (writer is not None and writer.serves):
                continue
            event = ServerEnd(self._time(peeled), server, "exec_failed", None, peeled.text[:300])
            told = Told(event, server, self._file, number, peeled.text)
            if peeled.pid is None:
                return [told]
            self._unexecuted = [*self._unexecuted[-_HEADS_KEPT:], told]
            return []
        return None

    def _damaged(self, number: int, found: list[Peeled]) -> list[Told] | None:
        """Try whether a line lost its first characters; its time is then unknown."""
        for peeled in found:
            writer = self._writers.get(peeled.writer)
            if not _SHORTEST <= len(peeled.text) <= _LONGEST or self._repairs <= 0:
                return None
            self._repairs -= 1
            guesses = repair.restored(peeled.text)
            apart = not (peeled.writer and writer and writer.serves)
            if apart and (message := repair.bare(peeled.text)) is not None:
                guesses = chain(guesses, (message,))
            timed = peeled.kinds[-1:] in _TIMED or times.inside(peeled.text) is not None
            if not timed:  # a line with its time has its beginning
                heads = writer.heads if writer else ()
                guesses = chain(guesses, repair.beheaded(peeled.text, heads))
            for text in guesses:
                for name in self._names:
                    events = self.trial(name, text)
                    if repair.names_a_reason(events):
                        at = self._time(peeled)
                        moved = tuple(replace(event, at=at) for event in events or ())
                        return self._told(number, name, peeled.text, moved)
        return None

    def _managed(
        self, number: int, peeled: Peeled, unit: str, fields: Mapping[str, str]
    ) -> list[Told]:
        """Hand systemd's line on a unit to the server that runs as it."""
        message = fields.get("MESSAGE_ID")
        line = replace(as_line(peeled, self._time(peeled)), unit=unit, manager=fields)
        writer = self._unit(unit, message)
        if writer is None or writer.owner is None:
            if not self._fixed:
                self.read[DIALECT] = self.read.get(DIALECT, 0) + 1
            told = self._units.read(number, line, peeled.text)
            if message == systemd.PROCESS_EXITED:
                self._unexecuted = []  # its manager tells of the same end
            return told
        if message == systemd.STARTED:
            writer.ended = False
        elif message in (systemd.DEACTIVATED, systemd.PROCESS_EXITED) or (
            message == systemd.FAILED and fields.get("UNIT_RESULT") == "oom-kill"
        ):
            if writer.ended:
                return []  # its end was told before
            writer.ended = True
        events = writer.readers[writer.owner].read(line)
        return self._told(number, writer.owner, peeled.text, events or ())

    def _unit(self, unit: str, message: str | None) -> Writer | None:
        """Return who writes as a unit; where no name tells, the only server there is."""
        servers = self._writers.servers()
        stem = unit.removesuffix(".service")
        for name in (unit, stem):
            if name in servers:
                return servers[name]
        if len(servers) != 1 or is_other(unit):
            return None
        if unit not in self._own_units:
            if message == systemd.DEACTIVATED or len(self._own_units) >= _UNITS_KEPT:
                return None  # a job that is done may be another unit
            self._own_units.add(unit)
        return next(iter(servers.values()))

    # -- reading

    def _read(self, writer: Writer, name: str, peeled: Peeled) -> tuple[Event, ...] | None:
        reader = writer.readers.get(name)
        if reader is None:
            reader = writer.readers[name] = dialects.dialect(name)
        line = as_line(peeled, self._time(peeled))
        if line.pid is not None and not self._vouched(writer, line.pid, peeled.text):
            line = replace(line, pid=None)
        return reader.read(line)

    def _vouched(self, writer: Writer, pid: int, text: str) -> bool:
        """Whether the envelope's pid is the program's, and not that of whoever relays its lines.

        The first line in which the program names a process tells.
        """
        if writer.vouched is None and (named := _NAMED_PID.match(text)):
            writer.vouched = int(named[1]) == pid
        return writer.vouched is not False

    def _time(self, peeled: Peeled) -> float:
        at = peeled.at if peeled.at is not None else times.inside(peeled.text)
        if at is not None and not _NOWHEN[0] <= at <= _NOWHEN[1]:
            self._last = at
        return self._last

    def _told(self, number: int, name: str, text: str, events: tuple[Event, ...]) -> list[Told]:
        self.read[name] += 1
        return [Told(event, name, self._file, number, text) for event in events]

    def _taken(
        self, number: int, writer: Writer, name: str, peeled: Peeled, events: tuple[Event, ...]
    ) -> list[Told]:
        """Remember whose line it was, and return what it tells."""
        writer.owner, writer.kinds = name, peeled.kinds
        writer.places[name] = number, peeled.text
        writer.serves = writer.serves or name in vocabulary.SERVERS
        writer.proxies = writer.proxies or any(isinstance(e, UpstreamFailure) for e in events)
        writer.ended = any(isinstance(e, ServerEnd) for e in events)
        own_access = peeled.writer and writer.serves and not writer.proxies
        if own_access and all(isinstance(e, Response) and not e.tells for e in events):
            events = ()  # what an application server answers, its proxy tells
        return self._told(number, name, peeled.text, events)

    def _ordered(self, writer: str) -> Iterator[str]:
        known = self._writers.get(writer)
        owner = known.owner if known else None
        if owner is not None:
            yield owner
        for name in self._names:
            if name != owner:
                yield name
