"""What systemd itself writes about a unit's main process (systemd 252, its message catalogue).

PID 1's messages carry ``MESSAGE_ID`` and typed fields; the text is never needed.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from badgateway.events import Line

STARTED: Final = "39f53479d3a045ac8e11786248231fbf"
STOPPING: Final = "de5b426a63be47a7b6ac3eaac82e2f6f"
PROCESS_EXITED: Final = "98e322203f7a4ed290d09fe03c09fe15"
DEACTIVATED: Final = "7ad2d189f7e94e70a38c781354912448"

MEMORY_FAULTS: Final = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE))


@dataclass(frozen=True, slots=True)
class MainProcessEnd:
    """The end of a unit's main process.

    Attributes:
        how: ``exited``, ``killed``, ``dumped`` or ``clean``.
        status: exit status, or the signal's number for killed and dumped.
        asked: True when systemd had been told to stop the unit.
    """

    how: str
    status: int
    asked: bool


class Supervision:
    """Follows systemd's lines about one unit."""

    def __init__(self) -> None:
        self._stopping = False
        self._ended: str | None = None
        self.started: dict[str, float] = {}

    def read(self, line: Line) -> MainProcessEnd | None:
        """Return the end that a line of PID 1 tells of; at most one for each invocation."""
        fields = line.manager or {}
        message, invocation = fields.get("MESSAGE_ID"), line.invocation or ""
        if message == STARTED:
            self._stopping = False
            self.started[invocation] = line.at
            while len(self.started) > 8:
                del self.started[next(iter(self.started))]
        elif message == STOPPING:
            self._stopping = True
        elif message == PROCESS_EXITED and fields.get("COMMAND") == "ExecStart":
            return self._end(invocation, fields.get("EXIT_CODE", ""), fields.get("EXIT_STATUS", ""))
        elif message == DEACTIVATED:
            return self._end(invocation, "clean", "0")
        return None

    def _end(self, invocation: str, how: str, status: str) -> MainProcessEnd | None:
        if invocation and invocation == self._ended:
            return None
        self._ended = invocation
        return MainProcessEnd(how, int(status) if status.isdigit() else 0, self._stopping)


def server_end_reason(end: MainProcessEnd, last_words: str | None) -> str:
    """Return why a server ended (``vocabulary.SERVER_END_REASONS``).

    Args:
        end: what systemd saw.
        last_words: the reason the server's own last lines gave, if any.
    """
    if end.asked:
        return "stop"
    if last_words:
        return last_words
    if end.how == "clean":
        return "unknown"
    if end.how == "exited":
        return "exit_code" if end.status else "unknown"
    if end.status == signal.SIGKILL:
        return "sigkill"
    return "segfault" if end.status in MEMORY_FAULTS else "signal"


def starting(supervision: Supervision, line: Line, window: float) -> bool:
    """Tell whether the line's invocation was seen to start at most ``window`` seconds before."""
    begun = supervision.started.get(line.invocation or "")
    return begun is not None and 0 <= line.at - begun <= window
