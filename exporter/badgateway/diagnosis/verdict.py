"""What the diagnosis says: one cause, how sure it is, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion about one backend.

    Attributes:
        cause: a key of ``vocabulary.CAUSES``.
        confidence: 0 to 1.
        subject: what it is about: a package, a unit, a module; empty for none.
        summary: one sentence for a person.
        since: when it began, seconds since the epoch; 0 when nothing is wrong.
        evidence: the facts it rests on, the weightiest first.
        next_steps: commands or actions, the most useful first.
    """

    cause: str
    confidence: float = 0.0
    subject: str = ""
    summary: str = ""
    since: float = 0.0
    evidence: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskFound:
    """A state that will become a cause.

    Attributes:
        risk: a key of ``vocabulary.RISKS``.
        subject: what it is about.
        summary: one sentence for a person.
        evidence: the facts it rests on.
        next_steps: what takes the risk away.
        since: when it was first seen, seconds since the epoch.
    """

    risk: str
    subject: str = ""
    summary: str = ""
    evidence: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    since: float = 0.0
