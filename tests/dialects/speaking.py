"""Lines for a server's dialect, and what it makes of them."""

from __future__ import annotations

from badgateway.dialects import Dialect, Holding, dialect, systemd
from badgateway.events import Event, Line, ServerEnd, WorkerEnd


def from_file(server: str, *texts: str) -> list[Event]:
    """Return what a file tells, up to its end; it does not say who wrote a line."""
    reader = dialect(server)
    events = [event for text in texts for event in reader.read(Line(1.0, text, "file")) or ()]
    return events + (list(reader.rest()) if isinstance(reader, Holding) else [])


def said(reader: Dialect, pid: int, *texts: str, at: float = 10.0) -> list[Event]:
    """Return what lines tell of which the journal says that ``pid`` wrote them."""
    lines = [Line(at, text, "journal", "api.service", pid, "inv") for text in texts]
    return [event for line in lines for event in reader.read(line) or ()]


def manager(reader: Dialect, message: str, at: float = 10.0, **fields: str) -> list[Event]:
    """Return what a line of systemd's tells."""
    known = {"MESSAGE_ID": message, **fields}
    line = Line(at, "systemd's text", "journal", "api.service", 1, "inv", known)
    return list(reader.read(line) or ())


def exited(reader: Dialect, how: str, status: str) -> list[Event]:
    """Return what the end of the unit's main process tells."""
    return manager(
        reader, systemd.PROCESS_EXITED, COMMAND="ExecStart", EXIT_CODE=how, EXIT_STATUS=status
    )


def ends(events: list[Event]) -> list[tuple[str, str, int | None]]:
    """Return kind, reason and process of each end."""
    return [
        ("worker" if isinstance(event, WorkerEnd) else "server", event.reason, event.pid)
        for event in events
        if isinstance(event, WorkerEnd | ServerEnd)
    ]
