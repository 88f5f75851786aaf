"""What ``verify`` looks at: this host itself, or what another exporter says of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Protocol, Self

import psutil

from badgateway import config as settings
from badgateway import vocabulary
from badgateway.cli.diagnose import ask
from badgateway.cli.place import exporters_token
from badgateway.diagnosis.evidence import Evidence
from badgateway.exporter import Exporter
from badgateway.packages.findings import Report
from badgateway.packages.watch import newest, watched
from badgateway.redaction import redacted
from badgateway.verification import Observation, Shot, Verification, obstacles
from badgateway.web.answers import Answer, BackendAnswer, Conclusion, answer

REMOTE_STEADY_SECONDS: Final = 12.0
"""Two rounds of another exporter's probes, and a little."""

_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,200}\.service")


class Observer(Protocol):
    """Sees backends; an asynchronous context manager."""

    async def __aenter__(self) -> Self:
        """Begin to look."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def look(self) -> dict[str, Observation]:
        """Return what is seen of each backend now."""

    def verification(self, steady: float) -> Verification:
        """Return a fresh judgement that wants ``steady`` seconds of answers, or more."""

    def diagnosis(self, backend: str) -> Conclusion | None:
        """Return what is concluded of a backend."""


class Local:
    """Looks at this host, by an exporter of its own that keeps and serves nothing."""

    def __init__(self, config: settings.Config, wanted: Iterable[str] = ()) -> None:
        """``wanted``: names of backends, to be found also if they do not run."""
        self._exporter = Exporter(config, None)
        token = exporters_token()
        if token is not None:
            self._exporter.probes.identify(token)
        self._wanted = frozenset(wanted)
        units = (f"{name}.service" for name in self._wanted)
        self._exporter.discovery.expect(unit for unit in units if _UNIT.fullmatch(unit))
        self._begun = time.time()

    async def __aenter__(self) -> Self:
        """Begin to look."""
        await self._exporter.start()
        await self._exporter.ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        await self._exporter.stop()

    def look(self) -> dict[str, Observation]:
        """Return what is seen of each backend now."""
        found = {}
        for backend in self._exporter.paths.backends:
            evidence = self._exporter.conclusions.evidence.get(backend.name)
            if evidence is None or (backend.name not in self._wanted and _is_spare(evidence)):
                continue
            if backend.name in self._wanted or not evidence.laid_to_rest:
                found[backend.name] = self._observe(evidence)
        return found

    def verification(self, steady: float) -> Verification:
        """Return a fresh judgement."""
        return Verification(steady=steady)

    def diagnosis(self, backend: str) -> Conclusion | None:
        """Return what is concluded of a backend."""
        said = _of(answer(self._exporter, time.time()), backend)
        return said.diagnosis if said is not None else None

    def _observe(self, evidence: Evidence) -> Observation:
        name, service = evidence.backend.name, evidence.service
        verdict = self._exporter.conclusions.verdicts.get(name)
        shots = self._shots(evidence)
        against: tuple[str, ...] = ("not all of it has been looked at yet",)
        pending = ""
        if verdict is None or any(not shot.at for shot in shots):
            pending = against[0]
        elif self._exporter.dependencies.pending(name):
            pending = "its code and packages have not been looked at yet"
        if verdict is not None:
            against = obstacles(
                evidence, verdict.cause, verdict.summary, self._begun,
                code_changed(evidence.next_start), loaded(evidence),
            )  # fmt: skip
        process = f"{service.invocation} {service.main_pid}" if service is not None else ""
        return Observation(time.time(), shots, process, against, pending)

    def _shots(self, evidence: Evidence) -> tuple[Shot, ...]:
        states = self._exporter.probes.states
        asleep = evidence.service is not None and evidence.service.asleep
        shots = []
        # those that are asked: others may be looked for otherwise than they were found at first
        asked = sorted(self._exporter.probing.targets, key=lambda t: (t.vantage, t.name, t.url))
        for target in asked:
            if target.backend != evidence.backend.name or (asleep and target.vantage == "origin"):
                continue
            state = states.get(target)
            url = redacted(target.url)
            if state is None:
                shots.append(Shot(target.vantage, target.name, url, 0.0, False, "not asked yet"))
                continue
            last = state.last
            text = str(last.status or last.reason.replace("_", " "))
            if last.reason and last.status and last.reason != "status":
                text += f", {last.reason.replace('_', ' ')}"
            good = state.asked and not state.failing
            shots.append(Shot(target.vantage, target.name, url, last.at, good, text))
        if not shots:  # nobody asks at addresses where nothing can answer
            shots = [
                Shot(
                    "origin", "origin", way.route.upstream, time.time(), False,
                    vocabulary.DESTINATIONS[way.destination.state],
                )
                for way in evidence.ways.loaded
                if way.destination.is_broken and not way.route.backup
            ]  # fmt: skip
        return tuple(shots)


def _is_spare(evidence: Evidence) -> bool:
    """Whether a backend is but an address that is used only while others fail."""
    ways, backend = evidence.ways.loaded, evidence.backend
    is_address = not backend.manager and backend.launch is None
    return is_address and bool(ways) and all(way.route.backup for way in ways)


class Remote:
    """Believes a running exporter."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._last: Answer | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def look(self) -> dict[str, Observation]:
        """Return what the exporter says now; nothing of it while it does not answer."""
        found = ask(self._url)
        if found is None:
            silent = (f"the exporter at {self._url} does not answer",)
            known = self._last.backends if self._last is not None else ()
            return {said.backend: Observation(time.time(), _hops(said, 0.0), "", silent)
                    for said in known}  # fmt: skip
        self._last = found
        return {said.backend: _observed(said, found.at) for said in found.backends}

    def verification(self, steady: float) -> Verification:
        """Return a fresh judgement."""
        return Verification(steady=max(steady, REMOTE_STEADY_SECONDS))

    def diagnosis(self, backend: str) -> Conclusion | None:
        """Return what the exporter concluded of a backend."""
        said = _of(self._last, backend)
        return said.diagnosis if said is not None else None


