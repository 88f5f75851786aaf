"""uvicorn's log (0.17 to 0.54, as recorded), alone and with ``--workers``.

What counts is who writes. A request can make an application print any of these lines, so a boot
failure is believed only of a process that was not serving, and a worker's death only from the
parent. One worker's end is one event, at the line that gives its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from badgateway.dialects import systemd
from badgateway.dialects import uvicorn_words as patterns
from badgateway.dialects.requests import Newest
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Traceback
from badgateway.dialects.uvicorn_writers import Departures, Unnamed, Writer, Writers
from badgateway.events import BootFailure, Event, Line, ServerEnd, ServerReady, WorkerEnd
from badgateway.redaction import redacted

_BOOT_WINDOW: Final = 300.0
"""Seconds after its start during which a process that has not said it serves counts as starting."""
_PARENTS_REMEMBERED: Final = 4
_STARTING_KEPT: Final = 256


class Reader:
    """Reads uvicorn's lines."""

    NAME: ClassVar[str] = "uvicorn"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:INFO: {5}|DEBUG: {4}|ERROR: {4}|WARNING: {2}|CRITICAL: )\S"
        r"|^(?:INFO|ERROR): +(?:Started (?:server|parent) process \[|Error loading ASGI app\. "
        r"|Application startup (?:complete|failed)|Child process \[)"
    )

    def __init__(self) -> None:
        self.requests = Newest()
        self._writers = Writers()
        self._supervision = systemd.Supervision()
        self._phase: str | None = None
        self._departures = Departures()
        self._unnamed = Unnamed()

    def memory(self) -> dict[str, Any]:
        """Who is the parent of what: said once, at the start, which may be months ago."""
        return {"parents": self._writers.parents()[-_PARENTS_REMEMBERED:]}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        self._writers.recall(remembered.get("parents", ()))

    def rest(self) -> tuple[Event, ...]:
        """Return the ends of workers whose process nothing has named."""
        return self._unnamed.rest()

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of uvicorn, of its application or of systemd tells."""
        self.requests.note(line)
        if line.manager is not None:
            end = self._supervision.read(line)
            return self._ended(line, end) if end else ()
        writer = self._writers.get(line.invocation, line.pid)
        text = patterns.ANSI.sub("", line.text) if "\x1b" in line.text else line.text
        if (opened := patterns.LEVEL.match(text)) and opened[1].startswith(patterns.TRACEBACK):
            text = opened[1]  # uvicorn logs the traceback of a failed lifespan as one message
            writer.lifespan = None
        if patterns.SPAWNED.match(text):
            writer.spawned = True
            return ()
        collected = writer.traceback.feed(text)
        if isinstance(collected, Traceback):
            return self._crashed(line, writer, collected)
        if collected:
            return ()
        message = patterns.LEVEL.match(text)
        if not message:
            return self._usage(line, writer, text)
        return self._said(line, writer, message[1])

    def _said(self, line: Line, writer: Writer, text: str) -> tuple[Event, ...]:
        if started := patterns.STARTED.match(text):
            pid = int(started[2])
            if line.pid in (None, pid):
                process = self._writers.get(line.invocation, pid)
                process.ended, process.spawned, process.detail = False, False, ""
                process.last_words, writer.last_words = None, None
                process.parent = started[1] == "parent"
                process.started, process.finished = started[1] == "server", False
                writer.serving = False
                process.serving = False
                if line.pid is None and started[1] == "server":
                    writer.starting = [*writer.starting[-_STARTING_KEPT:], pid]
            return ()
        if not text.startswith(patterns.LEAVING):
            self._departures.none_leaves()
        if text.startswith("Application startup complete"):
            writer.serving = True
            self._writers.completed(line, writer)
            return (ServerReady(line.at, self.NAME, line.pid),)
        if text.startswith("Maximum request limit of "):
            if line.pid is None:
                self._departures.limit_reached()
            else:
                writer.last_words = "max_requests"
            return ()
        if text.startswith("Uvicorn running on "):
            writer.bound = True
            return ()
        if (errno := patterns.IN_USE.match(text)) and not writer.bound:
            # it binds after the application has loaded, and says that it runs after that
            writer.last_words, writer.detail = "bind_failure", f"errno {errno[1]}"
            return self._unsupervised(line, "bind_failure", None, writer.detail)
        if writer.serving and line.pid is not None:
            stopped = patterns.STOPPED.match(text)
            writer.finished |= stopped is not None and int(stopped[1]) == line.pid
            return ()  # an application that serves prints what it likes
        if missing := patterns.NO_APPLICATION.match(text):
            return self._boot_failure(line, writer, "ImportError", missing[0], missing[1])
        if text.startswith("Application startup failed"):
            return self._lifespan_failed(line, writer, text)
        if stopped := patterns.STOPPED.match(text):
            return self._stopped(line, writer, int(stopped[1]), text.startswith("Stopping"))
        if patterns.ERROR.match(line.text):
            writer.said = redacted(text)[:MESSAGE_KEPT]
        return self._parent_said(line, writer, text)

    def _stopped(self, line: Line, writer: Writer, pid: int, parent: bool) -> tuple[Event, ...]:
        """A process says that it ends; of itself, where the transport names it."""
        process = self._writers.get(line.invocation, pid)
        if line.pid not in (None, pid):
            return ()
        if line.pid is None:
            writer.serving = False  # what follows in the file is another process
            if not parent and self._departures.was_limit():
                process.last_words = "max_requests"
        process.finished = True
        if parent:
            unheard = () if line.pid is None and writer.failed else self._unheard(line)
            silent = (*self.rest(), *unheard, *self._left(line))
            words = writer.last_words
            if words in ("worker_lost", "boot_failure"):
                return (*silent, *self._unsupervised(line, words, pid, writer.detail))
            reason = () if words != "stop" else self._unsupervised(line, "stop", pid, "")
            return (*silent, *reason)
        if self._writers.has_parent(line):
            self._departures.leaves(line.invocation, pid)
            return ()
        if process.last_words == "max_requests":
            return (WorkerEnd(line.at, self.NAME, "max_requests", pid, "request limit reached"),)
        return self._unsupervised(line, "stop", pid, "") if writer.last_words == "stop" else ()

    def _unheard(self, line: Line) -> tuple[Event, ...]:
        detail = "gone without a word"
        gone = self._writers.silent(line)
        return tuple(WorkerEnd(line.at, self.NAME, "unknown", pid, detail) for pid in gone)

    def _left(self, line: Line) -> tuple[Event, ...]:
        """The workers that left without their parent saying a word of it (before uvicorn 0.30)."""
        events: list[Event] = []
        for pid, last in self._departures.left(line.invocation):
            worker = self._writers.get(line.invocation, pid)
            reason = worker.last_words or ("stop" if last else "unknown")
            if not worker.ended:
                events.append(WorkerEnd(line.at, self.NAME, reason, pid, "finished"))
            worker.ended = True
        return tuple(events)

    def _served(self, line: Line, pid: int) -> bool:
        known = (line.invocation, pid) in self._writers
        return known and self._writers.get(line.invocation, pid).serving

    def _usage(self, line: Line, writer: Writer, text: str) -> tuple[Event, ...] | None:
        """What is printed about a command line that is refused; it names no level."""
        if patterns.USAGE.match(text):
            writer.last_words = "usage"
            return ()
        if writer.last_words == "usage" and (refused := patterns.REFUSED.match(text)):
            return self._unsupervised(line, "usage", None, refused[1])
        return None

    def _unsupervised(
        self, line: Line, reason: str, pid: int | None, detail: str
    ) -> tuple[Event, ...]:
        """Tell a server's end by its own words, where no manager's lines will tell of it."""
        if line.pid is not None:
            return ()
        return (ServerEnd(line.at, self.NAME, reason, pid, redacted(detail)[:MESSAGE_KEPT]),)

    def _parent_said(self, line: Line, writer: Writer, text: str) -> tuple[Event, ...]:
        if waiting := patterns.WAITING.match(text):
            if line.pid is None:
                writer.waited_for = int(waiting[1])
            return ()
        if died := patterns.DIED.match(text):
            return self._died(line, writer, int(died[1]))
        if failed := patterns.NOT_STARTED.match(text):
            if writer.last_words == "boot_failure" and line.pid is None:
                return self._unnamed.named(int(failed[1]))  # its own words stand in the same file
            writer.last_words = "worker_lost"
            served = self._served(line, int(failed[1]))
            # it ended with the code that uvicorn itself uses for this, but had started
            reason = "exit_code" if served else "boot_failure"
            return self._worker_ended(line, int(failed[1]), reason)
        if terminated := patterns.TERMINATED.match(text):
            return self._worker_ended(line, int(terminated[1]), self._phase or "stop")
        if received := patterns.RECEIVED.match(text):
            self._phase = patterns.PHASES.get(received[1])
        if text.startswith(("Received SIGTERM", "Received SIGINT", "Shutting down")):
            writer.last_words = writer.last_words or "stop"
        return ()

    def _died(self, line: Line, writer: Writer, pid: int) -> tuple[Event, ...]:
        announced = writer.waited_for == pid
        begun = (line.invocation, pid) in self._writers and not self._served(line, pid)
        if line.pid is None and writer.failed and (announced or begun):
            writer.failed -= 1
            self._writers.get(line.invocation, pid).ended = True
            return self._unnamed.named(pid)  # its own words stand in the same file
        if announced:
            self._writers.get(line.invocation, pid)  # its parent had said so: it is one
        return self._worker_ended(line, pid, None)

    def _crashed(self, line: Line, writer: Writer, traceback: Traceback) -> tuple[Event, ...]:
        foreign = any(traceback.within(package) for package in patterns.OTHERS)
        if foreign or not (writer.spawned or traceback.passed_through(*patterns.LOADER)):
            writer.lifespan = traceback
            return ()
        if writer.serving and line.pid is not None:
            return ()  # an application that serves prints what it likes
        return self._boot_failure(
            line, writer, traceback.exception, traceback.message, traceback.module
        )

    def _lifespan_failed(self, line: Line, writer: Writer, text: str) -> tuple[Event, ...]:
        """Its startup code failed; the traceback before, if there was one, says how."""
        traceback, writer.lifespan = writer.lifespan, None
        if traceback is None:
            reason = f"{writer.said} ({text})" if writer.said else text
            return self._boot_failure(line, writer, "LifespanFailed", reason, None)
        return self._boot_failure(
            line, writer, traceback.exception, traceback.message, traceback.module
        )

    def _boot_failure(
        self,
        line: Line,
        writer: Writer,
        exception: str,
        message: str,
        module: str | None,
    ) -> tuple[Event, ...]:
        has_parent = self._writers.has_parent(line)
        role = "worker" if writer.spawned or has_parent else "server"
        if line.pid is None:
            certain = not writer.serving
        else:
            certain = systemd.starting(self._supervision, line, _BOOT_WINDOW) or (
                role == "worker" and has_parent
            )
        failure = BootFailure(line.at, self.NAME, role, exception, message[:MESSAGE_KEPT], module,
                              line.pid, line.invocation, certain)  # fmt: skip
        writer.last_words, writer.detail = "boot_failure", f"{exception}: {message}"[:MESSAGE_KEPT]
        if role == "worker" and certain and not writer.ended:
            writer.ended = line.pid is not None
            writer.failed += 1
            end = WorkerEnd(line.at, self.NAME, "boot_failure", line.pid, writer.detail)
            if line.pid is not None:
                return (failure, end)
            return (failure, *self._unnamed.add(end))  # its parent says next which it was
        if role == "server" and certain and line.pid is None:
            # Nobody will tell of the end: the words are the last of this process.
            return (failure, ServerEnd(line.at, self.NAME, "boot_failure", None, writer.detail))
        return (failure,)

    def _worker_ended(self, line: Line, pid: int, reason: str | None) -> tuple[Event, ...]:
        known = (line.invocation, pid) in self._writers
        if line.pid is None or not self._writers.parent_known(line):
            # anyone may have written it: only of a process that said its pid
            if not known:
                return ()
        elif not self._writers.get(line.invocation, line.pid).parent:
            return ()
        worker = self._writers.get(line.invocation, pid)
        if worker.ended:
            return ()
        worker.ended = True
        if reason is None or worker.last_words in ("boot_failure", "max_requests"):
            reason = worker.last_words or reason or "unknown"
        return (WorkerEnd(line.at, self.NAME, reason, pid, worker.detail),)

    def _ended(self, line: Line, end: systemd.MainProcessEnd) -> tuple[Event, ...]:
        words, detail, pid = None, "", None
        for invocation, writer_pid, writer in self._writers:
            if invocation == line.invocation and writer.last_words and not writer.spawned:
                words, detail, pid = writer.last_words, writer.detail, writer_pid
        if words == "max_requests":
            words = "stop"
        reason = systemd.server_end_reason(end, words)
        return (ServerEnd(line.at, self.NAME, reason, pid, detail),)
