"""hypercorn's log (0.11 to 0.18, as recorded of 0.18).

It says ``Running on`` once for each worker that serves, and what Python prints of one that cannot
boot; of a worker's death it says nothing. Any worker that is lost ends the whole server, with
status 0, so that a worker which cannot boot is the server's end too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from badgateway.dialects.lastwords import LastWords
from badgateway.dialects.requests import Newest
from badgateway.dialects.roster import Roster
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Collector, Traceback
from badgateway.events import BootFailure, Event, Line, ServerReady, WorkerEnd

_PREFIX: Final = (
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?\] \[(?P<pid>\d+)\] \[(?P<level>[A-Z]+)\] "
)
_RUNNING: Final = r"Running on \S{1,300} (?:over \S+ )?\(CTRL \+ C to quit\)"
_SAID: Final = re.compile(rf"{_PREFIX}(?P<text>{_RUNNING}|Error in ASGI Framework)")
_SPAWNED: Final = re.compile(r"^Process SpawnProcess-(\d+):$")
_USAGE: Final = re.compile(r"^hypercorn: error: (.{1,200})")
_BIND: Final = re.compile(r"Address already in use|Cannot assign requested|Permission denied")
_PACKAGE: Final = "/hypercorn/"
_STARTS: Final = ("/multiprocessing/process.py", "/hypercorn/__main__.py", "/hypercorn/run.py")
_WRITERS_KEPT: Final = 64


class Reader:
    """Reads hypercorn's lines."""

    NAME: ClassVar[str] = "hypercorn"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        rf"{_SAID.pattern}|^hypercorn: error: |^usage: hypercorn "
    )

    def __init__(self) -> None:
        self.requests = Newest()
        self._words = LastWords(self.NAME)
        self._roster = Roster()
        self._tracebacks: dict[tuple[str | None, int | None], Collector] = {}
        self._spawned: set[str] = set()
        self._starting = 0
        self._cause: Traceback | None = None

    def memory(self) -> dict[str, Any]:
        """Which processes serve: said once, which may be months ago."""
        return self._roster.memory()

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        self._roster.recall(remembered)

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of hypercorn, of its application or of systemd tells."""
        self.requests.note(line)
        if line.manager is not None:
            return self._words.managed(line)
        if said := _SAID.match(line.text):
            return self._said(line, int(said["pid"]), said["text"])
        if spawned := _SPAWNED.match(line.text):
            if spawned[1] in self._spawned:
                self._begins(line)  # a run numbers its processes from 1
            self._spawned.add(spawned[1])
            self._starting += 1
            return ()
        if refused := _USAGE.match(line.text):
            if self._serves(line):
                return ()
            return self._words.unsupervised(line, "usage", refused[1])
        if line.text.startswith("usage: hypercorn "):
            self._begins(line)
            return ()
        collected = self._collector(line).feed(line.text)
        if isinstance(collected, Traceback):
            return self._crashed(line, collected)
        return () if collected else None

    def _begins(self, line: Line) -> None:
        self._roster.forget(line)
        self._words.begin()
        self._spawned, self._starting = set(), 0

    def _said(self, line: Line, pid: int, text: str) -> tuple[Event, ...]:
        if line.pid not in (None, pid):
            return ()  # somebody prints another process' words
        if not text.startswith("Running on "):
            return ()
        if self._words.over:
            self._begins(line)
        self._roster.born(line, str(pid), pid)
        return (ServerReady(line.at, self.NAME, line.pid),)

    def _crashed(self, line: Line, traceback: Traceback) -> tuple[Event, ...]:
        """A process ended by an exception; one that serves prints such things, too."""
        if not traceback.within(_PACKAGE) or self._serves(line):
            return ()
        if not traceback.passed_through(*_STARTS):
            self._cause = traceback  # another one follows from it
            return ()
        cause, self._cause = self._cause, None
        module = traceback.module
        if module is None and cause is not None and traceback.exception == "NoAppError":
            module = cause.module
        boots = traceback.within("/hypercorn/utils.py") or "Lifespan" in traceback.exception
        if not (
            boots or self._starting or line.pid is not None or "OSError" in traceback.exception
        ):
            return ()  # what is printed of a task that failed
        detail = f"{traceback.exception}: {traceback.message}"[:MESSAGE_KEPT]
        spawned = traceback.passed_through("/multiprocessing/process.py")
        if not spawned and traceback.exception == "OSError" and _BIND.search(traceback.message):
            if self._words.over:
                self._begins(line)
            return self._words.unsupervised(line, "bind_failure", detail)
        role = "worker" if spawned else "server"
        certain = self._starting > 0 or not spawned or line.pid is not None
        self._starting = max(0, self._starting - 1)
        failure = BootFailure(
            line.at, self.NAME, role, traceback.exception, traceback.message, module, line.pid,
            line.invocation, certain,
        )  # fmt: skip
        ended = self._words.unsupervised(line, "boot_failure", detail)
        if not spawned:
            return (failure, *ended)
        if line.pid is not None and not self._roster.end(line, line.pid):
            return ()
        return (failure, WorkerEnd(line.at, self.NAME, "boot_failure", line.pid, detail), *ended)

    def _serves(self, line: Line) -> bool:
        """Whether the writer is known to serve; of a file's writers nobody knows which it is."""
        if line.pid is None:
            return self._starting == 0 and self._roster.serves(line) and not self._words.over
        return line.pid in self._roster.alive(line)

    def _collector(self, line: Line) -> Collector:
        key = (line.invocation, line.pid)
        found = self._tracebacks.get(key)
        if found is None:
            found = self._tracebacks[key] = Collector()
            while len(self._tracebacks) > _WRITERS_KEPT:
                del self._tracebacks[next(iter(self._tracebacks))]
        return found
