"""What one line told, and where the line stands."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway.events import Event


@dataclass(frozen=True, slots=True)
class Told:
    """An event and the line that told it.

    Attributes:
        event: what happened; ``at`` is 0 where nothing says when.
        dialect: name of the dialect that read the line.
        file: the file's name as it was given, ``-`` for standard input.
        line: number of the line, from 1; of the first one where several make one.
        text: the program's own line, without envelopes.
    """

    event: Event
    dialect: str
    file: str
    line: int
    text: str
