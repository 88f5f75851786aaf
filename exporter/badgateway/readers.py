"""Readers: what the lines of each stream tell, by the dialect that reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from badgateway.dialects import (
    Dialect,
    Holding,
    Remembering,
    Requested,
    Tallying,
    dialect,
    systemd,
)
from badgateway.envelopes import container_line
from badgateway.events import (
    AnswerOrigin,
    Batch,
    ClientAbort,
    Event,
    Line,
    Response,
    Tally,
    UpstreamFailure,
    lines_of,
)
from badgateway.logplan import HOST, Key, Plan, Stream

_PIECE_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class Told:
    """What a batch of lines told.

    Attributes:
        events: what happened, each with its owner.
        tallies: what many lines told at once, each with its owner.
        results: how many lines were what (``vocabulary.LINE_RESULTS``).
    """

    events: list[tuple[str, Event]] = field(default_factory=list)
    tallies: list[tuple[str, Tally]] = field(default_factory=list)
    results: dict[str, int] = field(
        default_factory=lambda: {"event": 0, "ignored": 0, "unknown": 0}
    )


class Readers:
    """One reader for each stream of a plan."""

    def __init__(
        self,
        expects: Callable[[str], bool],
        repeats: Callable[[str], bool],
        learnt: Mapping[str, Any],
    ) -> None:
        """Begin.

        Args:
            expects: tells of a proxy whether an ordinary answer may belong to an attempt that
                failed.
            repeats: tells of a proxy whether it may write the same line to several logs.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._expects, self._repeats = expects, repeats
        self._learnt = dict(learnt)
        self._streams: dict[Key, Stream] = {}
        self._readers: dict[Key, Dialect] = {}
        self._read_at: dict[Key, float] = {}

    def memory(self) -> dict[str, Any]:
        """What the dialects must know over a restart."""
        known = {
            _name(key): reader.memory()
            for key, reader in self._readers.items()
            if isinstance(reader, Remembering)
        }
        return {**self._learnt, **known}

    def follow(self, plan: Plan) -> None:
        """Read by this plan; a stream that is read as before goes on undisturbed."""
        for stream in set(plan.streams.values()):
            _reader(stream)  # loaded now: later there may be no descriptor to read it with
        same = {
            key for key, stream in plan.streams.items() if self._streams.get(key, stream) == stream
        }
        names = {_name(key) for key in same}
        self._learnt = {name: known for name, known in self.memory().items() if name in names}
        self._readers = {key: reader for key, reader in self._readers.items() if key in same}
        self._streams = plan.streams

    def begin(self, source: str) -> None:
        """Read the streams of a source from anew."""
        self._learnt = self.memory()
        self._readers = {key: r for key, r in self._readers.items() if key[0] != source}

    def held(self, seconds: float) -> Iterator[tuple[str, Told]]:
        """Yield, by source, what dialects held back of streams that have been silent for so long.

        Args:
            seconds: how long.
        """
        oldest = time.monotonic() - seconds
        for key, at in list(self._read_at.items()):
            if at > oldest:
                continue
            del self._read_at[key]
            stream, reader = self._streams.get(key), self._readers.get(key)
            if isinstance(reader, Holding) and stream is not None and (events := reader.rest()):
                yield key[0], Told([(stream.owner, event) for event in events])

    def tells(self, key: Key) -> bool:
        """Whether a stream says what happened at the upstreams, so that no other log need."""
        reader = self._readers.get(key)
        return isinstance(reader, Tallying) and reader.tells

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield a batch in pieces, each of which takes no more than some milliseconds to read."""
        key, data = (batch.source, batch.unit), batch.data
        start = 0
        while len(data) - start > _PIECE_BYTES and self._tallying(key) is None:
            end = data.rfind(b"\n", start, start + _PIECE_BYTES) + 1 or data.find(b"\n", start) + 1
            if not end:
                break
            yield replace(batch, data=data[start:end])
            start = end
        yield replace(batch, data=data[start:]) if start else batch

    def read(self, batch: Batch, told: Told) -> None:
        """Add what a batch tells."""
        if batch.data:
            self._many(batch, told)
        for line in batch.lines:
            self._line((batch.source, line.unit), line, told)
        for key in {(batch.source, batch.unit), *((batch.source, at.unit) for at in batch.lines)}:
            stream, reader = self._streams.get(key), self._readers.get(key)
            if stream is not None and isinstance(reader, Requested):
                told.events.extend((stream.owner, each) for each in reader.requests.take())

    def _tallying(self, key: Key) -> Tallying | None:
        """The reader of a stream, if it can count ordinary lines without a look at each now."""
        stream, reader = self._streams.get(key), self._reader(key)
        if stream is None or not isinstance(reader, Tallying):
            return None
        if reader.IDENTIFIES and self._repeats(stream.proxy):
            return None
        return reader if reader.tells or not self._expects(stream.proxy) else None

    def _many(self, batch: Batch, told: Told) -> None:
        """Read a file's lines: the ordinary ones by the thousand, each other by itself."""
        key = (batch.source, batch.unit)
        if (reader := self._tallying(key)) is not None:
            tally, stream = reader.tally(batch.data), self._streams[key]
            told.tallies.append((stream.owner, _tally_of_site(tally, stream.site)))
            told.results["event"] += tally.lines
            batch = replace(batch, data=b"\n".join(tally.rest))
        for line in lines_of(batch):
            self._line(key, line, told)

    def _line(self, key: Key, line: Line, told: Told) -> None:
        stream, reader = self._streams.get(key), self._reader(key)
        if stream is None or reader is None:
            told.results["ignored"] += 1
            return
        events = reader.read(line)
        if of_manager := systemd.of_unit(line):
            events = (*of_manager, *(events or ()))
        if events is None and (inside := container_line(line.text)) is not None:
            events = reader.read(replace(line, text=inside.text, at=inside.at or line.at))
        self._read_at[key] = time.monotonic()
        if events is None:
            # the kernel speaks of much, and nobody misses it
            told.results["ignored" if stream.owner == HOST else "unknown"] += 1
            return
        told.events.extend((stream.owner, _of_site(event, stream.site)) for event in events)
        told.results["event" if events else "ignored"] += 1

    def _reader(self, key: Key) -> Dialect | None:
        """The reader of a stream; None for lines of nobody."""
        reader, stream = self._readers.get(key), self._streams.get(key)
        if reader is None and stream is not None:
            reader = self._readers[key] = _reader(stream)
            if isinstance(reader, Remembering):
                reader.recall(self._learnt.get(_name(key), {}))
        return reader


def _reader(stream: Stream) -> Dialect:
    return dialect(stream.dialect, stream.log_format, stream.escape)


def _of_site(event: Event, site: str | None) -> Event:
    """The event, of the only site whose requests its log holds."""
    if site is None or not isinstance(
        event, UpstreamFailure | Response | ClientAbort | AnswerOrigin
    ):
        return event
    return event if event.site is not None else replace(event, site=site)


def _tally_of_site(tally: Tally, site: str | None) -> Tally:
    if site is None:
        return tally
    return replace(
        tally,
        answers={(s or site, up, status): n for (s, up, status), n in tally.answers.items()},
        durations={(s or site, up): seconds for (s, up), seconds in tally.durations.items()},
    )


def _name(key: Key) -> str:
    return f"{key[0]} {key[1] or ''}"
