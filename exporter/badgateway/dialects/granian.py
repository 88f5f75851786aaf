"""granian's log (1.0 to 2.8, as recorded of 2.8).

Lines are ``[LEVEL] text``, without time and pid; those of the main process go to standard output,
Python's words about a worker that cannot boot to standard error. A worker is known by its number.
Of an unexpected exit the log names no cause: it is ``unknown`` unless the worker's own words or
lines before tell more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from badgateway.dialects.lastwords import LastWords
from badgateway.dialects.roster import Roster
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Collector, Traceback
from badgateway.events import BootFailure, Event, Line, ServerReady, WorkerEnd

_LEVEL: Final = re.compile(r"^\[(?:INFO|WARNING|ERROR|CRITICAL|DEBUG)\] (.*)$", re.S)
_STARTING: Final = re.compile(r"^Starting granian \(main PID: (\d+)\)")
_BORN: Final = re.compile(r"^Spawning worker-(\d+) with (?:PID|pid): (\d+)")
_STARTED: Final = re.compile(r"^Started worker-(\d+)")
_LOST: Final = re.compile(r"^Unexpected exit from worker-(\d+)")
_RESPAWNING: Final = re.compile(r"^Respawning worker-(\d+)")
_PLANNED: Final = re.compile(r"^worker-(\d+) (lifetime expired|RSS over)", re.I)
_LEAVING: Final = re.compile(r"^Stopping worker-(\d+)")
_OLD: Final = re.compile(r"^Stopped old worker-(\d+)")
_STOPPED: Final = re.compile(r"^Stopped worker-(\d+)")
_COMPLAINTS: Final = ("[ERROR] ", "[CRITICAL] ")
_LIFESPAN: Final = "ASGI lifespan startup failed"
_CRASH_LOOP: Final = "Worker crash loop detected"
_SPAWNED: Final = re.compile(r"^Process granian-worker(?:-\d+)?:$")
_USAGE: Final = re.compile(r"^Usage: (?:python\S* -m )?granian ")
_REFUSED: Final = re.compile(r"^Error: (.{1,200})")
_BIND: Final = re.compile(r"\(os error (?:98|99|13|48|49)\)|Address already in use")
_PACKAGE: Final = "/granian/"
_WRITERS_KEPT: Final = 64


class Reader:
    """Reads granian's lines."""

    NAME: ClassVar[str] = "granian"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r"^\[(?:INFO|WARNING|ERROR|CRITICAL)\] (?:Starting granian \(|Shutting down granian"
        r"|Granian shutdown|HUP signal received, gracefully respawning|Worker crash loop detected"
        r"|(?:Spawning|Started|Stopping|Stopped|Respawning)(?: old)? worker-\d"
        r"|Unexpected exit from worker-\d|worker-\d+ (?:lifetime|RSS)|ASGI lifespan startup failed)"
        r"|^Process granian-worker(?:-\d+)?:$|^Usage: (?:python\S* -m )?granian "
    )

    def __init__(self) -> None:
        self._words = LastWords(self.NAME)
        self._roster = Roster()
        self._tracebacks: dict[tuple[str | None, int | None], Collector] = {}
        self._started: set[str] = set()
        self._marks: dict[str, str] = {}
        self._cause: Traceback | None = None
        self._said = ""
        self._booting = 0
        self._failed = 0
        self._lost: str | None = None
        self._stopping = False
        self._refusing = False

    def memory(self) -> dict[str, Any]:
        """Who is the main process and who its workers: said once, which may be months ago."""
        return {**self._roster.memory(), "started": sorted(self._started)}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        self._roster.recall(remembered)
        self._started = set(remembered.get("started", ()))

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of granian, of its application or of systemd tells."""
        if line.manager is not None:
            return self._words.managed(line)
        if said := _LEVEL.match(line.text):
            return self._worker_said(line, said[1]) or self._main_said(line, said[1])
        if _SPAWNED.match(line.text):
            self._booting += 1
            return ()
        if _USAGE.match(line.text):
            self._words.begin()
            self._refusing = True
            return ()
        if self._refusing and (refused := _REFUSED.match(line.text)):
            self._refusing = False
            return self._words.unsupervised(line, "usage", refused[1])
        collected = self._collector(line).feed(line.text)
        if isinstance(collected, Traceback):
            return self._crashed(line, collected)
        return () if collected else None

    def _begins(self, line: Line, pid: int) -> None:
        self._roster.forget(line)
        self._roster.master_is(line, pid)
        self._words.begin()
        self._started, self._marks = set(), {}
        self._booting = self._failed = 0
        self._lost, self._stopping, self._refusing, self._said = None, False, False, ""

    # -- the main process

    def _main_said(self, line: Line, text: str) -> tuple[Event, ...] | None:
        if starting := _STARTING.match(text):
            if line.pid in (None, int(starting[1])):
                self._begins(line, int(starting[1]))
            return ()
        if not self._roster.may_speak(line):
            return ()
        if born := _BORN.match(text):
            self._roster.born(line, born[1], int(born[2]))
            self._started.discard(born[1])
            self._lost = None
        elif lost := _LOST.match(text):
            return self._unexpected(line, lost[1], text)
        elif _RESPAWNING.match(text):
            self._lost = None
        elif planned := _PLANNED.match(text):
            reason = "max_lifetime" if planned[2].lower().startswith("life") else "max_memory"
            self._marks[planned[1]] = reason
            return self._numbered(line, planned[1], reason, text)
        elif text.startswith("HUP signal received"):
            for number in self._roster.numbers(line):
                self._marks[number] = "reload"
                self._roster.leaves(line, number)
        elif old := _OLD.match(text):
            mark = self._marks.pop(old[1], None)
            left = self._roster.left(line, old[1])
            if mark is not None and left is not None and self._roster.end(line, left, known=True):
                return (self._end(line, left, mark, text),)
        elif text.startswith(_CRASH_LOOP):
            self._lost = "boot_failure"
        elif text.startswith("Shutting down granian"):
            self._stopping = True
            reason = self._lost or "stop"
            detail = self._said if reason == "boot_failure" and self._said else text
            return self._words.unsupervised(line, reason, detail)
        elif stopped := _STOPPED.match(text):
            if not self._stopping or self._was_told(line, stopped[1]):
                return ()
            return self._numbered(line, stopped[1], "stop", text)
        elif not self.SIGNATURE.match(line.text):
            return ()
        return ()

    def _unexpected(self, line: Line, number: str, text: str) -> tuple[Event, ...]:
        started = number in self._started
        reason = self._marks.pop(number, "unknown")
        if reason == "unknown" and self._was_told(line, number):
            ended: tuple[Event, ...] = ()
        else:
            ended = self._numbered(line, number, reason, text)
        self._lost = "worker_lost" if started else "boot_failure"
        self._started.discard(number)
        return ended

    def _was_told(self, line: Line, number: str) -> bool:
        """Whether a worker's own words told that it could not boot."""
        if not self._failed or number in self._started:
            return False
        self._failed -= 1
        pid = self._roster.pid(line, number)
        return pid is None or self._roster.end(line, pid)

    # -- a worker

    def _worker_said(self, line: Line, text: str) -> tuple[Event, ...] | None:
        if started := _STARTED.match(text):
            self._started.add(started[1])
            self._booting = 0
            return (ServerReady(line.at, self.NAME, line.pid),)
        if leaving := _LEAVING.match(text):
            number = leaving[1]
            if not self._stopping and not self._roster.is_leaving(line, number):
                self._marks.setdefault(number, "external_term")
            return ()
        if text.startswith(_LIFESPAN):
            if self._all_started(line):
                return ()
            self._said = f"{self._said} ({text})" if self._said else text
            return self._boot_failure(line, "LifespanFailed", self._said, None)
        if line.text.startswith(_COMPLAINTS) and not (
            self.SIGNATURE.match(line.text) or self._all_started(line)
        ):
            self._said = text[:MESSAGE_KEPT]
        return None

    def _crashed(self, line: Line, traceback: Traceback) -> tuple[Event, ...]:
        if not traceback.within(_PACKAGE):
            return ()
        if traceback.passed_through("/granian/cli.py"):
            detail = f"{traceback.exception}: {traceback.message}"
            if _BIND.search(traceback.message):
                return self._words.unsupervised(line, "bind_failure", detail)
            return self._boot_failure(
                line, traceback.exception, traceback.message, traceback.module, "server"
            )
        if not traceback.passed_through("/multiprocessing/process.py"):
            self._cause = traceback  # another one follows from it
            return ()
        cause, self._cause = self._cause, None
        if not self._booting and line.pid is None:
            return ()  # an application that serves prints what it likes
        self._booting = max(0, self._booting - 1)
        module = traceback.module or (cause.module if cause else None)
        return self._boot_failure(line, traceback.exception, traceback.message, module)

    def _boot_failure(
        self, line: Line, exception: str, message: str, module: str | None, role: str = "worker"
    ) -> tuple[Event, ...]:
        if line.pid is not None and line.pid in self._serving(line):
            return ()  # an application that serves prints what it likes
        detail = f"{exception}: {message}"[:MESSAGE_KEPT]
        failure = BootFailure(
            line.at, self.NAME, role, exception, message[:MESSAGE_KEPT], module, line.pid,
            line.invocation,
        )  # fmt: skip
        self._said = ""
        if role == "server":
            return (failure, *self._words.unsupervised(line, "boot_failure", detail))
        self._words.say(line, "boot_failure", detail)
        if line.pid is not None:
            ended = self._roster.end(line, line.pid)
        else:
            ended, self._failed = True, self._failed + 1
        if not ended:
            return (failure,)
        return (failure, WorkerEnd(line.at, self.NAME, "boot_failure", line.pid, detail))

    # -- ends

    def _numbered(self, line: Line, number: str, reason: str, text: str) -> tuple[Event, ...]:
        pid = self._roster.pid(line, number)
        if pid is None:
            # a log that begins later than the server names no process
            return () if self._roster.begun(line) else (self._end(line, None, reason, text),)
        return self._ended(line, pid, reason, text)

    def _ended(self, line: Line, pid: int, reason: str, text: str) -> tuple[Event, ...]:
        return (self._end(line, pid, reason, text),) if self._roster.end(line, pid) else ()

    def _end(self, line: Line, pid: int | None, reason: str, text: str) -> WorkerEnd:
        return WorkerEnd(line.at, self.NAME, reason, pid, text[:MESSAGE_KEPT])

    def _serving(self, line: Line) -> set[int | None]:
        return {self._roster.pid(line, number) for number in self._started}

    def _all_started(self, line: Line) -> bool:
        numbers = self._roster.numbers(line)
        return bool(numbers) and self._started >= set(numbers)

    def _collector(self, line: Line) -> Collector:
        key = (line.invocation, line.pid)
        found = self._tracebacks.get(key)
        if found is None:
            found = self._tracebacks[key] = Collector()
            while len(self._tracebacks) > _WRITERS_KEPT:
                del self._tracebacks[next(iter(self._tracebacks))]
        return found
