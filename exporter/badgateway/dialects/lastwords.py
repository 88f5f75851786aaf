"""How a server ended: its own last words, and what its manager saw."""

from __future__ import annotations

from typing import Final

from badgateway.dialects import systemd
from badgateway.dialects.tracebacks import MESSAGE_KEPT
from badgateway.events import Event, Line, ProcessKilled, ServerEnd
from badgateway.redaction import redacted

_RUNS_KEPT: Final = 8
_OOM_WINDOW: Final = 10.0
"""Seconds after systemd's word of the OOM killer in which a server says which worker it was."""


class LastWords:
    """Keeps the gravest of a server's last words, and tells its end once.

    Where a manager's lines tell of the end, the words explain it. Where the transport names no
    writer there is no manager, and the words are the end.
    """

    def __init__(self, server: str) -> None:
        """Begin.

        Args:
            server: a key of ``vocabulary.SERVERS``.
        """
        self._server = server
        self._said: dict[str | None, tuple[str, str, int | None]] = {}
        self._supervision = systemd.Supervision()
        self._oom_at: float | None = None
        self.over = False
        """Whether the end of the run at hand was told."""
        self.process: int | None = None
        """The server's main process, where its lines name it."""

    def begin(self) -> None:
        """A new run begins."""
        self.over = False

    def say(self, line: Line, reason: str, detail: str, pid: int | None = None) -> None:
        """Keep why a server is about to end; a stop explains less than anything else."""
        known = self._said.get(line.invocation)
        if known is None or known[0] == "stop" or reason != "stop":
            shown = redacted(detail)[:MESSAGE_KEPT]
            self._said[line.invocation] = (reason, shown, pid if pid is not None else line.pid)
        while len(self._said) > _RUNS_KEPT:
            del self._said[next(iter(self._said))]

    def proves_oom(self, line: Line) -> bool:
        """Whether the OOM killer was at work in the unit just before a line."""
        return self._oom_at is not None and 0 <= line.at - self._oom_at <= _OOM_WINDOW

    def managed(self, line: Line) -> tuple[Event, ...]:
        """Return what a line of the manager's tells."""
        if systemd.tells_of_oom(line):
            self._supervision.read(line)
            self._oom_at = line.at
            detail = "systemd: a process of this unit has been killed by the OOM killer"
            return (ProcessKilled(line.at, "oom", None, "", line.unit or "", detail),)
        end = self._supervision.read(line)
        if end is None:
            if (line.manager or {}).get("MESSAGE_ID") == systemd.STARTED:
                self.process, self._oom_at = None, None
            return ()
        reason, detail, pid = self._said.pop(line.invocation, (None, "", None))
        pid = pid if pid is not None else self.process
        told = systemd.server_end_reason(end, reason)
        return (ServerEnd(line.at, self._server, told, pid, detail),)

    def unsupervised(
        self, line: Line, reason: str, detail: str, pid: int | None = None
    ) -> tuple[Event, ...]:
        """Tell a server's end by its own words, where no manager's lines will tell of it."""
        self.say(line, reason, detail, pid)
        if line.pid is not None or self.over:
            return ()
        self.over = True
        self._said.pop(line.invocation, None)
        return (ServerEnd(line.at, self._server, reason, pid, redacted(detail)[:MESSAGE_KEPT]),)
