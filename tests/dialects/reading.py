"""Recordings, and what a dialect makes of their lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from badgateway.dialects import Dialect, Tallying, dialect
from badgateway.events import (
    Batch,
    ClientAbort,
    Event,
    Line,
    Response,
    UpstreamFailure,
    lines_of,
)

CORPUS = Path(__file__).parents[1] / "corpus"

_ORIGINS = {"application": "app_5xx", "proxy": "proxy_local"}


def corpus(name: str) -> list[dict[str, Any]]:
    """Return the recordings of ``tests/corpus/NAME.json``."""
    found: list[dict[str, Any]] = json.loads((CORPUS / f"{name}.json").read_text())
    return found


def read(reader: Dialect | str, lines: Iterable[str]) -> list[Event]:
    """Return what a reader, or a new one of a dialect, tells of lines."""
    reader = dialect(reader) if isinstance(reader, str) else reader
    return [event for line in lines for event in reader.read(Line(0.0, line, "t")) or ()]


def told(events: Iterable[Event]) -> set[str]:
    """Return the reasons of all that failed, and who else made an error."""
    found = set()
    for event in events:
        if isinstance(event, UpstreamFailure):
            found.add(event.reason)
        elif isinstance(event, ClientAbort):
            found.add("client_abort")
        elif isinstance(event, Response):
            found |= {attempt.reason for attempt in event.attempts}
            found |= {_ORIGINS[event.origin]} if event.origin in _ORIGINS else set()
    return found


def failures(events: Iterable[Event]) -> list[UpstreamFailure]:
    """Return the failed attempts among events."""
    return [event for event in events if isinstance(event, UpstreamFailure)]


def truth(case: dict[str, Any]) -> set[str]:
    """Return what was done in a recording."""
    return set() if case["expected_reason"] == "none" else {case["expected_reason"]}


Counts = tuple[Counter[Any], dict[Any, list[float]]]


def counted(events: Iterable[Event]) -> Counts:
    """Return answers by site, upstream and status, and how long they took."""
    answers: Counter[Any] = Counter()
    durations: dict[Any, list[float]] = {}
    for event in events:
        if isinstance(event, Response):
            answers[event.site, event.upstream, event.status, event.probe, event.origin] += 1
            answers.update(attempt.reason for attempt in event.attempts)
            if event.duration is not None:
                durations.setdefault((event.site, event.upstream), []).append(event.duration)
        else:
            answers[type(event).__name__] += 1
    return answers, {place: sorted(seconds) for place, seconds in durations.items()}


def one_by_one(reader: Dialect, data: bytes) -> Counts:
    """Return what a file's bytes tell when each line is read by itself."""
    batch = Batch("t", (), True, None, data=data)
    return counted(event for line in lines_of(batch) for event in reader.read(line) or ())


def by_the_thousand(reader: Dialect, data: bytes) -> Counts:
    """Return what a file's bytes tell when ordinary lines are tallied and the rest is read."""
    assert isinstance(reader, Tallying)
    tally = reader.tally(data)
    assert tally.lines == sum(tally.answers.values())
    assert tally.lines + len(tally.rest) == sum(1 for raw in data.split(b"\n") if raw)
    answers, durations = one_by_one(reader, b"\n".join(tally.rest))
    for (site, upstream, status), number in tally.answers.items():
        assert status < 499
        answers[site, upstream, status, None, None] += number
    for place, seconds in tally.durations.items():
        if seconds:
            durations[place] = sorted([*durations.get(place, ()), *seconds])
    return answers, durations
