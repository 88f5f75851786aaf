"""uWSGI's log (2.0.31 as recorded; texts of 1.9 to 2.0, ``core/master*.c`` and ``core/uwsgi.c``).

The master tells of its workers by number and pid. What it says is believed of the master only,
where the transport names the writer, and otherwise of workers whose birth the log has seen. A
worker that is *done* reached its number of requests or, where ``reload-on-rss`` is set, its
memory: the log does not say which, and it is told as the former.

A *brutal* killing is uWSGI's answer to SIGTERM, after which it starts anew: whether a stop was
meant, only who sent the signal knows, so it is no event of a worker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from badgateway.dialects.lastwords import LastWords
from badgateway.dialects.roster import Roster
from badgateway.dialects.tracebacks import MESSAGE_KEPT, Collector, Traceback
from badgateway.events import BootFailure, Event, Line, ServerReady, WorkerEnd
from badgateway.redaction import redacted

_DATED: Final = re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} - ")
_MASTER: Final = re.compile(r"^(?:gracefully \(RE\))?spawned uWSGI master process \(pid: (\d+)\)")
_BORN: Final = re.compile(
    r"^(?:spawned|Respawned) uWSGI worker (\d+) (?:\(and the only\) )?\((?:new )?pid: (\d+)"
)
_DIED: Final = re.compile(
    r"^DAMN ! worker (\d+) \(pid: (\d+)\) (?:died|MISTERIOUSLY)(?:,? killed by signal (\d+))?"
)
_HARAKIRI: Final = re.compile(r"^\*\*\* HARAKIRI ON WORKER (\d+) \(pid: (\d+)")
_MUST: Final = re.compile(r"must kill myself \(pid: (\d+)", re.I)
_FAULT: Final = re.compile(
    r"^!!! uWSGI process (\d+) got (?:Segmentation Fault|Floating Point Exception|FPE)"
)
_MONITORED: Final = re.compile(
    r"^\.\.\. ?monitored exception detected, respawning worker (\d+) \(pid: (\d+)\)"
)
_LIFETIME: Final = re.compile(r"^worker (\d+) lifetime reached")
_DONE: Final = re.compile(r"^\.\.\. ?The work of process (\d+) is done\. Seeya!")
_KILLED: Final = re.compile(r"^worker (\d+) killed successfully \(pid: (\d+)\)")
_CHEAPED: Final = re.compile(r"^uWSGI worker (\d+) cheaped\.")
_BURIED: Final = re.compile(r"^worker (\d+) buried after \d+ seconds?")
_MERCY: Final = re.compile(r"^worker (\d+) \(pid: (\d+)\) is taking too much time to die")
_DISCONNECTED: Final = re.compile(
    r"^(?:uWSGI worker (\d+) error: the master disconnected|UAAAAAAH my (?:master|parent) d)"
)
_STOPPING: Final = re.compile(r"^(?:SIGINT/SIG(?:TERM|QUIT)|SIGTERM) received\.\.\.killing workers")
_NO_CALLABLE: Final = re.compile(r'^unable to find "?[^"]{1,200}"? callable in file ')
_NOT_LOADED: Final = re.compile(r"^unable to load app \d+ \(mountpoint=")
_READY: Final = re.compile(r"^WSGI app \d+ \(mountpoint='.{0,400}'\) ready in ")
_BIND: Final = re.compile(r"^(?:bind|listen)\(\): (.{1,200})")
_OTHER_INSTANCE: Final = "probably another instance of uWSGI is running on the same address"
_REFUSED: Final = re.compile(
    r"^(?:(?:\S{0,300}/)?uwsgi: ((?:unrecognized|invalid|option|ambiguous|unknown) .{1,200})"
    r"|getopt_long\(\) error)"
)
_MEMORY_FAULTS: Final = ("11", "7", "4", "8")
_GAME_OVER: Final = "*** no app loaded. GAME OVER ***"


class Reader:
    """Reads uWSGI's lines."""

    NAME: ClassVar[str] = "uwsgi"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} - )?"
        r"(?:\*\*\* (?:Starting|Operational MODE|HARAKIRI ON|uWSGI is running|no app loaded)\b"
        r"|DAMN ! worker \d|(?:spawned|Respawned|gracefully \(RE\)spawned) uWSGI "
        r"|\.\.\. ?The work of process \d+ is done\. Seeya!|\.\.\. ?monitored exception detected"
        r"|\.\.\.(?:gracefully|brutally) killing workers\.\.\.|F\*CK !!! i must kill myself"
        r"|SIGINT/SIG(?:TERM|QUIT) received\.\.\.killing|goodbye to uWSGI\.|!!! uWSGI process \d"
        r"|uWSGI worker \d+ (?:error|cheaped)|UAAAAAAH my |worker \d+ (?:lifetime reached"
        r"|buried after|killed successfully|\(pid: \d+\) is taking too much)"
        r"|unable to load app \d+ \(mountpoint=|WSGI app \d+ \(mountpoint=|getopt_long\(\) error"
        r"|probably another instance of uWSGI|\[pid: \d+\|app: |binary reloading uWSGI"
        r"|HARAKIRI (?:!!!|\[core|triggered)|(?:\S{0,300}/)?uwsgi: (?:unrecognized|invalid) option)"
    )

    def __init__(self) -> None:
        self._words = LastWords(self.NAME)
        self._roster = Roster()
        self._phase: str | None = None
        self._traceback = Collector()
        self._failure: Traceback | None = None
        self._complaint = ""

    def memory(self) -> dict[str, Any]:
        """Who is the master and who its workers: said once, which may be months ago."""
        return self._roster.memory()

    def recall(self, remembered: Mapping[str, Any]) -> None:
        """Take up what ``memory`` returned."""
        self._roster.recall(remembered)

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line of uWSGI, of its application or of systemd tells."""
        if line.manager is not None:
            return self._words.managed(line)
        text = _DATED.sub("", line.text, count=1)
        if text.startswith(("*** Starting uWSGI ", "binary reloading uWSGI")):
            return self._begins(line)
        if master := _MASTER.match(text):
            if line.pid in (None, int(master[1])):
                self._roster.master_is(line, int(master[1]))
                self._words.process = int(master[1])
            return ()
        if born := _BORN.match(text):
            if self._roster.may_speak(line):
                self._roster.born(line, born[1], int(born[2]))
                self._phase = None
            return ()
        return self._of_itself(line, text) or self._of_workers(line, text) or self._else(line, text)

    def _begins(self, line: Line) -> tuple[Event, ...]:
        if self._roster.may_speak(line) or line.text.startswith("***"):
            self._roster.forget(line)
            self._words.begin()
            self._phase, self._failure, self._complaint = None, None, ""
        return ()

    # -- what the master says of workers

    def _of_workers(self, line: Line, text: str) -> tuple[Event, ...] | None:
        if died := _DIED.match(text):
            return self._ended(line, int(died[2]), _killed(died[3]), text)
        for pattern, reason in (
            (_HARAKIRI, "timeout"), (_MONITORED, "exit_code"), (_MERCY, "stop_timeout"),
        ):  # fmt: skip
            if told := pattern.match(text):
                return self._ended(line, int(told[2]), reason, text)
        if killed := _KILLED.match(text):
            reason = "reload" if self._phase == "reload" else "external_term"
            return self._ended(line, int(killed[2]), reason, text)
        for pattern, reason in ((_LIFETIME, "max_lifetime"), (_CHEAPED, "scale_down")):
            if told := pattern.match(text):
                return self._numbered(line, told[1], reason, text)
        if buried := _BURIED.match(text):
            if self._phase is None:
                return ()
            return self._numbered(line, buried[1], self._phase, text)
        if text.startswith("...gracefully killing workers"):
            self._phase = "reload" if self._roster.may_speak(line) else self._phase
            return ()
        if text.startswith("...brutally killing workers"):
            self._phase = None if self._roster.may_speak(line) else self._phase
            return ()
        if _STOPPING.match(text):
            if self._roster.may_speak(line):
                self._phase = "stop"
                self._words.say(line, "stop", text)
            return ()
        if text.startswith("goodbye to uWSGI."):
            return self._words.unsupervised(line, "stop", text) if self._phase == "stop" else ()
        return None

    # -- what a worker says of itself

    def _of_itself(self, line: Line, text: str) -> tuple[Event, ...] | None:
        for pattern, reason in ((_DONE, "max_requests"), (_FAULT, "segfault")):
            if told := pattern.match(text):
                pid = int(told[1])
                return self._ended(line, pid, reason, text) if line.pid in (None, pid) else ()
        if (must := _MUST.search(text)) and text.startswith("F*CK !!! "):
            pid = int(must[1])
            return self._ended(line, pid, "timeout", text) if line.pid in (None, pid) else ()
        if left := _DISCONNECTED.match(text):
            own = line.pid if line.pid is not None else self._roster.pid(line, left[1])
            ended = self._ended(line, own, "orphaned", text) if own is not None else ()
            return (*ended, *self._words.unsupervised(line, "unknown", text)) if ended else ()
        return None

    # -- how it starts

    def _else(self, line: Line, text: str) -> tuple[Event, ...] | None:
        collected = self._traceback.feed(text)
        if isinstance(collected, Traceback):
            self._failure = collected
            return ()
        if collected:
            return ()
        if _NO_CALLABLE.match(text):
            self._complaint = text
            return ()
        if _NOT_LOADED.match(text):
            return self._not_loaded(line, text)
        if text.startswith(_GAME_OVER):
            if self._roster.serves(line):
                return ()  # an application that serves prints what it likes
            return self._words.unsupervised(line, "boot_failure", self._complaint or text)
        if _READY.match(text):
            self._failure = None
            return (ServerReady(line.at, self.NAME, line.pid),)
        if text.startswith(_OTHER_INSTANCE) or _BIND.match(text):
            if self._roster.serves(line):
                return ()
            self._words.say(line, "bind_failure", text)
            told = not text.startswith(_OTHER_INSTANCE)
            return self._words.unsupervised(line, "bind_failure", text) if told else ()
        if refused := _REFUSED.match(text):
            if self._roster.serves(line):
                return ()
            return self._words.unsupervised(line, "usage", refused[1] or text)
        return () if self.SIGNATURE.match(line.text) else None

    def _not_loaded(self, line: Line, text: str) -> tuple[Event, ...]:
        failure, self._failure = self._failure, None
        self._complaint = self._complaint or text
        exception = failure.exception if failure else "ImportError"
        message = failure.message if failure else self._complaint
        self._complaint = f"{exception}: {message}"
        serves = self._roster.serves(line)
        role = "worker" if serves else "server"
        certain = not serves
        if not serves:
            self._words.say(line, "boot_failure", self._complaint)
        return (
            BootFailure(
                line.at, self.NAME, role, exception, redacted(message)[:MESSAGE_KEPT],
                failure.module if failure else None, line.pid, line.invocation, certain,
            ),
        )  # fmt: skip

    # -- ends

    def _numbered(self, line: Line, number: str, reason: str, text: str) -> tuple[Event, ...]:
        pid = self._roster.pid(line, number)
        return self._ended(line, pid, reason, text) if pid is not None else ()

    def _ended(self, line: Line, pid: int, reason: str, text: str) -> tuple[Event, ...]:
        own = line.pid is not None and line.pid == pid
        if not own and not self._roster.may_speak(line):
            return ()
        if not self._roster.end(line, pid):
            return ()
        return (WorkerEnd(line.at, self.NAME, reason, pid, redacted(text)[:MESSAGE_KEPT]),)


def _killed(signal: str | None) -> str:
    if signal is None:
        return "unknown"  # an exit code, or a signal other than 9: uWSGI does not say
    if signal == "9":
        return "sigkill"
    return "segfault" if signal in _MEMORY_FAULTS else "signal"