def code_changed(report: Report | None) -> float:
    """Return when the project's own modules last changed, 0 where that is not known."""
    if report is None:
        return 0.0
    modules = (path for path in watched(report, "code") if path.endswith(".py"))
    return newest(modules) or 0.0


def loaded(evidence: Evidence) -> float:
    """Return when the oldest process that serves was started; 0 where that is not known.

    A server's workers load the application, unless it loads it before it makes them.
    """
    service, launch = evidence.service, evidence.backend.launch
    if service is None or not service.main_pid or service.active != "active":
        return 0.0
    try:
        main = psutil.Process(service.main_pid)
        if launch is not None and launch.preload:
            return float(main.create_time())
        processes = [
            p for p in main.children(recursive=True) if "resource_tracker" not in _words(p)
        ]
        parents = {process.ppid() for process in processes}
        serving = [process for process in processes if process.pid not in parents]
        return float(min(process.create_time() for process in serving or [main]))
    except psutil.Error:
        return 0.0


def _words(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def _of(found: Answer | None, backend: str) -> BackendAnswer | None:
    said = found.backends if found is not None else ()
    return next((one for one in said if one.backend == backend), None)


def _observed(said: BackendAnswer, at: float) -> Observation:
    against = [said.diagnosis.summary] if said.diagnosis.name != "none" else []
    against += [
        f"{hop.name} is {hop.text}"
        for hop in said.hops
        if hop.hop == "service" and hop.state == "failing"
    ]
    return Observation(at, _hops(said, at), "", tuple(against))


def _hops(said: BackendAnswer, at: float) -> tuple[Shot, ...]:
    return tuple(
        Shot(hop.hop, f"{hop.hop} {number}", hop.name, at, hop.state == "ok", hop.text)
        for number, hop in enumerate(said.hops)
        if hop.hop in ("edge", "proxy", "origin")
    )
