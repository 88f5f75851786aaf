"""Conclusions: the evidence of each backend frozen, judged, and remembered while it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from badgateway.announcements import Announcements
from badgateway.collectors import listeners as listening
from badgateway.collectors.arrivals import Arrival, Arrivals
from badgateway.collectors.cgroups import Memory
from badgateway.collectors.containers import Containers
from badgateway.collectors.dependencies import Dependencies
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.probes import Probes, Target
from badgateway.collectors.processes import Processes
from badgateway.collectors.proxies import Proxies
from badgateway.collectors.service_tracker import ServiceState
from badgateway.collectors.services import Services
from badgateway.collectors.workers import Workers
from badgateway.diagnosis import risks, rules
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import RiskFound, Verdict
from badgateway.routewatch import Survey
from badgateway.sources import cgroupnames
from badgateway.topology.backends import Backend, PathMap
from badgateway.topology.proxies.state import ProxyState
from badgateway.topology.ways import NONE

PATIENCE_SECONDS: Final = 15.0
"""How long a backend may be without a verdict because not all that can be known was looked at."""

log = logging.getLogger("badgateway")


@dataclass(frozen=True, slots=True)
class Collectors:
    """What knows something of a backend."""

    probes: Probes
    services: Services
    processes: Processes
    workers: Workers
    proxies: Proxies
    dependencies: Dependencies
    announcements: Announcements
    containers: Containers
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of the host at one moment.

    Attributes:
        paths: the path map.
        targets: what is probed.
        listeners: who listens; None before the first look.
        systemd: whether what is known of units is of now.
        docker: whether what is known of containers is of now.
        memory: backend → the memory of its unit or container.
        settled: whether the logs have been read up to now.
        problems: source → why it cannot be read.
        survey: where the proxies' routes lead.
        proxies: proxy → its configuration, disk against memory.
    """

    paths: PathMap
    targets: frozenset[Target]
    listeners: Listeners | None
    systemd: bool
    docker: bool
    memory: Mapping[str, Memory]
    settled: bool
    problems: Mapping[str, str]
    survey: Survey = field(default_factory=Survey)
    proxies: Mapping[str, ProxyState] = field(default_factory=dict)


