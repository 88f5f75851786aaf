"""What systemd itself writes about a unit's main process (systemd 252, its message catalogue).

PID 1's messages carry ``MESSAGE_ID`` and typed fields; the text is never needed.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final

from badgateway.events import KilledOnOrder, Line, Starved

STARTED: Final = "39f53479d3a045ac8e11786248231fbf"
STOPPING: Final = "de5b426a63be47a7b6ac3eaac82e2f6f"
PROCESS_EXITED: Final = "98e322203f7a4ed290d09fe03c09fe15"
DEACTIVATED: Final = "7ad2d189f7e94e70a38c781354912448"
FAILED: Final = "d9b373ed55a64feb8242e02dbe79a49c"
START_LIMIT: Final = "be02cf6855d2428ba40df7e9d022f03d"
OOM: Final = "fe6faa94e7774663a0da52717891d8ef"
OOMD_KILL: Final = "d989611b15e44c9dbf31e3c81256e4ed"

_STOP_WINDOW: Final = 120.0
"""Seconds that a unit may take to stop after one of its processes was killed."""

_ON_ORDER: Final = re.compile(
    r"\S+: Sent signal SIG([A-Z0-9+-]+) to (?:main |control )?process \d+ \(.{0,64}\) "
    r"on client request\.\Z"
)
_HARMLESS: Final = frozenset(
    ("HUP", "USR1", "USR2", "STOP", "CONT", "WINCH", "TTIN", "TTOU", "CHLD")
)
_NOT_EXECUTED: Final = (126, 127)
"""What a shell ends with when a command cannot be executed or found."""
_OWN_FIRST: Final = 200
_OWN_LAST: Final = 245
"""Exit statuses of systemd's own, before it has executed anything (systemd.exec(5))."""
MEMORY_FAULTS: Final = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE))


@dataclass(frozen=True, slots=True)
class MainProcessEnd:
    """The end of a unit's main process.

    Attributes:
        how: ``exited``, ``killed``, ``dumped`` or ``clean``.
        status: exit status, or the signal's number for killed and dumped.
        asked: True when systemd had been told to stop the unit.
        oom: True when systemd saw the kernel kill a process of the unit for lack of memory.
    """

    how: str
    status: int
    asked: bool
    oom: bool = False


class Supervision:
    """Follows systemd's lines about one unit."""

    def __init__(self) -> None:
        self._stopping = False
        self._oom_at: float | None = None
        self._ended: str | None = None
        self.started: dict[str, float] = {}

    def read(self, line: Line) -> MainProcessEnd | None:
        """Return the end that a line of PID 1 tells of; at most one for each invocation."""
        fields = line.manager or {}
        message, invocation = fields.get("MESSAGE_ID"), line.invocation or ""
        if message == STARTED:
            self._stopping, self._oom_at = False, None
            self.started[invocation] = line.at
            while len(self.started) > 8:
                del self.started[next(iter(self.started))]
        elif message == STOPPING:
            self._stopping = True
        elif message == PROCESS_EXITED and fields.get("COMMAND") == "ExecStart":
            how, status = fields.get("EXIT_CODE", ""), fields.get("EXIT_STATUS", "")
            return self._end(line, invocation, how, status)
        elif message == DEACTIVATED:
            return self._end(line, invocation, "clean", "0")
        elif tells_of_oom(line):
            self._oom_at = line.at
        elif message == FAILED and fields.get("UNIT_RESULT") == "oom-kill":
            self._oom_at = line.at  # it ended politely when systemd stopped it for this
            return self._end(line, invocation, "clean", "0")
        return None

    def _end(self, line: Line, invocation: str, how: str, status: str) -> MainProcessEnd | None:
        if invocation and invocation == self._ended:
            return None
        self._ended = invocation
        number = int(status) if status.isdigit() and len(status) < 4 else 0
        oom = self._oom_at is not None and line.at - self._oom_at <= _STOP_WINDOW
        return MainProcessEnd(how, number, self._stopping, oom)


def of_unit(line: Line) -> tuple[KilledOnOrder | Starved, ...]:
    """Return what a line of systemd's says of a unit, whichever program it runs.

    A signal on somebody's order (``systemctl kill``), where it is one that ends processes: that
    line bears no ``MESSAGE_ID``. Or that a process was killed for lack of memory.
    """
    if line.manager is None:
        return ()
    if tells_of_oom(line):
        return (Starved(line.at),)
    found = _ON_ORDER.match(line.text)
    return (KilledOnOrder(line.at),) if found and found[1] not in _HARMLESS else ()


def tells_of_oom(line: Line) -> bool:
    """Whether a line of systemd's says that a process of a unit was killed for lack of memory."""
    return (line.manager or {}).get("MESSAGE_ID") in (OOM, OOMD_KILL)


def server_end_reason(end: MainProcessEnd, last_words: str | None) -> str:
    """Return why a server ended (``vocabulary.SERVER_END_REASONS``).

    Args:
        end: what systemd saw.
        last_words: the reason the server's own last lines gave, if any.
    """
    if end.asked:
        return "stop"
    politely = end.how == "clean" or end.status in (0, signal.SIGTERM)
    if end.oom and last_words in (None, "stop") and (politely or end.status == signal.SIGKILL):
        return "oom"
    if last_words:
        return last_words
    if end.how == "clean":
        return "unknown"
    if end.how == "exited":
        if end.status in _NOT_EXECUTED or _OWN_FIRST <= end.status <= _OWN_LAST:
            return "exec_failed"
        return "exit_code" if end.status else "unknown"
    if end.status == signal.SIGKILL:
        return "sigkill"
    return "segfault" if end.status in MEMORY_FAULTS else "signal"


def starting(supervision: Supervision, line: Line, window: float) -> bool:
    """Tell whether the line's invocation was seen to start at most ``window`` seconds before."""
    begun = supervision.started.get(line.invocation or "")
    return begun is not None and 0 <= line.at - begun <= window
