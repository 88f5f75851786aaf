"""gunicorn's log (20.1 to 27.0, as recorded).

Lines are ``[TIME] [PID] [LEVEL] text``; the pid in the prefix is the writer's, and where the
transport vouches for another one the line is somebody's print. One worker's end is told on up to
four lines: it is one event, at the first line that gives its reason. What the master says of a
worker is believed only of the master: the process that said it listens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from badgateway.dialects import gunicorn_words as words
from badgateway.dialects.gunicorn_masters import Master, Masters
from badgateway.dialects.gunicorn_workers import Process, Workers
from badgateway.dialects.lastwords import LastWords
from badgateway.dialects.requests import Newest
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Traceback
from badgateway.events import BootFailure, Event, Line, ServerReady
from badgateway.redaction import redacted


class Reader:
    """Reads gunicorn's lines."""

    NAME: ClassVar[str] = "gunicorn"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        f"{words.PREFIX.pattern.replace('(.*)$', f'(?!{words.NOT_OURS})')}"
        f"|{words.USAGE.pattern}|{words.REFUSED.pattern}",
        re.S,
    )

    def __init__(self) -> None:
        self.requests = Newest()
        self._masters = Masters()
        self._words = LastWords(self.NAME)
        self._workers = Workers(self._masters, self._words)
        self._writer: int | None = None

    def memory(self) -> dict[str, Any]:
        """Who is whose master: said once, which may be months ago."""
        return {"masters": self._masters.remembered()}

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        self._masters.recall(remembered.get("masters", ()))
        self._workers.remember()

    def rest(self) -> tuple[Event, ...]:
        """Return what was held back: nothing more is written."""
        ends = [end for _, master in self._masters for end in self._obeyed(master)]
        return (*self._workers.rest(), *ends)

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of gunicorn, of its application or of systemd tells."""
        self.requests.note(line)
        if line.manager is not None:
            return (*self._workers.rest(), *self._words.managed(line))
        prefix = words.PREFIX.match(line.text)
        own = words.clock(prefix[1]) if prefix else None
        late = self._workers.late(line, own)
        self._workers.now = line.at if own is None else own
        told = self._unprefixed(line) if prefix is None else self._prefixed(line, prefix)
        return (*late, *(told or ())) if late else told

    def _prefixed(self, line: Line, prefix: re.Match[str]) -> tuple[Event, ...]:
        pid, text = int(prefix[2]), prefix[3]
        if line.pid is not None and line.pid != pid:
            return ()  # somebody prints another process' words
        self._writer = pid
        if line.text.endswith("] [INFO] ", 0, prefix.start(3)):
            self._workers.informed = line.invocation
        process = self._workers.get(line, pid)
        before = self._replaced(line) if words.STARTING.match(text) else ()
        master = self._master(line, pid, process, text)
        if master is not None:
            return (*before, *self._master_said(line, master, text))
        return self._worker_said(line, pid, process, text)

    def _replaced(self, line: Line) -> tuple[Event, ...]:
        """The end of the master before, which was asked to end and then said no more."""
        master = self._masters.latest(line.invocation)
        if master is None or master.asked is None or master.upgrading:
            return ()
        return (*self._workers.rest(), *self._obeyed(master))

    def _master(self, line: Line, pid: int, process: Process, text: str) -> Master | None:
        """Return the master that the writer is."""
        known = self._masters.get(line.invocation, pid)
        if starting := words.STARTING.match(text):
            self._words.begin()
            self._words.process = pid
            return self._masters.begin(line.invocation, pid, self._workers.now, int(starting[1]))
        if known is not None:
            return known
        if text.startswith("Listening at: "):
            return self._masters.begin(line.invocation, pid, self._workers.now, None)
        if self._masters.latest(line.invocation) is not None or process.booted is not None:
            return None
        # its first lines are out of sight: what only a master says makes it one
        said = (words.TIMEOUT, words.SENT, words.TERMINATED, words.EXITED, words.SIGNAL)
        if any(pattern.match(text) for pattern in said) or text.startswith(
            (*words.BIND_FAILURES, words.SHUT)
        ):
            return self._masters.begin(line.invocation, pid, self._workers.now, None)
        return None

    # -- the master

    def _master_said(self, line: Line, master: Master, text: str) -> tuple[Event, ...]:
        for pattern in (words.TIMEOUT, words.SENT, words.TERMINATED, words.EXITED):
            if told := pattern.match(text):
                return self._workers.told_of(line, master, pattern, told, text)
        if signal := words.SIGNAL.match(text):
            return self._signalled(line, master, signal[1], text)
        if text.startswith(words.REASON):
            if master.asked is not None:  # nobody had asked it to end
                master.phase, master.asked = None, None
                held = self._workers.halted(master)
                return (*held, *self._over(line, master, "boot_failure", text))
            silent = self._workers.unheard(line, master, "boot_failure")
            return (*silent, *self._over(line, master, "boot_failure", text))
        if text.startswith(words.SHUT):
            if master.phase is None and not (master.halting or master.version):
                master.phase, master.asked = "stop", line  # out of sight, or a reason follows
                return ()
            held = self._workers.rest()
            if text.startswith(f"{words.SHUT}."):
                master.second = True
            reason = master.phase
            if reason not in ("stop", "upgrade"):
                return held
            return (
                *held,
                *self._workers.unheard(line, master),
                *self._over(line, master, reason, text),
            )
        if text.startswith(words.BIND_FAILURES) or (
            text.startswith("connection to (") and "failed" in text
        ):
            self._words.say(line, "bind_failure", text)
            if text.startswith("Can't connect to "):
                return self._over(line, master, "bind_failure", text)
        return ()

    def _signalled(self, line: Line, master: Master, name: str, text: str) -> tuple[Event, ...]:
        phase = words.PHASES.get(name)
        if name == "usr2":
            master.upgrading = True
        if phase == "stop" and master.is_replaced:
            phase = "upgrade"
        if phase == "stop":
            self._words.say(line, "stop", text)
        if name in words.ENDING:
            master.asked = line
        return self._workers.enters(line, master, phase)

    def _obeyed(self, master: Master) -> tuple[Event, ...]:
        """The end of a master that was asked to end, and of which no more is said."""
        line, master.asked = master.asked, None
        reason = "upgrade" if master.phase == "upgrade" else "stop"
        return () if line is None else self._over(line, master, reason, line.text)

    def _over(self, line: Line, master: Master, reason: str, text: str) -> tuple[Event, ...]:
        """A master ends."""
        master.asked = None
        if master.over:
            return ()
        master.over = True
        before = master.predecessor
        serves_on = before is not None and not before.over
        if reason == "boot_failure" and (serves_on or master.second):
            reason = "upgrade_failed"
        self._words.begin()
        return self._words.unsupervised(line, reason, text, master.pid)

    # -- a worker

    def _worker_said(self, line: Line, pid: int, process: Process, text: str) -> tuple[Event, ...]:
        if booting := words.BOOTING.match(text):
            return self._workers.born(line, int(booting[1])) if int(booting[1]) == pid else ()
        if text.startswith("Exception in worker process"):
            process.failing = True
        elif text.startswith(words.RECYCLED):
            process.reason, process.reason_at = "max_requests", self._workers.now
        elif text.startswith(words.RELOADED):
            process.reason, process.reason_at = "reload", self._workers.now
        elif text.startswith(words.UVICORN):
            process.uvicorn = True
        elif text.startswith("Application startup complete"):
            return (ServerReady(line.at, self.NAME, line.pid),)
        elif text.startswith(words.LIFESPAN_FAILURES) and process.booted is not None:
            process.failing = True
            return self._boot_failure(line, pid, "LifespanFailed", text, None)
        elif text.startswith("Parent changed"):
            return self._orphaned(line, pid, text)
        elif (exiting := words.EXITING.match(text)) and int(exiting[1]) == pid:
            return self._workers.exiting(line, pid, process, text)
        return ()

    def _orphaned(self, line: Line, pid: int, text: str) -> tuple[Event, ...]:
        master = self._masters.of_worker(line.invocation, pid)
        ended = self._workers.ended(line, pid, "orphaned", text)
        if master is None:
            return ended
        return (*ended, *self._over(line, master, "unknown", text))

    # -- lines without a prefix

    def _unprefixed(self, line: Line) -> tuple[Event, ...] | None:
        """A traceback of a worker that boots, or the bare words of one that cannot."""
        writer = line.pid if line.pid is not None else self._writer
        process = self._workers.get(line, writer)
        if halted := words.HALTED.search(line.text):
            self._words.say(line, "boot_failure", halted[1])
            if line.text.startswith(("gunicorn.errors.HaltServer: ", "HaltServer: ")):
                process.traceback.feed(line.text)
                return self._halted(line, halted[1])
        refused = words.USAGE.match(line.text) or words.REFUSED.match(line.text)
        if refused:
            alive = self._masters.any_alive(line.invocation)
            if alive and (line.pid is not None or line.text.startswith(("E", "F"))):
                return ()  # an application that serves prints what it likes
            self._words.begin()
            return self._words.unsupervised(line, "usage", refused[1])
        collected = process.traceback.feed(line.text)
        if isinstance(collected, Traceback):
            return self._crashed(line, writer, process, collected)
        if collected:
            return ()
        if words.ATTRIBUTE.match(line.text):
            alive = self._masters.any_alive(line.invocation)
            if line.pid is None and alive:
                self._workers.bare += 1  # whose it is, its next line tells
            elif alive and process.booted is None:
                return ()
            else:
                process.failing = alive
            failure = self._boot_failure(line, writer, "AttributeError", line.text, None)
            if alive:
                return failure
            return (*failure, *self._ended_without_master(line, "boot_failure", line.text))
        return None

    def _crashed(
        self, line: Line, writer: int | None, process: Process, traceback: Traceback
    ) -> tuple[Event, ...]:
        if traceback.exception == "HaltServer":
            return ()
        preloading = traceback.passed_through("/gunicorn/util.py") and not traceback.within(
            "/gunicorn/workers/"
        )
        if not (process.failing or traceback.passed_through("/gunicorn/util.py")):
            return ()
        if preloading and not traceback.within("/gunicorn/app/wsgiapp.py"):
            return ()
        failure = self._boot_failure(
            line, writer, traceback.exception, traceback.message, traceback.module
        )
        if not preloading or process.failing or self._masters.any_alive(line.invocation):
            return failure
        detail = f"{traceback.exception}: {traceback.message}"
        return (*failure, *self._ended_without_master(line, "boot_failure", detail))

    # -- what follows

    def _boot_failure(
        self, line: Line, pid: int | None, exception: str, message: str, module: str | None
    ) -> tuple[Event, ...]:
        process = self._workers.get(line, pid)
        certain = process.failing and (process.booted is not None or line.pid is None)
        detail = f"{exception}: {message}"[:MESSAGE_KEPT]
        self._words.say(line, "boot_failure", detail)
        role = "server" if process.booted is None and not process.failing else "worker"
        return (
            BootFailure(
                line.at, self.NAME, role, exception, redacted(message)[:MESSAGE_KEPT], module, pid,
                line.invocation, certain,
            ),
        )  # fmt: skip

    def _ended_without_master(self, line: Line, reason: str, text: str) -> tuple[Event, ...]:
        """The end of a server whose master does not speak for itself."""
        master = self._masters.get(line.invocation, self._writer)
        master = master or self._masters.latest(line.invocation)
        if master is not None and not master.over:
            return self._over(line, master, reason, text)
        self._words.begin()
        return self._words.unsupervised(line, reason, text)

    def _halted(self, line: Line, text: str) -> tuple[Event, ...]:
        """A master that halts while it halts only leaves a traceback."""
        halting = [m for of, m in self._masters if of == line.invocation and m.halting]
        for master in halting:
            if not master.over:
                return (*self._workers.unheard(line, master, "boot_failure"),
                        *self._over(line, master, "boot_failure", text))  # fmt: skip
        if halting or self._masters.any_alive(line.invocation):
            return ()
        return self._ended_without_master(line, "boot_failure", text)
