"""Evidence: everything known of one backend, frozen at one moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from badgateway.announcing import Announcement
from badgateway.collectors.probes import State as ProbeState
from badgateway.collectors.records import Happening
from badgateway.collectors.service_tracker import ServiceState
from badgateway.events import AnswerOrigin, BootFailure, ServerEnd, UpstreamFailure, WorkerEnd
from badgateway.packages.findings import Report
from badgateway.topology.backends import Backend
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.ways import NONE, Idle, Way, Ways
from badgateway.vocabulary import PLANNED_WORKER_ENDS

RECENT_SECONDS: Final = 15 * 60.0
"""How long an event speaks for the present."""

_LAST_WORDS_SECONDS: Final = 60.0

FELT_SECONDS: Final = 5 * 60.0
"""How long after a worker's end that clients felt the backend counts as failing."""

_TOGETHER_SECONDS: Final = 5.0
_TOOK_ALONG_SECONDS: Final = 60.0
_BROKEN: Final = frozenset(("reset", "premature_close", "upstream_closed", "body_truncated"))
"""What a proxy sees of a worker that ends while it answers."""

GRACE_SECONDS: Final = 10.0
"""How long a service may take to listen after it was started."""


_RELAYS: Final = ("docker.service", "containerd.service", "podman.service")
"""Units that listen for others."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a backend.

    Attributes:
        backend: the backend and its hops.
        now: when the evidence was frozen; seconds since the epoch, as all times here.
        probes: the last result of each probe.
        service: its unit or process, None when neither was found.
        listening: whether something listens at its address; None when that cannot be told here.
        boot_failures: applications that did not load, oldest first.
        worker_ends: workers that ended, oldest first.
        happenings: the service's starts and ends, oldest first.
        failures: failed attempts the proxy told of, oldest first.
        ready: when the application is last known to have been loaded: a server or worker said so,
            or a request was answered; 0 for never.
        next_start: what the project and its virtualenv look like.
        remembered: import name → distribution, of what was installed while things were healthy.
        drift_since: when the present verdict on the next start was first reached.
        sources: source → why it cannot be read; empty text for one that can.
        asked_for: whether a proxy or a configured probe leads to it; None where no proxy is known.
        was_failing: whether it failed when it was last judged.
        announced: the announcement of a deploy that is open now.
        disk_changed: when its project or virtualenv was last seen to change; 0 for not yet.
        disk_moving: whether they have changed since ``next_start`` was concluded from them.
        silent_probes: probes that cannot be asked now: they tell nothing of the path.
        server_ends: servers that ended, oldest first.
        slowest: seconds that the slowest answer of the last quarter of an hour took; 0 for none.
        workers_alive: how many workers it has; None where they cannot be seen.
        orphans: how many workers live on without their server, and may hold its address.
        memory_used: bytes its unit or container uses; 0 for not known.
        memory_limit: bytes it may use; 0 for no limit, or none known.
        listener: the unit or container whose socket listens at its address; empty if not known.
        listens_at: addresses of this host at which its unit's own sockets listen.
        ways: where its sites lead, now and after a reload.
        proxies: proxy → its configuration, disk against memory; of those that lead to it.
        proxies_deaf: proxy → addresses at which it should take requests and nobody listens.
        holders: address → the unit or container that listens there in a proxy's place.
        idle: applications that listen and that no proxy leads to.
        lost: ways of this host's proxies that lead nowhere, and nobody knows whose they are; only
            of an application that no proxy leads to.
        own_answers: errors that a proxy answered by itself, as its log tells, oldest first.
        last_request: when it last received a request that was no probe of this exporter; 0 for
            none since ``requests_watched_since``.
        requests_watched_since: since when its requests are watched.
        requests_seen_by: how they are seen, in words; empty when they cannot be.
    """

    backend: Backend
    now: float
    probes: tuple[ProbeState, ...] = ()
    service: ServiceState | None = None
    listening: bool | None = None
    boot_failures: tuple[BootFailure, ...] = ()
    worker_ends: tuple[WorkerEnd, ...] = ()
    happenings: tuple[Happening, ...] = ()
    failures: tuple[UpstreamFailure, ...] = ()
    ready: float = 0.0
    next_start: Report | None = None
    remembered: Mapping[str, str] = field(default_factory=dict)
    drift_since: float = 0.0
    sources: Mapping[str, str] = field(default_factory=dict)
    asked_for: bool | None = None
    was_failing: bool = False
    announced: Announcement | None = None
    disk_changed: float = 0.0
    disk_moving: bool = False
    silent_probes: tuple[ProbeState, ...] = ()
    server_ends: tuple[ServerEnd, ...] = ()
    slowest: float = 0.0
    workers_alive: int | None = None
    orphans: int = 0
    memory_used: float = 0.0
    memory_limit: float = 0.0
    listener: str = ""
    listens_at: tuple[str, ...] = ()
    ways: Ways = NONE
    proxies: Mapping[str, ProxyState] = field(default_factory=dict)
    proxies_deaf: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    holders: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[Idle, ...] = ()
    lost: tuple[Way, ...] = ()
    own_answers: tuple[AnswerOrigin, ...] = ()
    last_request: float = 0.0
    requests_watched_since: float = 0.0
    requests_seen_by: str = ""

    @property
    def stranger(self) -> str:
        """Another unit than its own that listens at its address; empty for none known."""
        unit, listener = self.backend.unit, self.listener
        relayed = listener in _RELAYS or self.backend.manager != "systemd"
        own = listener == unit or not listener.endswith(".service") or not unit
        return "" if relayed or own else listener

    @property
    def failing_probes(self) -> tuple[ProbeState, ...]:
        """Probes whose last answer was a failure."""
        return tuple(probe for probe in self.probes if probe.failing)

    @property
    def service_down(self) -> bool:
        """Whether the service is known not to run."""
        return self.service is not None and self.service.down

    @property
    def deaf(self) -> bool:
        """Whether the service runs, has had time to start, and yet nothing listens."""
        service = self.service
        return (
            self.listening is False
            and service is not None
            and service.active == "active"
            and self.now - service.started > GRACE_SECONDS
        )

    @property
    def in_boot_gap(self) -> bool:
        """Whether its container was just started, and waits before it starts the server."""
        container, service = self.backend.container, self.service
        if container is None or service is None or not container.pauses:
            return False
        return 0 <= self.now - service.started <= container.pauses + GRACE_SECONDS

    @property
    def answered(self) -> bool:
        """Whether the application answers; what it did before its last start is no answer."""
        service = self.service
        oldest = max(service.started, service.exited) if service is not None else 0.0
        return any(
            probe.target.vantage == "origin" and not probe.failing and probe.last.at > oldest
            for probe in self.probes
        )

    @property
    def failing(self) -> bool:
        """Whether something is wrong that users feel, or will at once."""
        if self.laid_to_rest:
            return False
        # one failed probe may be chance, but it is no recovery either
        probes = [p for p in self.probes if p.target.vantage != "origin" or not self.is_standby]
        if any(probe.failures >= (1 if self.was_failing else 2) for probe in probes):
            return True
        if self.is_standby:
            return False
        felt = self.felt_ends
        if felt and felt[-1].at > self.now - FELT_SECONDS:
            return True
        if self.answered:
            return False
        suspected = bool(self.failing_probes) or self.listening is False
        if self.service_down:
            # a unit that is down and that nobody asks for is no incident
            return suspected or bool(self.recent_starts)
        if self.failing_probes and self.listening is False and self.in_boot_gap:
            return True  # it will not be over in a moment
        return self.deaf or (bool(self.failing_probes) and bool(self.current_boot_failures))

    @property
    def is_standby(self) -> bool:
        """Whether it was stopped on somebody's order, and every site of it does without."""
        service, ways = self.service, self.ways.loaded
        ends = [h.reason for h in self.happenings if h.what == "exit"]
        return (
            bool(ways)
            and not self.ways.broken
            and all(way.route.backup or way.route.group for way in ways)
            and service is not None
            and service.active == "inactive"
            and ends[-1:] in ([], ["manual"])
        )

    @property
    def laid_to_rest(self) -> bool:
        """Whether it was stopped on somebody's order and nobody asks for it."""
        service = self.service
        ends = [h.reason for h in self.happenings if h.what == "exit"]
        if service is None and self.backend.unit and self.asked_for is False:
            return not self.was_failing  # systemd is out of sight: nothing new can be known
        return (
            self.asked_for is False
            and service is not None
            and service.active == "inactive"
            and not self.current_boot_failures
            and ends[-1:] in ([], ["manual"])
        )

    @property
    def current_boot_failures(self) -> tuple[BootFailure, ...]:
        """Boot failures that speak for the present: after the last time it loaded."""
        service = self.service
        oldest = self.now - RECENT_SECONDS
        if service is not None and service.down and service.started:
            # the last words of a unit that lies dead stay true
            oldest = min(oldest, service.started - 1)
        elif self.died:
            oldest = min(oldest, self.died - _LAST_WORDS_SECONDS)
        elif self.ordered_start:
            # what somebody has started anew is not explained by what it said before
            oldest = max(oldest, self.ordered_start - 1)
        return tuple(
            failure
            for failure in self.boot_failures
            if failure.at > oldest and failure.at > self.ready
        )

    @property
    def broken_answers(self) -> tuple[UpstreamFailure, ...]:
        """Attempts that the application cut short, of the last quarter of an hour."""
        oldest = self.now - RECENT_SECONDS
        return tuple(
            failure
            for failure in self.failures
            if failure.reason in _BROKEN and failure.at > oldest
        )

    @property
    def felt_ends(self) -> tuple[WorkerEnd, ...]:
        """Unplanned ends of workers that clients felt, of the last quarter of an hour."""
        broken = sorted(failure.at for failure in self.broken_answers)
        # what has been started anew is another, unless its end took the service with it
        oldest = max(self.ordered_start, self.service.started - _TOOK_ALONG_SECONDS
                     if self.service is not None else 0.0)  # fmt: skip
        return tuple(
            end
            for end in self.worker_ends
            if end.at > oldest
            and end.reason not in PLANNED_WORKER_ENDS
            and end.reason != "boot_failure"
            and bisect_right(broken, end.at + _TOGETHER_SECONDS)
            > bisect_left(broken, end.at - _TOGETHER_SECONDS)
        )

    @staticmethod
    def together(end: WorkerEnd, failure: UpstreamFailure) -> bool:
        """Whether an attempt failed because of a worker's end, as far as their times tell."""
        return abs(end.at - failure.at) <= _TOGETHER_SECONDS

    @property
    def died(self) -> float:
        """When a service that is down, and not waiting to be started again, ended; else 0."""
        service = self.service
        if service is None or not service.down or service.sub == "auto-restart":
            return 0.0
        # a unit that systemd has unloaded no longer knows
        told = [happening.at for happening in self.happenings if happening.what == "exit"]
        return service.exited or (told[-1] if told else 0.0)

    @property
    def ordered_start(self) -> float:
        """When the unit was started on somebody's order, if it has lived since; else 0."""
        service = self.service
        if service is None or not self.backend.unit or service.down or service.restarts:
            return 0.0
        if service.active == "activating":
            return service.changed  # before its main process there may be others
        return service.started

    @property
    def recent_starts(self) -> tuple[Happening, ...]:
        """Automatic restarts of the last quarter of an hour, since the last one that was ordered.

        Systemd's word for an ordered start comes before our count of it.
        """
        oldest = max(self.now - RECENT_SECONDS, self.ordered_start)
        return tuple(
            happening
            for happening in self.happenings
            if happening.what == "start" and happening.automatic and happening.at > oldest
        )

    @property
    def since(self) -> float:
        """When the present failure began, as far as any evidence goes back."""
        begun = [probe.since for probe in self.failing_probes]
        if begun:
            # what happened shortly before the first failed probe belongs to it
            first = min(begun)
            reach = first - RECENT_SECONDS
        else:
            first, reach = self.now, self.now - RECENT_SECONDS
        told = [failure.at for failure in self.current_boot_failures if failure.at > reach]
        oldest = max(reach, self.ready)
        told += [h.at for h in self.happenings if h.what == "exit" and h.at > oldest]
        if not told and self.died:
            told = [self.died]
        return min([first, *told])
