"""Has a deploy come up: does every path answer, again and again, from one and the same process.

Pure: observations in, a judgement out. One answer is no proof: an application may answer once and
die, and a service that systemd starts again and again answers in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from badgateway import vocabulary
from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import Evidence

ANSWERS: Final = 3
"""Answers in a row that every target must give."""
STEADY_SECONDS: Final = 5.0
"""How long that must have lasted at least."""
RELAPSE_SECONDS: Final = 20.0
"""How long a service must have lived that systemd has already had to start again."""

_SKEW_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Shot:
    """What one target answered last.

    Attributes:
        vantage: ``edge``, ``proxy`` or ``origin``.
        probe: its name.
        url: what was asked.
        at: when it was asked, seconds since the epoch; 0 for not yet.
        ok: whether the answer was right.
        text: what was answered, in words.
    """

    vantage: str
    probe: str
    url: str
    at: float
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Observation:
    """A backend at one moment.

    Attributes:
        at: the moment, seconds since the epoch.
        shots: what each target answered last.
        process: identifies what runs now; another one is a restart.
        obstacles: what is wrong beside the answers, in words.
        pending: what of it has not been looked at yet, in words; empty when all has.
    """

    at: float
    shots: tuple[Shot, ...]
    process: str = ""
    obstacles: tuple[str, ...] = ()
    pending: str = ""


@dataclass(slots=True)
class Verification:
    """What the observations of one backend amount to."""

    answers: int = ANSWERS
    steady: float = STEADY_SECONDS
    last: Observation | None = None
    restarts: int = 0
    _since: float = 0.0
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, observation: Observation) -> None:
        """Take the next observation; whatever is wrong in it begins the count anew."""
        before, self.last = self.last, observation
        if before is not None and before.process != observation.process:
            self.restarts += bool(before.process and observation.process)
            self._begin(observation.at)
        if observation.obstacles or not all(shot.ok for shot in observation.shots):
            self._begin(observation.at)
            return
        self._since = self._since or observation.at
        for shot in observation.shots:
            key = (shot.vantage, shot.probe)
            if shot.at > self._seen.get(key, self._since - _SKEW_SECONDS):
                self._seen[key] = shot.at
                self._counts[key] = self._counts.get(key, 0) + 1

    def count(self, shot: Shot) -> int:
        """Return how often in a row a target has answered."""
        return self._counts.get((shot.vantage, shot.probe), 0)

    @property
    def passed(self) -> bool:
        """Whether every target has answered often enough, for long enough."""
        seen = self.last
        return (
            seen is not None
            and bool(seen.shots)
            and not seen.obstacles
            and not seen.pending
            and all(shot.ok and self.count(shot) >= self.answers for shot in seen.shots)
            and seen.at - self._since >= self.steady
        )

    @property
    def undecided(self) -> bool:
        """Whether nothing speaks against it so far, or not all has been looked at."""
        seen = self.last
        if seen is None or seen.pending:
            return True
        return not seen.obstacles and all(shot.ok for shot in seen.shots) and not self.passed

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it has not passed, the weightiest first; empty when it has."""
        seen = self.last
        if seen is None or self.passed:
            return ()
        wrong = [f"{shot.vantage} {shot.url}: {shot.text}" for shot in seen.shots if not shot.ok]
        restarted = [f"restarted {self.restarts} times meanwhile"] if self.restarts else []
        few = (
            [] if wrong or seen.obstacles else [seen.pending or "has not answered for long enough"]
        )
        return (*seen.obstacles, *wrong, *restarted, *few)

    def _begin(self, at: float) -> None:
        self._since = at
        self._counts.clear()
        # what was asked before this moment says nothing of what comes after it
        self._seen = dict.fromkeys(self._seen, at)


def obstacles(
    evidence: Evidence, cause: str, summary: str, begun: float, code_changed: float, loaded: float
) -> tuple[str, ...]:
    """Return what speaks against a backend beside its probes.

    Args:
        evidence: what is known of it.
        cause: the diagnosis.
        summary: what the diagnosis says.
        begun: when verification began, seconds since the epoch; what was before is forgiven.
        code_changed: when the code it runs last changed on disk; 0 if that is not known.
        loaded: when the oldest process that serves was started; 0 if that is not known.
    """
    found = []
    service, now = evidence.service, evidence.now
    if cause != "none":
        found.append(summary)
    if service is not None and service.active not in ("active", "reloading", "unknown"):
        found.append(f"{evidence.backend.unit or 'its process'} is {service.active}")
    elif service is not None and service.restarts and now - service.started < RELAPSE_SECONDS:
        found.append(
            f"{commands.manager(evidence.backend)} had to start it again "
            f"{service.restarts} times, "
            f"the last time {now - service.started:.0f} s ago"
        )
    died = [
        end.reason
        for end in evidence.worker_ends
        if end.at > max(begun, now - RELAPSE_SECONDS)
        and end.reason not in vocabulary.PLANNED_WORKER_ENDS
    ]
    if died:
        found.append(f"{len(died)} workers died in the last {RELAPSE_SECONDS:.0f} s: {died[-1]}")
    if loaded and code_changed > loaded + _SKEW_SECONDS:
        found.append(
            f"a process serves that is {code_changed - loaded:.0f} s older than the code on disk; "
            f"{_anew(evidence)}"
        )
    return tuple(found)


def _anew(evidence: Evidence) -> str:
    return "".join(commands.restart(evidence.backend)) or "restart it"
