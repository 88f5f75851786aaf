"""Streams: the log sources that are read, and what their batches tell handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from badgateway import config as settings
from badgateway.counters import Counters
from badgateway.events import Batch
from badgateway.lognames import LogNames
from badgateway.logplan import JOURNAL, Plan, plan
from badgateway.readers import Readers, Told
from badgateway.sources import Status, ThreadedSource, log
from badgateway.sources.containerlog import ContainerLog
from badgateway.sources.docker import Docker
from badgateway.sources.files import FileSource
from badgateway.sources.journal import JournalSource
from badgateway.topology.discovery import Findings

PACE_SECONDS: Final = 5.0
"""How long a log that is not read on is waited for."""

SILENT_SECONDS: Final = 2.0
"""How long a stream must be silent for its dialect to wait no longer for what would follow."""

Read = Callable[[Batch, Told], None]


class Streams:
    """Keeps the log sources that the findings call for, and hands on their events."""

    def __init__(
        self,
        config: settings.Config,
        counters: Counters,
        read: Read,
        begin: Callable[[], None],
        expects: Callable[[str], bool],
        is_strange: Callable[[Told], bool],
        look: Callable[[], Awaitable[None]],
        positions: MutableMapping[str, dict[str, Any]],
        learnt: Mapping[str, Any] | None = None,
        crowded: Callable[[bool], bool] = lambda _: False,
        docker: Docker | None = None,
    ) -> None:
        """Begin.

        Args:
            config: names further logs.
            counters: where lines are counted.
            read: takes a batch and what it told.
            begin: called before the first lines of another source are counted.
            expects: tells of a proxy whether an ordinary answer may belong to an attempt that
                failed.
            is_strange: tells whether a batch names an upstream that no configuration has.
            look: looks for other configurations.
            positions: source name → where the last checkpoint stood.
            learnt: what an earlier life remembered: ``files``, ``patterns`` and, of the dialects,
                ``streams``.
            crowded: tells whether too many answers wait for the error log (True), or too many
                failures for the access log (False).
            docker: the daemon through which containers' logs are read.
        """
        self._docker = docker
        known = learnt or {}
        self._config = config
        self._counters = counters
        self._read = read
        self._begin = begin
        self._crowded = crowded
        self._waiting: set[str] = set()
        self._is_strange, self._look = is_strange, look
        self._positions = positions
        self._names = LogNames(
            known.get("files") or {}, positions, counters.touch, known.get("patterns") or ()
        )
        self._readers = Readers(
            expects, lambda proxy: proxy in self.doubled, known.get("streams") or {}
        )
        self._journal = JournalSource(JOURNAL)
        self._sources: dict[str, ThreadedSource] = {}
        self._plan = Plan()
        self._begun: set[str] = set()
        self._hung: set[str] = set()

    def memory(self) -> dict[str, Any]:
        """What the dialects must know over a restart."""
        return self._readers.memory()

    def files(self) -> dict[str, str]:
        """Source → the file its position is of; must be saved with the positions."""
        return self._names.memory()

    def patterns(self) -> list[str]:
        """The patterns of files that have been looked for: what appears later is new."""
        return sorted(self._names.patterns)

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
        return found | {name: Status(False, why) for name, why in self._plan.unread.items()}

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

    def wake(self) -> None:
        """Look at once whether containers that had ended run again."""
        for source in self._sources.values():
            if isinstance(source, ContainerLog):
                source.wake()

    def tell_held(self) -> None:
        """Hand on what dialects held back, of streams that are silent now."""
        for source, told in self._readers.held(SILENT_SECONDS):
            if source in self._begun:
                self._read(Batch(source, (), counted=True, position=None), told)

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
        planned = plan(self._config, findings, self._names.named)
        for name in planned.unread.keys() - self._plan.unread.keys():
            log.warning("%s: %s", name, planned.unread[name])
        self._tell_changed(planned)
        self._plan = planned
        self._names.remember(planned.files)
        self._readers.follow(planned)
        self._follow(since)
        for path in planned.repeated:  # when it is read again, that begins anew
            self._names.leave(map(str, findings.expanded.get(path, (path,))))
        self._names.expand(findings.expanded)

    @property
    def heard(self) -> frozenset[str]:
        """Backends whose servers' words have been read."""
        return self._with_source(self._plan.words)

    @property
    def errors_heard(self) -> frozenset[str]:
        """Proxies whose failures have been read."""
        return self._with_source(self._plan.errors)

    @property
    def access_heard(self) -> frozenset[str]:
        """Proxies whose answered requests have been read."""
        return self._with_source(self._plan.access)

    @property
    def told_by_errors(self) -> frozenset[str]:
        """Proxies whose error log tells of each failed attempt, and has been read."""
        return self._with_source(self._plan.told_by_errors)

    @property
    def behind(self) -> frozenset[str]:
        """Proxies of whose logs something is still unread."""
        unread = {name for name, source in self._sources.items() if source.now().unread}
        return frozenset(
            stream.proxy for (source, _), stream in self._plan.streams.items() if source in unread
        )

    @property
    def doubled(self) -> frozenset[str]:
        """Proxies that may write the same line to several logs."""
        written = (self._plan.errors, self._plan.access)
        return frozenset(n for kind in written for n, sources in kind.items() if len(sources) > 1)

    def _with_source(self, owners: Mapping[str, set[str]]) -> frozenset[str]:
        return frozenset(name for name, sources in owners.items() if sources & self._begun)

    def _follow(self, since: float | None) -> None:
        loop = asyncio.get_running_loop()
        files = self._plan.files
        units = {unit for source, unit in self._plan.streams if source == JOURNAL and unit}
        self._journal.watch(units, since)
        wanted: dict[str, ThreadedSource] = {
            name: self._sources.get(name) or self._file(name, path) for name, path in files.items()
        }
        if (docker := self._docker) is not None:
            for name in self._plan.containers:
                container = self._sources.get(name)
                if not isinstance(container, ContainerLog):
                    container = self._container(name, docker)
                container.watch(since)
                wanted[name] = container
        if units or JOURNAL in self._sources:
            wanted[JOURNAL] = self._journal
        for name in set(self._sources) - set(wanted):
            self._sources.pop(name).stop()
            self._begun.discard(name)
        for name, source in wanted.items():
            if name not in self._sources:
                if name in files:
                    self._names.take_up(name, files[name], self._sources)
                self._sources[name] = source
                source.start(loop, partial(self._accept, source), self._positions.get(name))

    def _tell_changed(self, planned: Plan) -> None:
        """Tell which logs are not read because others hold the same requests.

        Where one is read from now on in the place of another, a few requests may be in neither.
        """
        before, now = self._plan.repeated, planned.repeated
        for path in sorted(now.keys() - before.keys()):
            log.info("%s: not read: %s holds the same requests", path, now[path])
        read = {str(path) for name, path in self._plan.files.items() if name in self._begun}
        changed = {now[path] for path in read & now.keys()} | (before.keys() - now.keys())
        for name, file in planned.files.items():
            if str(file) in changed and name not in self._plan.files:
                log.warning("%s: read from now on, in the place of another log", name)
                self._counters.add("source_gaps_total", (name,))

    def _container(self, name: str, docker: Docker) -> ContainerLog:
        """A source for the log of a unit's container."""
        unit, number = self._plan.containers[name]
        return ContainerLog(
            name,
            unit,
            partial(docker.find, unit, number),
            lambda: docker.host or "",
            docker.watching,
        )

    def _file(self, name: str, path: Path) -> FileSource:
        """A source for a file; one that its pattern did not find before has appeared since."""
        born_late = self._plan.patterns.get(name, "") in self._names.patterns
        source = FileSource(name, path, born_late=born_late)
        source.first = partial(self._errors_before, name)
        return source

    def _errors_before(self, name: str) -> list[FileSource]:
        """The error logs that say why what a file's lines tell has happened."""
        stream = self._plan.streams.get((name, None))
        if stream is None or not stream.proxy or self._readers.tells((name, None)):
            return []
        sources = (self._sources.get(other) for other in self._plan.told_by_errors[stream.proxy])
        return [s for s in sources if isinstance(s, FileSource) and s.name != name]

    async def _keep_pace(self, source: ThreadedSource) -> None:
        """Let a proxy's other log catch up, if too much of this one waits for it.

        After an absence one log would else be read to its end before the other is begun.
        """
        stream = self._plan.streams.get((source.name, None))
        if stream is None or not stream.proxy:
            return
        is_error = source.name in self._plan.told_by_errors.get(stream.proxy, ())
        others = (self._plan.access if is_error else self._plan.told_by_errors)[stream.proxy]
        idle, before = 0.0, -1
        while self._crowded(not is_error) and idle < PACE_SECONDS:
            read = [s for name in others - self._waiting if (s := self._sources.get(name))]
            left = sum(s.now().unread for s in read if s.status.up)
            if not left or self._sources.get(source.name) is not source:
                return
            idle, before = (idle + 0.02 if left == before else 0.0), left
            self._waiting.add(source.name)
            try:
                await asyncio.sleep(0.02)
            finally:
                self._waiting.discard(source.name)

    async def _accept(self, source: ThreadedSource, batch: Batch) -> None:
        """Turn a batch's lines into events, and hand them on."""
        if self._sources.get(batch.source) is not source:
            return  # delivered while the source was being dropped; its position stays
        if batch.fresh:
            self._readers.begin(batch.source)
        if batch.counted and batch.source not in self._begun:
            self._begun.add(batch.source)
            self._counters.declare("source_gaps_total", (batch.source,))
            for result in ("event", "ignored", "unknown"):
                self._counters.declare("log_lines_total", (batch.source, result))
            self._begin()
        if batch.counted:
            await self._keep_pace(source)
        told = Told()
        for part in self._readers.parts(batch):
            self._readers.read(part, told)
            await asyncio.sleep(0)  # scrapes and the like come in between
        if batch.counted and self._is_strange(told):
            # what was configured a moment ago may be at work already
            await self._look()
        if self._sources.get(batch.source) is not source:
            return  # as above
        if batch.counted:
            for result, number in told.results.items():
                if number:
                    self._counters.add("log_lines_total", (batch.source, result), number)
        self._read(batch, told)
