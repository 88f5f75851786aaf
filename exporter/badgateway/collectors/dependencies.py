"""Packages: is what each project declares and imports there, and would the next start work.

The disk is only compared with its last fingerprint, every ``LOOK_SECONDS``. When it changed, and
has been still for ``SETTLE_SECONDS`` (an installation in progress is inconsistent all the way), it
is scanned in a child process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from badgateway.blocking import Blocking
from badgateway.collectors.starts import is_judged, target
from badgateway.packages.findings import Finding, Report, Target
from badgateway.packages.installing import installing
from badgateway.packages.scan import scan
from badgateway.packages.watch import fingerprint, newest, watched
from badgateway.topology.backends import Backend

LOOK_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 60.0
SCANS: Final = 3
"""Scans at a time: one that hangs must not keep the others waiting."""
INSTALL_SECONDS: Final = 600.0
"""How long an installer at work may put a scan off."""

log = logging.getLogger("badgateway")


@dataclass(slots=True)
class _Project:
    target: Target
    report: Report | None = None
    print: str = ""
    changed: float = 0.0
    moved: float = 0.0
    judged: str = ""
    verdict_since: float = 0.0
    scanned: float = 0.0
    duration: float = 0.0
    believed: frozenset[str] = frozenset()
    providers: dict[str, str] = field(default_factory=dict)
    deployed: dict[str, float] = field(default_factory=dict)
    lost: str = ""
    disk: Blocking = field(default_factory=lambda: Blocking("looking at a project's files", 2.0))


class Dependencies:
    """Keeps a report on each backend's project and virtualenv."""

    def __init__(self, cache: Path | None, learnt: Mapping[str, Any]) -> None:
        """Begin.

        Args:
            cache: directory for parse caches; None for no memory between scans.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._cache = cache
        self._learnt = dict(learnt)
        self._projects: dict[str, _Project] = {}
        self._scans = asyncio.Semaphore(SCANS)
        self.last_run = 0.0
        self.duration = 0.0

    async def run(self) -> None:
        """Look and scan until cancelled; a scan under way is then killed."""
        looks: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                # one that hangs does not delay the others
                for project in self._projects.values():
                    if id(project) not in looks:
                        looks[id(project)] = asyncio.create_task(self._round(project))
                await asyncio.sleep(LOOK_SECONDS)
                looks = {key: task for key, task in looks.items() if not task.done()}
        finally:
            for task in looks.values():
                task.cancel()
            await asyncio.gather(*looks.values(), return_exceptions=True)

    async def _round(self, project: _Project) -> None:
        """Look at a project once, whatever comes of it."""
        before = project.lost
        try:
            await self._look(project)
            project.lost = ""
        except OSError as error:
            project.lost = str(error)
            self.last_run = time.time()
            if not before:
                log.warning("dependencies: %s: %s", _place(project.target), project.lost)
        except Exception as error:
            project.lost = f"{type(error).__name__}: {error}"
            self.last_run = time.time()
            if not before:
                log.exception("dependencies: %s", _place(project.target))

    def watch(self, backends: tuple[Backend, ...]) -> None:
        """Look at exactly these backends' projects from now on."""
        wanted = {b.name: target for b in backends if (target := self._target(b)) is not None}
        for name in set(self._projects) - set(wanted):
            self._learnt[name] = _learnt(self._projects.pop(name))  # it may come back
        for name, target in wanted.items():
            project = self._projects.get(name)
            if project is None:
                project = self._projects[name] = _Project(target)
                learnt = self._learnt.get(name, {})
                project.providers = dict(learnt.get("providers", {}))
                project.believed = frozenset(learnt.get("believed", ()))
            elif project.target != target:
                project.target, project.judged = target, ""

    @property
    def problem(self) -> str:
        """Why a project could not be looked at; empty when all could."""
        for project in self._projects.values():
            report = project.report
            if project.lost or (report is not None and report.verdict == "unknown"):
                return project.lost or (report.problem if report else "")
        return ""

    def report(self, backend: str) -> Report | None:
        """Return the last report, without what was seen to be no obstacle."""
        project = self._projects.get(backend)
        if project is None or project.report is None:
            return None
        return without(project.report, project.believed)

    def pending(self, backend: str) -> bool:
        """Tell whether a backend's project is still to be looked at for the first time."""
        project = self._projects.get(backend)
        return project is not None and project.report is None

    def changed(self, backend: str) -> float:
        """Return when the disk was last seen to change; 0 if it has not since this life began."""
        project = self._projects.get(backend)
        return project.changed if project is not None and project.moved else 0.0

    def unsettled(self, backend: str) -> bool:
        """Tell whether the disk has changed since it was judged."""
        project = self._projects.get(backend)
        return project is not None and project.report is not None and self._moving(project)

    def since(self, backend: str) -> float:
        """Return when the present verdict was first reached."""
        project = self._projects.get(backend)
        return project.verdict_since if project else 0.0

    def remembered(self, backend: str) -> Mapping[str, str]:
        """Import name → distribution, of everything that was ever installed."""
        project = self._projects.get(backend)
        return project.providers if project else {}

    def deployed(self, backend: str) -> Mapping[str, float]:
        """Return when what the backend runs last changed: kind → seconds since the epoch."""
        project = self._projects.get(backend)
        return project.deployed if project else {}

    def runs_since(self, backend: str, started: float) -> None:
        """Take note that the application serves, and when its process was started.

        What looked like an obstacle on the same disk contents was none, then.
        """
        project = self._projects.get(backend)
        if project is None or project.report is None or not project.judged:
            return
        if project.changed and started > project.changed + 1:
            found = {_identity(f) for f in project.report.findings if f.severity == "fatal"}
            if found - project.believed:
                project.believed |= found

    def memory(self) -> dict[str, Any]:
        """What is worth remembering over a restart of the exporter."""
        kept = dict(self._learnt)
        for name, project in self._projects.items():
            kept[name] = _learnt(project)
        return kept

    async def _look(self, project: _Project) -> None:
        now = time.time()
        if project.report is None or (
            not project.report.watch and now - project.scanned > RETRY_SECONDS
        ):  # a scan that failed as a whole watches nothing: only time can heal it
            await self._scan(project)
            return
        watch, root = project.report.watch, project.target.root
        seen = await project.disk.call(fingerprint, watch, root)
        if seen != project.print:
            project.moved = project.moved if self._moving(project) else now
            project.print, project.changed = seen, now
        if self._moving(project) and now - project.changed >= SETTLE_SECONDS:
            if now - project.moved < INSTALL_SECONDS and await project.disk.call(
                installing, project.target.virtualenv
            ):
                project.changed = now
                return
            await self._scan(project)

    def _moving(self, project: _Project) -> bool:
        return project.print != project.judged

    async def _scan(self, project: _Project) -> None:
        target = project.target
        begun = time.time()
        # what was remembered is no part of the target: it grows, and must not look like a change
        async with self._scans:
            report = await scan(msgspec.structs.replace(target, remembered=project.providers))
        seen = await project.disk.call(fingerprint, report.watch, target.root)
        if project.target != target:
            return
        before = project.report
        if before is None or before.verdict != report.verdict:
            project.verdict_since = begun
        if before is None:
            project.changed = begun
        project.report, project.print, project.judged = report, seen, seen
        project.scanned, project.duration = time.time(), time.time() - begun
        project.providers |= report.providers
        project.deployed = await project.disk.call(_deployed, report, target.root)
        self.last_run, self.duration = project.scanned, project.duration

    def _target(self, backend: Backend) -> Target | None:
        if not is_judged(backend):
            return None
        # a name may hold a slash: compose project and service
        name = backend.name.replace("/", "_")
        cache = str(self._cache / f"{name}.parsed") if self._cache and backend.project else None
        return target(backend, cache)


def without(report: Report, believed: frozenset[str]) -> Report:
    """Return the report without fatal findings that did not keep the application from starting."""
    if not believed:
        return report
    kept = tuple(f for f in report.findings if _identity(f) not in believed)
    if len(kept) == len(report.findings):
        return report
    verdict = report.verdict
    if verdict == "will_fail" and not any(f.severity == "fatal" for f in kept):
        verdict = "may_fail" if any(f.severity == "high" for f in kept) else "ok"
    return Report(
        **{name: getattr(report, name) for name in report.__struct_fields__}
        | {"findings": kept, "verdict": verdict}
    )


def _place(target: Target) -> str:
    return target.project or target.directory


def _learnt(project: _Project) -> dict[str, Any]:
    return {"providers": project.providers, "believed": sorted(project.believed)}


def _deployed(report: Report, root: tuple[tuple[str, str], ...]) -> dict[str, float]:
    """Newest change below the project and below its virtualenv."""
    found = {kind: newest(watched(report, kind), root) for kind in ("packages", "code")}
    return {kind: changed for kind, changed in found.items() if changed is not None}


def _identity(finding: Finding) -> str:
    return f"{finding.kind} {finding.module or finding.subject} {finding.importer}"
