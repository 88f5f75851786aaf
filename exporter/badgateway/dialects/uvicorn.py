"""uvicorn's log (0.17 to 0.54, as recorded), alone and with ``--workers``.

What counts is who writes. A request can make an application print any of these lines, so a boot
failure is believed only of a process that was not serving, and a worker's death only from the
parent. One worker's end is one event, at the line that gives its reason.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from badgateway.dialects import systemd
from badgateway.dialects import uvicorn_words as patterns
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Traceback
from badgateway.dialects.uvicorn_words import Writer
from badgateway.events import BootFailure, Event, Line, ServerEnd, ServerReady, WorkerEnd
from badgateway.redaction import redacted

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK: Final = "Traceback (most recent call last):"
_ERROR: Final = re.compile(r"^(?:\x1b\[[0-9;]*m)*ERROR")
_LEVEL: Final = re.compile(r"^(?:INFO|WARNING|ERROR|CRITICAL|DEBUG): +(.*)$", re.S)
_LOADER: Final = ("/uvicorn/config.py", "/uvicorn/importer.py", "/uvicorn/main.py")
_BOOT_WINDOW: Final = 300.0
"""Seconds after its start during which a process that has not said it serves counts as starting."""
_PARENTS_REMEMBERED: Final = 4
_WRITERS_KEPT: Final = 256


class Reader:
    """Reads uvicorn's lines."""

    NAME: ClassVar[str] = "uvicorn"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:INFO: {5}|DEBUG: {4}|ERROR: {4}|WARNING: {2}|CRITICAL: )\S"
        r"|^(?:INFO|ERROR): +(?:Started (?:server|parent) process \[|Error loading ASGI app\. "
        r"|Application startup (?:complete|failed)|Child process \[)"
    )

    def __init__(self) -> None:
        self._writers: OrderedDict[tuple[str | None, int | None], Writer] = OrderedDict()
        self._supervision = systemd.Supervision()
        self._reloading = False

    def memory(self) -> dict[str, Any]:
        """Who is the parent of what: said once, at the start, which may be months ago."""
        parents = [list(key) for key, writer in self._writers.items() if writer.parent]
        return {"parents": parents[-_PARENTS_REMEMBERED:]}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        for invocation, pid in remembered.get("parents", ()):
            self._writer(invocation, pid).parent = True

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of uvicorn, of its application or of systemd tells."""
        if line.manager is not None:
            end = self._supervision.read(line)
            return self._ended(line, end) if end else ()
        writer = self._writer(line.invocation, line.pid)
        text = _ANSI.sub("", line.text) if "\x1b" in line.text else line.text
        if (opened := _LEVEL.match(text)) and opened[1].startswith(_TRACEBACK):
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
        message = _LEVEL.match(text)
        if not message:
            return self._usage(line, writer, text)
        return self._said(line, writer, message[1])

    def _said(self, line: Line, writer: Writer, text: str) -> tuple[Event, ...]:
        if started := patterns.STARTED.match(text):
            pid = int(started[2])
            if line.pid in (None, pid):
                process = self._writer(line.invocation, pid)
                process.ended, process.spawned, process.detail = False, False, ""
                process.last_words, writer.last_words = None, None
                process.parent = started[1] == "parent"
                writer.serving = False
                process.serving = False
                if line.pid is None and started[1] == "server":
                    writer.starting = [*writer.starting[-_WRITERS_KEPT:], pid]
            return ()
        if text.startswith("Application startup complete"):
            writer.serving = True
            self._completed(line, writer)
            return (ServerReady(line.at, self.NAME, line.pid),)
        if text.startswith("Maximum request limit of "):
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
            return ()  # an application that serves prints what it likes
        if missing := patterns.NO_APPLICATION.match(text):
            return self._boot_failure(line, writer, "ImportError", missing[0], missing[1])
        if text.startswith("Application startup failed"):
            return self._lifespan_failed(line, writer, text)
        if (stopped := patterns.STOPPED.match(text)) and line.pid is None:
            writer.serving = False  # what follows in the file is another process
            parent = text.startswith("Stopping")
            words = writer.last_words
            if parent and words in ("worker_lost", "boot_failure"):
                return self._unsupervised(line, words, int(stopped[1]), writer.detail)
            if words in ("stop", "max_requests") and (parent or not self._has_parent(line)):
                return self._unsupervised(line, "stop", int(stopped[1]), "")
            return ()
        if _ERROR.match(line.text):
            writer.said = redacted(text)[:MESSAGE_KEPT]
        return self._parent_said(line, writer, text)

    def _completed(self, line: Line, writer: Writer) -> None:
        """Find whose startup is complete where lines do not tell their writer: once all are."""
        writer.complete += 1
        if line.pid is None and writer.complete == len(writer.starting):
            for pid in writer.starting:
                self._writer(line.invocation, pid).serving = True
            writer.starting, writer.complete = [], 0

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
            if writer.waited_for == int(died[1]):
                if writer.failed:
                    writer.failed -= 1
                    return ()  # its own words stand in the same file, and were counted
                self._writer(line.invocation, int(died[1]))  # its parent had said so: it is one
            return self._worker_ended(line, int(died[1]), None)
        if failed := patterns.NOT_STARTED.match(text):
            if writer.last_words == "boot_failure" and line.pid is None:
                return ()  # its own words stand in the same file, and were counted
            writer.last_words = "worker_lost"
            served = self._writers.get((line.invocation, int(failed[1])))
            # it ended with the code that uvicorn itself uses for this, but had started
            reason = "exit_code" if served is not None and served.serving else "boot_failure"
            return self._worker_ended(line, int(failed[1]), reason)
        if terminated := patterns.TERMINATED.match(text):
            reason = "reload" if self._reloading else "stop"
            return self._worker_ended(line, int(terminated[1]), reason)
        if text.startswith("Received SIGHUP"):
            self._reloading = True
        elif text.startswith(("Received SIGTERM", "Received SIGINT", "Shutting down")):
            self._reloading = False
            writer.last_words = writer.last_words or "stop"
        return ()

    def _crashed(self, line: Line, writer: Writer, traceback: Traceback) -> tuple[Event, ...]:
        if not (writer.spawned or traceback.passed_through(*_LOADER)):
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
        has_parent = self._has_parent(line)
        role = "worker" if writer.spawned or has_parent else "server"
        if line.pid is None:
            certain = not writer.serving
        else:
            certain = systemd.starting(self._supervision, line, _BOOT_WINDOW) or (
                role == "worker" and has_parent
            )
        failure = BootFailure(
            line.at, self.NAME, role, exception, message[:MESSAGE_KEPT], module, line.pid,
            line.invocation, certain,
        )  # fmt: skip
        writer.last_words, writer.detail = "boot_failure", f"{exception}: {message}"[:MESSAGE_KEPT]
        if role == "worker" and certain and not writer.ended:
            writer.ended = line.pid is not None
            writer.failed += 1
            end = WorkerEnd(line.at, self.NAME, "boot_failure", line.pid, writer.detail)
            return (failure, end)
        if role == "server" and certain and line.pid is None:
            # Nobody will tell of the end: the words are the last of this process.
            return (failure, ServerEnd(line.at, self.NAME, "boot_failure", None, writer.detail))
        return (failure,)

    def _worker_ended(self, line: Line, pid: int, reason: str | None) -> tuple[Event, ...]:
        known = (line.invocation, pid) in self._writers
        if line.pid is None or not self._parent_known(line):
            # anyone may have written it: only of a process that said its pid
            if not known:
                return ()
        elif not self._writer(line.invocation, line.pid).parent:
            return ()
        worker = self._writer(line.invocation, pid)
        if worker.ended:
            return ()
        worker.ended = True
        if reason is None or worker.last_words in ("boot_failure", "max_requests"):
            reason = worker.last_words or reason or "unknown"
        return (WorkerEnd(line.at, self.NAME, reason, pid, worker.detail),)

    def _ended(self, line: Line, end: systemd.MainProcessEnd) -> tuple[Event, ...]:
        words, detail, pid = None, "", None
        for (invocation, writer_pid), writer in self._writers.items():
            if invocation == line.invocation and writer.last_words and not writer.spawned:
                words, detail, pid = writer.last_words, writer.detail, writer_pid
        if words == "max_requests":
            words = "stop"
        return (
            ServerEnd(
                line.at, self.NAME, systemd.server_end_reason(end, words), pid, detail
            ),
        )  # fmt: skip

    def _has_parent(self, line: Line) -> bool:
        """A parent process of this invocation has announced itself, and it is not the writer."""
        return any(
            invocation == line.invocation and writer.parent and pid != line.pid
            for (invocation, pid), writer in self._writers.items()
        )

    def _forget(self) -> None:
        """Drop what wrote longest ago: workers before parents, which write only once."""
        workers = (key for key, writer in self._writers.items() if not writer.parent)
        oldest = next(workers, None)
        if len(self._writers) > 2 * _WRITERS_KEPT or oldest is None:
            self._writers.popitem(last=False)
        else:
            del self._writers[oldest]

    def _parent_known(self, line: Line) -> bool:
        """A parent process of this invocation has announced itself."""
        return any(
            invocation == line.invocation and writer.parent
            for (invocation, _), writer in self._writers.items()
        )

    def _writer(self, invocation: str | None, pid: int | None) -> Writer:
        key = (invocation, pid)
        writer = self._writers.get(key)
        if writer is None:
            writer = self._writers[key] = Writer()
            if len(self._writers) > _WRITERS_KEPT:
                self._forget()
        return writer
