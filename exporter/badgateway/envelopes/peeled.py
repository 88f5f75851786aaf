"""What is left of a line when something that was wrapped around it is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peeled:
    """A line without some of its envelopes.

    Attributes:
        text: what the program wrote; more than one line where the envelope held several.
        at: when it was written, in seconds since the epoch; None where no envelope says it.
        writer: unit, service, container or program that wrote it; empty where nothing says it.
        pid: its process, where the envelope says it.
        manager: systemd's own fields, where PID 1 wrote the line (as of ``events.Line``).
        invocation: systemd's invocation id of the writer's unit.
        partial: True when the program's line goes on in the next one of the same writer.
        kinds: the envelopes taken off, outermost first.
    """

    text: str
    at: float | None = None
    writer: str = ""
    pid: int | None = None
    manager: Mapping[str, str] | None = None
    invocation: str | None = None
    partial: bool = False
    kinds: tuple[str, ...] = ()