class Conclusions:
    """What is concluded about each backend, and the evidence it rests on."""

    def __init__(
        self, collectors: Collectors, learnt: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        """Begin with what ``memory`` returned in an earlier life."""
        self._collectors = collectors
        self._outages = dict((learnt or {}).get("since", {}))
        self._answered = dict((learnt or {}).get("answered", {}))
        self._first_seen: dict[str, float] = {}
        self.evidence: dict[str, Evidence] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.risks: dict[str, tuple[RiskFound, ...]] = {}

    def memory(self) -> dict[str, dict[str, float]]:
        """Since when each failing backend fails, and when each was last seen to answer."""
        return {"since": dict(self._outages), "answered": dict(self._answered)}

    @property
    def failing(self) -> frozenset[str]:
        """Backends that fail, as far as was last concluded."""
        return frozenset(self._outages)

    def has_answered(self, name: str) -> bool:
        """Tell whether a backend has ever been seen to answer."""
        return self._answered.get(name, 0.0) > 0

    def draw(self, around: Surroundings, patient: bool = True) -> None:
        """Judge every backend anew.

        A backend that was only just found is judged once all has been looked at: an exporter
        started in the middle of an outage must not say for a moment that nothing is wrong.

        Args:
            around: what is known of the host.
            patient: False to judge at once, by whatever is known.
        """
        states = self._collectors.services.states() if around.systemd else {}
        contained = self._collectors.containers.states() if around.docker else {}
        if not around.settled:
            self._collectors.proxies.slowness.forget()
        for backend in around.paths.backends:
            name = backend.name
            known = contained if backend.manager == "docker" else states
            found = self._evidence(backend, around, known)
            self.evidence[name] = found
            self.risks[name] = risks.find(found)
            if name not in self.verdicts and patient and not self._known(name, around):
                continue
            self._judge(name, found)
        for gone in set(self.evidence) - {b.name for b in around.paths.backends}:
            for kept in (
                self.evidence, self.risks, self.verdicts, self._first_seen, self._outages,
                self._answered,
            ):  # fmt: skip
                kept.pop(gone, None)

    def _known(self, name: str, around: Surroundings) -> bool:
        first = self._first_seen.setdefault(name, time.monotonic())
        if time.monotonic() - first > PATIENCE_SECONDS:
            return True
        if self._collectors.dependencies.pending(name):
            return False  # what is missing has no name yet
        asked = {target for target in around.targets if target.backend == name}
        return (
            around.settled
            and around.listeners is not None
            and asked <= self._collectors.probes.states.keys()
        )

    def _judge(self, name: str, found: Evidence) -> None:
        before = self.verdicts.get(name)
        verdict = rules.standing(rules.diagnose(found), before, found)
        if verdict.cause == "none":
            self._outages.pop(name, None)
            if found.answered and found.service is not None:
                self._collectors.dependencies.runs_since(name, found.service.started)
        else:
            # a failure goes back to its first sign, also after that sign has scrolled away
            begun = self._outages.get(name, verdict.since)
            since = verdict.since if begun < found.ready else min(begun, verdict.since)
            self._outages[name] = since
            verdict = replace(verdict, since=since)
        if before is None or before.cause != verdict.cause:
            log.info(
                "diagnosis of %s: %s%s", name, verdict.cause,
                f": {verdict.summary}" if verdict.cause != "none" else "",
            )  # fmt: skip
        self.verdicts[name] = verdict

    def _evidence(
        self, backend: Backend, around: Surroundings, states: Mapping[str, ServiceState]
    ) -> Evidence:
        name, of = backend.name, self._collectors
        probes = sorted(
            (s for t, s in of.probes.states.items() if t.backend == name),
            key=lambda s: (s.target.vantage, s.target.name),
        )
        silent = tuple(probe for probe in probes if not probe.asked)
        probes = [probe for probe in probes if probe.asked]
        origins = [s.succeeded for s in probes if s.target.vantage == "origin"]
        answered = self._answered[name] = max([self._answered.get(name, 0.0), *origins])
        listens, listener, now = None, "", time.time()
        memory = around.memory.get(name)
        if around.listeners is not None:
            listens = listening.listens(around.listeners, backend)
            listener = listening.listener(around.listeners, backend)
            running = states.get(backend.unit)
            if listener != backend.unit and running is not None and running.main_pid:
                # a unit may have several names, and its control group bears only one of them
                cgroup = cgroupnames.unit_of(cgroupnames.of_process(running.main_pid))
                listener = backend.unit if cgroup == listener != "" else listener
        return Evidence(
            backend=backend,
            now=now,
            probes=tuple(probes),
            service=states.get(backend.unit) or of.processes.state(name),
            listening=listens,
            boot_failures=tuple(of.workers.boot_failures.get(name, ())),
            worker_ends=of.workers.ends.of(name),
            happenings=(of.containers if backend.manager == "docker" else of.services).happenings(
                backend.unit
            ),
            failures=tuple(of.proxies.failures.get(name, ())),
            ready=max(of.workers.ready.get(name, 0.0), answered),
            next_start=of.dependencies.report(name),
            remembered=of.dependencies.remembered(name),
            drift_since=of.dependencies.since(name),
            sources=around.problems,
            asked_for=_asked_for(backend, around),
            was_failing=name in self._outages,
            announced=of.announcements.open(name, now),
            disk_changed=of.dependencies.changed(name),
            disk_moving=of.dependencies.unsettled(name),
            silent_probes=silent,
            server_ends=tuple(of.workers.server_ends.get(name, ())),
            slowest=of.proxies.slowness.longest(name, now),
            memory_used=memory.used if memory else 0.0,
            memory_limit=(memory.limit or 0.0) if memory else 0.0,
            workers_alive=of.workers.alive.get(name),
            orphans=len(of.workers.orphans.get(name, ())),
            listener=listener,
            own_answers=tuple(of.proxies.refusals.get(name, ())),
            **_requests(of.arrivals.of(backend, answered)),
            **_routing(backend, around),
        )


def _requests(arrival: Arrival | None) -> dict[str, Any]:
    """What is known of the requests a backend received."""
    if arrival is None:
        return {}
    return {
        "last_request": arrival.last,
        "requests_watched_since": arrival.since,
        "requests_seen_by": arrival.how,
    }


def _routing(backend: Backend, around: Surroundings) -> dict[str, Any]:
    """What is known of the ways to a backend."""
    survey, listeners = around.survey, around.listeners
    found = survey.ways.get(backend.name, NONE)
    proxies = {way.proxy for way in (*found.loaded, *found.given_away, *found.coming)}
    proxies |= {path.proxy for path in backend.paths}
    return {
        "ways": found,
        "proxies": {name: s for name, s in around.proxies.items() if name in proxies},
        "proxies_deaf": {name: a for name, a in survey.deaf.items() if name in proxies},
        "holders": {
            address: owner for proxy in sorted(proxies)
            for address, owner in survey.holders.get(proxy, {}).items()
        },
        "idle": survey.idle,
        "lost": () if backend.paths else survey.lost,
        "listens_at": listening.of_unit(listeners, backend) if listeners is not None else (),
    }  # fmt: skip


def _asked_for(backend: Backend, around: Surroundings) -> bool | None:
    """Whether anybody leads requests to a backend; None where that cannot be known."""
    if backend.paths or any(
        t.backend == backend.name and t.vantage != "origin" for t in around.targets
    ):
        return True
    return False if any(other.paths for other in around.paths.backends) else None
