"""Streams: which lines belong to whom, and which dialect reads them.

A stream is what one unit or one file writes. It has one owner, ``backend:NAME`` or ``proxy:NAME``,
and one dialect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from badgateway import config as settings
from badgateway.counters import Counters
from badgateway.dialects import Dialect, Remembering, dialect
from badgateway.events import Batch, Event, Line
from badgateway.lognames import LogNames
from badgateway.sources import Status, ThreadedSource, log
from badgateway.sources.files import FileSource
from badgateway.sources.journal import JournalSource
from badgateway.topology.discovery import Findings

Read = Callable[[Batch, list[tuple[str, Event]]], None]

_SERVERS_WITH_DIALECT: Final = frozenset(("uvicorn", "gunicorn"))


@dataclass(frozen=True, slots=True)
class Stream:
    """One writer's lines.

    Attributes:
        owner: ``backend:NAME`` or ``proxy:NAME``.
        dialect: name of the dialect that reads it.
    """

    owner: str
    dialect: str


class Streams:
    """Keeps the log sources that the findings call for, and hands on their events."""

    def __init__(
        self,
        config: settings.Config,
        counters: Counters,
        read: Read,
        begin: Callable[[], None],
        positions: MutableMapping[str, dict[str, Any]],
        learnt: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Begin.

        Args:
            config: names further logs.
            counters: where lines are counted.
            read: takes a batch and its events.
            begin: called before the first lines of another source are counted.
            positions: source name → where the last checkpoint stood.
            learnt: what ``memory`` returned in an earlier life.
            files: what ``files`` returned when the positions were saved.
        """
        self._config = config
        self._counters = counters
        self._read = read
        self._begin = begin
        self._positions = positions
        self._names = LogNames(files or {}, positions, counters.touch)
        self._learnt = dict(learnt or {})
        self._journal = JournalSource()
        self._sources: dict[str, ThreadedSource] = {}
        self._streams: dict[tuple[str, str | None], Stream] = {}
        self._readers: dict[tuple[str, str | None], Dialect] = {}
        self._begun: set[str] = set()
        self._hung: set[str] = set()
        self._unread: dict[str, str] = {}
        # backend or proxy → the sources that tell of it
        self._words: dict[str, set[str]] = {}
        self._errors: dict[str, set[str]] = {}
        self._access: dict[str, set[str]] = {}

    def memory(self) -> dict[str, Any]:
        """What the dialects must know over a restart."""
        known = {
            _name(key): reader.memory()
            for key, reader in self._readers.items()
            if isinstance(reader, Remembering)
        }
        return {**self._learnt, **known}

    def files(self) -> dict[str, str]:
        """Source → the file its position is of; must be saved with the positions."""
        return self._names.memory()

    def reconfigure(self, config: settings.Config) -> None:
        """Read the logs of another configuration from the next ``watch`` on."""
        self._config = config

    @property
    def settled(self) -> bool:
        """Whether every source has delivered what was there, or cannot."""
        return all(
            status.up is False or name in self._begun for name, status in self.statuses().items()
        )

    def statuses(self) -> dict[str, Status]:
        """Source → what is known of it."""
        found = {name: source.now() for name, source in self._sources.items()}
        return found | {name: Status(False, why) for name, why in self._unread.items()}

    def tell_hung(self) -> None:
        """Log which sources have begun to hang, and which hang no more."""
        now = {name: source.now() for name, source in self._sources.items()}
        hung = {name for name, status in now.items() if status is not self._sources[name].status}
        for name in sorted(hung - self._hung):
            log.warning("%s: %s", name, now[name].problem)
        for name in sorted(self._hung - hung):
            if name in now:
                log.info("%s: is read again", name)
        self._hung = hung

    def stop(self) -> None:
        """End all sources."""
        for source in self._sources.values():
            source.stop()

    def watch(self, findings: Findings, since: float | None) -> None:
        """Read exactly the logs of what was found.

        Args:
            findings: the path map and the proxies.
            since: read evidence from this time on, if it is earlier than usual.
        """
        streams: dict[tuple[str, str | None], Stream] = {}
        files: dict[str, Path] = {}
        self._errors, self._access, self._words = {}, {}, {}
        unread: dict[str, str] = {}
        for backend in findings.paths.backends:
            given = next((b for b in self._config.backends if b.name == backend.name), None)
            if backend.server in _SERVERS_WITH_DIALECT:
                stream = Stream(f"backend:{backend.name}", backend.server)
                if backend.unit:
                    streams[self._journal.name, backend.unit] = stream
                self._add(backend.name, stream, given.logs if given else (), streams, files)
                self._words[backend.name] = _sources_of(stream, streams)
            elif given and given.logs:
                unknown = backend.server == "unknown"
                unread[f"{backend.name}-log"] = (
                    "not read: which server writes it is not known; give its `unit` or `command`"
                    if unknown
                    else f"not read: how {backend.server} writes is not known"
                )
        for place in findings.places:
            stream = Stream(f"proxy:{place.name}", "caddy")
            if place.unit:
                streams[self._journal.name, place.unit] = stream
            proxy = next((p for p in self._config.proxies if p.name == place.name), None)
            given_logs = proxy.logs if proxy else ()
            found = findings.answers.get(place.name)
            written = found.log_files if found else ()
            logs = [*given_logs, *(settings.Log(file=f) for f in written)]
            self._add(place.name, stream, logs, streams, files)
            sources = _sources_of(stream, streams)
            paths = {name: str(files[name]) if name in files else "" for name in sources}
            told = found.destinations if found else None
            known = None if given_logs else told  # what else is written there, nobody tells
            self._errors[place.name] = {
                s for s in sources if known is None or paths[s] in known.errors
            }
            self._access[place.name] = {
                s for s in sources if known is None or paths[s] in known.access
            }
        for name in {stream.dialect for stream in streams.values()}:
            dialect(name)  # loaded now: later there may be no descriptor to read it with
        same = {key for key, stream in streams.items() if self._is_read_by(key, stream.dialect)}
        names = {_name(key) for key in same}
        self._learnt = {name: known for name, known in self.memory().items() if name in names}
        self._streams = streams
        for name in unread.keys() - self._unread.keys():
            log.warning("%s: %s", name, unread[name])
        self._unread = unread
        self._names.remember(files)
        self._readers = {key: reader for key, reader in self._readers.items() if key in same}
        self._follow(files, since)

    @property
    def heard(self) -> frozenset[str]:
        """Backends whose servers' words have been read."""
        return self._with_source(self._words)

    @property
    def errors_heard(self) -> frozenset[str]:
        """Proxies whose failures have been read."""
        return self._with_source(self._errors)

    @property
    def access_heard(self) -> frozenset[str]:
        """Proxies whose answered requests have been read."""
        return self._with_source(self._access)

    @property
    def doubled(self) -> frozenset[str]:
        """Proxies that may write the same line to several logs."""
        written = (self._errors, self._access)
        return frozenset(n for kind in written for n, sources in kind.items() if len(sources) > 1)

    def _with_source(self, owners: Mapping[str, set[str]]) -> frozenset[str]:
        return frozenset(name for name, sources in owners.items() if sources & self._begun)

    def _add(
        self,
        name: str,
        stream: Stream,
        logs: Any,
        streams: dict[tuple[str, str | None], Stream],
        files: dict[str, Path],
    ) -> None:
        for given in logs:
            if given.journal:
                streams[self._journal.name, given.journal] = stream
                continue
            path = Path(given.file)
            if path in files.values():
                continue
            source = self._names.named(name, path, files)
            files[source] = path
            streams[source, None] = stream

    def _is_read_by(self, key: tuple[str, str | None], dialect_name: str) -> bool:
        """Whether nothing else than this dialect has read a stream in this life."""
        before = self._streams.get(key)
        return before is None or before.dialect == dialect_name

    def _follow(self, files: Mapping[str, Path], since: float | None) -> None:
        loop = asyncio.get_running_loop()
        units = {unit for source, unit in self._streams if source == self._journal.name and unit}
        self._journal.watch(units, since)
        wanted: dict[str, ThreadedSource] = {
            name: self._sources.get(name) or FileSource(name, path) for name, path in files.items()
        }
        if units or self._journal.name in self._sources:
            wanted[self._journal.name] = self._journal
        for name in set(self._sources) - set(wanted):
            self._sources.pop(name).stop()
            self._begun.discard(name)
        for name, source in wanted.items():
            if name not in self._sources:
                if name in files:
                    self._names.take_up(name, files[name], self._sources)
                self._sources[name] = source
                source.start(loop, partial(self._accept, source), self._positions.get(name))

    def _accept(self, source: ThreadedSource, batch: Batch) -> None:
        """Turn a batch's lines into events; runs in the event loop."""
        if self._sources.get(batch.source) is not source:
            return  # delivered while the source was being dropped; its position stays
        if batch.fresh:
            self._learnt = self.memory()
            self._readers = {k: r for k, r in self._readers.items() if k[0] != batch.source}
        if batch.counted and batch.source not in self._begun:
            self._begun.add(batch.source)
            self._counters.declare("source_gaps_total", (batch.source,))
            for result in ("event", "ignored", "unknown"):
                self._counters.declare("log_lines_total", (batch.source, result))
            self._begin()
        happened: list[tuple[str, Event]] = []
        results = {"event": 0, "ignored": 0, "unknown": 0}
        for line in batch.lines:
            results[self._line(batch.source, line, happened)] += 1
        if batch.counted:
            for result, number in results.items():
                if number:
                    self._counters.add("log_lines_total", (batch.source, result), number)
        self._read(batch, happened)

    def _line(self, source: str, line: Line, happened: list[tuple[str, Event]]) -> str:
        key = (source, line.unit)
        stream = self._streams.get(key)
        if stream is None:
            return "ignored"
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = dialect(stream.dialect)
            if isinstance(reader, Remembering):
                reader.recall(self._learnt.get(_name(key), {}))
        events = reader.read(line)
        if events is None:
            return "unknown"
        happened.extend((stream.owner, event) for event in events)
        return "event" if events else "ignored"


def _name(key: tuple[str, str | None]) -> str:
    return f"{key[0]} {key[1] or ''}"


def _sources_of(stream: Stream, streams: Mapping[tuple[str, str | None], Stream]) -> set[str]:
    return {source for (source, _), found in streams.items() if found == stream}
