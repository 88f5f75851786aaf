"""gunicorn's log (20.1 to 27.0, as recorded).

Lines are ``[TIME] [PID] [LEVEL] text``; the pid in the prefix is the writer's, and where the
transport vouches for another one the line is somebody's print. One worker's end is told on up to
four lines: it is one event, at the first line that gives its reason. What the master says of a
worker is believed only of the master: the process that said it listens.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import ClassVar, Final

from badgateway.dialects import systemd
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Collector, Traceback
from badgateway.events import BootFailure, Event, Line, ServerEnd, ServerReady, WorkerEnd
from badgateway.redaction import redacted

_PREFIX: Final = re.compile(
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?\] \[(\d+)\] \[([A-Z]+)\] (.*)$", re.S
)
_TIMEOUT: Final = re.compile(r"^WORKER TIMEOUT \(pid: ?(\d+)\)")
_SENT: Final = re.compile(r"^Worker \(pid:(\d+)\) was sent (SIG[A-Z]+|code \d+)!")
_TERMINATED: Final = re.compile(r"^Worker with pid (\d+) was terminated due to signal (\d+)")
_EXITED: Final = re.compile(r"^Worker \(pid:(\d+)\) exited with code (\d+)")
_BOOTING: Final = re.compile(r"^Booting worker with pid: (\d+)")
_EXITING: Final = re.compile(r"^Worker exiting \(pid: (\d+)\)")
_HALTED: Final = re.compile(r"HaltServer: <HaltServer '([^']+)' (\d+)>")
_SIGNAL: Final = re.compile(r"^Handling signal: (\w+)")
_ATTRIBUTE: Final = re.compile(r"^Failed to find attribute '[^']{1,100}' in '[^']{1,100}'")
_SHUT: Final = "Shutting down: Master"
_USAGE: Final = re.compile(r"^gunicorn(?:\.py)?: error: (.{1,200})")

_PHASES: Final = {
    "term": "stop", "int": "stop", "quit": "stop", "hup": "reload", "usr2": "reload",
    "ttou": "scale_down", "winch": "stop",
}  # fmt: skip
_MEMORY_FAULTS: Final = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "7", "11", "4", "8"}
_BIND_FAILURES: Final = ("Connection in use: ", "Can't connect to ", "Invalid address: ")
_LIFESPAN_FAILURES: Final = ("Application startup failed", "ASGI lifespan startup failed")
_BOOT_CODES: Final = (3, 4)
_PROCESSES_KEPT: Final = 512


@dataclass(slots=True)
class _Process:
    """What is known of one process."""

    traceback: Collector = field(default_factory=Collector)
    master: bool = False
    booted: float | None = None
    failing: bool = False
    ended: bool = False
    reason: str | None = None


class Reader:
    """Reads gunicorn's lines."""

    NAME: ClassVar[str] = "gunicorn"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(f"{_PREFIX.pattern}|{_USAGE.pattern}", re.S)

    def __init__(self) -> None:
        self._processes: OrderedDict[tuple[str | None, int | None], _Process] = OrderedDict()
        self._supervision = systemd.Supervision()
        self._phase: str | None = None
        self._last_words: dict[str | None, tuple[str, str]] = {}
        self._writer: int | None = None
        self._over = False
        self._halting = False
        self._upgrading = False

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of gunicorn, of its application or of systemd tells."""
        if line.manager is not None:
            end = self._supervision.read(line)
            return self._server_ended(line, end) if end else ()
        prefix = _PREFIX.match(line.text)
        if prefix is None:
            return self._unprefixed(line)
        pid, text = int(prefix[1]), prefix[3]
        if line.pid is not None and line.pid != pid:
            return ()  # somebody prints another process' words
        self._writer = pid
        process = self._process(line, pid)
        if process.master or text.startswith(("Starting gunicorn ", "Listening at: ")):
            process.master = True
            return self._master_said(line, text)
        if not self._master_known(line):
            # its first lines are out of sight: what only a master says makes it one
            if _TIMEOUT.match(text) or _SENT.match(text) or _TERMINATED.match(text):
                process.master = line.pid is None or process.booted is None
                return self._master_said(line, text) if process.master else ()
            if text.startswith(_BIND_FAILURES):
                process.master = True
                return self._master_said(line, text)
        return self._worker_said(line, pid, process, text)

    # -- who says what

    def _master_said(self, line: Line, text: str) -> tuple[Event, ...]:
        if timeout := _TIMEOUT.match(text):
            return self._worker_ended(line, int(timeout[1]), "timeout", text)
        if sent := _SENT.match(text):
            return self._worker_ended(line, int(sent[1]), self._killed(sent[2]), text)
        if terminated := _TERMINATED.match(text):
            return self._worker_ended(line, int(terminated[1]), self._killed(terminated[2]), text)
        if exited := _EXITED.match(text):
            pid, code = int(exited[1]), int(exited[2])
            self._halting = self._halting or code in _BOOT_CODES
            reason = "boot_failure" if code in _BOOT_CODES else self._exit(code)
            return self._worker_ended(line, pid, reason, text)
        if signal := _SIGNAL.match(text):
            self._phase = _PHASES.get(signal[1])
            self._upgrading = signal[1] == "usr2"
            if self._phase == "stop":
                self._say(line, "stop", text)
        elif text.startswith("Starting gunicorn "):
            self._over, self._halting, self._phase = False, False, None
        elif text.startswith(("Reason: ", "Worker failed to boot", "App failed")):
            self._say(line, "boot_failure", text)
            return self._unsupervised(line, "boot_failure", text)
        elif text.startswith(_SHUT) and self._phase == "stop":
            return self._unsupervised(line, "stop", text)
        elif text.startswith(_BIND_FAILURES) or (
            text.startswith("connection to (") and "failed" in text
        ):
            self._say(line, "bind_failure", text)
            if text.startswith("Can't connect to "):
                return self._unsupervised(line, "bind_failure", text)
        return ()

    def _worker_said(self, line: Line, pid: int, process: _Process, text: str) -> tuple[Event, ...]:
        if booting := _BOOTING.match(text):
            born = self._process(line, int(booting[1]))
            born.booted, born.ended, born.failing, born.reason = line.at, False, False, None
            return ()
        if text.startswith("Exception in worker process"):
            process.failing = True
            return ()
        if text.startswith(("Autorestarting worker", "Maximum request limit of ")):
            process.reason = "max_requests"
        elif text.startswith("Application startup complete"):
            return (ServerReady(line.at, self.NAME, line.pid),)
        elif text.startswith(_LIFESPAN_FAILURES) and process.booted is not None:
            process.failing = True
            return self._boot_failure(line, pid, "LifespanFailed", text, None)
        elif text.startswith("Parent changed"):
            return self._worker_ended(line, pid, "orphaned", text)
        elif (exiting := _EXITING.match(text)) and int(exiting[1]) == pid:
            if process.failing:
                return self._worker_ended(line, pid, "boot_failure", text)
            reason = process.reason or self._phase
            if reason is not None:
                return self._worker_ended(line, pid, reason, text)
        return ()

    def _unprefixed(self, line: Line) -> tuple[Event, ...] | None:
        """A traceback of a worker that boots, or the bare words of one that cannot."""
        writer = line.pid if line.pid is not None else self._writer
        process = self._process(line, writer)
        if halted := _HALTED.search(line.text):
            self._say(line, "boot_failure", halted[1])
            if line.text.startswith(("gunicorn.errors.HaltServer: ", "HaltServer: ")):
                process.traceback.feed(line.text)
                return self._unsupervised(line, "boot_failure", halted[1])
        if usage := _USAGE.match(line.text):
            self._say(line, "usage", usage[1])
            self._over = False
            return self._unsupervised(line, "usage", usage[1])
        collected = process.traceback.feed(line.text)
        if isinstance(collected, Traceback):
            booting = process.failing or collected.passed_through("/gunicorn/util.py")
            if not booting or collected.exception == "HaltServer":
                return ()
            return self._boot_failure(
                line, writer, collected.exception, collected.message, collected.module
            )
        if collected:
            return ()
        if _ATTRIBUTE.match(line.text) and writer is not None:
            process.failing = True
            return self._boot_failure(line, writer, "AttributeError", line.text, None)
        return None

    # -- what follows

    def _boot_failure(
        self, line: Line, pid: int | None, exception: str, message: str, module: str | None
    ) -> tuple[Event, ...]:
        process = self._process(line, pid)
        certain = process.failing and (process.booted is not None or line.pid is None)
        detail = f"{exception}: {message}"[:MESSAGE_KEPT]
        self._say(line, "boot_failure", detail)
        role = "server" if process.booted is None and not process.failing else "worker"
        return (
            BootFailure(
                line.at, self.NAME, role, exception, message[:MESSAGE_KEPT], module, pid,
                line.invocation, certain,
            ),
        )  # fmt: skip

    def _worker_ended(self, line: Line, pid: int, reason: str, text: str) -> tuple[Event, ...]:
        process = self._process(line, pid)
        if process.ended:
            return ()
        process.ended = True
        if process.failing and reason not in ("timeout", "oom"):
            reason = "boot_failure"
        elif process.reason is not None and reason in ("exit_code", "stop", "external_term"):
            reason = process.reason
        return (WorkerEnd(line.at, self.NAME, reason, pid, text[:MESSAGE_KEPT]),)

    def _server_ended(self, line: Line, end: systemd.MainProcessEnd) -> tuple[Event, ...]:
        words, detail = self._last_words.pop(line.invocation, (None, ""))
        reason = systemd.server_end_reason(end, words)
        return (ServerEnd(line.at, self.NAME, reason, None, detail),)

    def _unsupervised(self, line: Line, reason: str, text: str) -> tuple[Event, ...]:
        """Tell a server's end by its own words, where no manager's lines will tell of it."""
        if line.pid is not None or self._over:
            return ()
        self._over = True
        if self._upgrading and reason == "boot_failure":
            self._upgrading, reason = False, "upgrade_failed"  # the old master serves on
        return (ServerEnd(line.at, self.NAME, reason, self._writer, redacted(text)[:MESSAGE_KEPT]),)

    def _killed(self, signal: str) -> str:
        """Why a worker was killed by a signal, or by ``code N`` with a core dump."""
        if signal.startswith("code "):
            number = int(signal.removeprefix("code ")) & 0x7F
            signal = str(number)
        if signal in ("SIGTERM", "15", "SIGINT", "2", "SIGQUIT", "3"):
            # a master that halts over a worker that could not boot ends the others
            return self._phase or ("stop" if self._halting else "external_term")
        if signal in ("SIGKILL", "9"):
            return "stop_timeout" if self._phase == "stop" else "sigkill"
        return "segfault" if signal in _MEMORY_FAULTS else "signal"

    def _exit(self, code: int) -> str:
        return self._phase or "exit_code" if code else "unknown"

    def _say(self, line: Line, reason: str, detail: str) -> None:
        """Keep the gravest of a server's last words."""
        known = self._last_words.get(line.invocation)
        if known is None or known[0] == "stop" or reason != "stop":
            self._last_words[line.invocation] = (reason, detail[:MESSAGE_KEPT])
        while len(self._last_words) > 8:
            del self._last_words[next(iter(self._last_words))]

    def _master_known(self, line: Line) -> bool:
        return any(
            invocation == line.invocation and process.master
            for (invocation, _), process in self._processes.items()
        )

    def _process(self, line: Line, pid: int | None) -> _Process:
        key = (line.invocation, pid)
        process = self._processes.get(key)
        if process is None:
            process = self._processes[key] = _Process()
            while len(self._processes) > _PROCESSES_KEPT:
                self._processes.popitem(last=False)
        return process
