"""What may be said of one request, and whether two lines are about the same.

Lines name a request by ``marks``. The same mark may come again, on a connection that is kept open
or when a client asks the same once more: then the times decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from badgateway.events import Response, UpstreamFailure
from badgateway.explanation.told import Told

SLACK: Final = 1.5
"""Seconds by which times in logs differ: most are whole seconds."""
_LONGEST: Final = 600.0
"""Seconds a request may take where no line says how long it took."""
_ZONE_STEP: Final = 900.0
_ZONE_MOST: Final = 14 * 3600.0
NEIGHBOURS: Final = 32
"""Answers to the same request line that are compared with one another."""


@dataclass(frozen=True, slots=True)
class Told5xx:
    """An error that is no failed attempt.

    Attributes:
        reason: ``app_5xx``, ``proxy_local`` or ``unknown``.
        status: what the client got; None where no line tells.
        tells: as of ``Response``.
        detail: what an error log says of it; for people.
    """

    at: float
    reason: str
    status: int | None
    site: str | None
    upstream: str | None
    tells: bool
    probe: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of the story, at the line that says most about it.

    Attributes:
        told: the line; its event is the thing itself.
        happened: the event, or what an answer turned out to be.
        status: what the client got, where any line tells.
        masked: True when an attempt failed and the client got an answer all the same.
        request: method and path, where a line tells them.
    """

    told: Told
    happened: object
    status: int | None = None
    masked: bool = False
    request: str = ""


@dataclass(slots=True)
class Item:
    """What a line told, in the order of its coming; ``answer`` is what the client got."""

    order: int
    told: Told
    marks: frozenset[str]
    answer: Answer | None = None


@dataclass(slots=True)
class Answer:
    """An answered request, told by one access log or by several."""

    order: int
    told: Told
    response: Response
    marks: frozenset[str]
    tellers: set[tuple[str, bool]] = field(default_factory=set)
    failures: list[Item] = field(default_factory=list)
    aborted: bool = False
    made: Item | None = None
    """The error line that says who made it."""


def before(failure: Item, answer: Answer) -> bool:
    """Whether an answer was given before an attempt of its request could have failed."""
    return apart(failure.told, answer.told) > SLACK


def answer_to(failure: Item, answers: list[Answer]) -> Answer | None:
    """Return the answer that the client got of a request one of whose attempts failed."""
    event = failure.told.event
    assert isinstance(event, UpstreamFailure)
    fitting = [answer for answer in answers if fits(failure, answer)]
    if not fitting:
        return None

    def rank(answer: Answer) -> tuple[bool, bool, float]:
        open_attempts = len(answer.response.attempts) > len(answer.failures)
        failed = answer.response.status >= 500
        wanted = open_attempts or (failed and not answer.failures and not answer.response.attempts)
        return (
            not wanted,
            event.status is not None and event.status != answer.response.status,
            abs(apart(failure.told, answer.told)),
        )

    return min(fitting, key=rank)


def fits(item: Item, answer: Answer) -> bool:
    """Whether an answer can be of the request that a line is about."""
    if not item.marks & answer.marks or contradict(item.marks, answer.marks):
        return False
    if not item.told.event.at or not answer.response.at:
        return True
    spent = answer.response.spent
    longest = _LONGEST if spent is None else spent + SLACK
    return -SLACK <= -apart(item.told, answer.told) <= longest


def apart(one: Told, other: Told) -> float:
    """Return the seconds from ``other`` to ``one``.

    Two logs may have been written in other time zones than this machine's: where they are hours
    apart, what is left of the last quarter of an hour counts.
    """
    if not one.event.at or not other.event.at:
        return 0.0
    seconds = one.event.at - other.event.at
    shift = round(seconds / _ZONE_STEP) * _ZONE_STEP
    elsewhere = (one.file, one.dialect) != (other.file, other.dialect)
    if elsewhere and 2 * _ZONE_STEP <= abs(shift) <= _ZONE_MOST:
        return seconds - shift
    return seconds


def contradict(some: frozenset[str], others: frozenset[str]) -> bool:
    """Whether both name the request in the same way, but differently."""
    shared = {kind(mark) for mark in some & others}
    return not {kind(mark) for mark in some} & {kind(mark) for mark in others} <= shared


def kind(mark: str) -> str:
    """Return what a mark names a request by."""
    return mark.partition(":")[0]


def kinds(item: Item) -> set[str]:
    """Return what a line's marks name its request by."""
    return {kind(mark) for mark in item.marks}
