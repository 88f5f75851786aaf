"""The rules: each looks at the evidence and concludes one cause, or nothing.

``RULES`` is the table; the first rule that concludes wins, so the more specific stand first. A rule
that is not sure concludes nothing: a wrong cause is worse than none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.events import BootFailure
from badgateway.packages.findings import Finding, Report
from badgateway.packages.names import MissingModule, classify_missing

Rule = Callable[[Evidence], Verdict | None]

_JUST_STARTED: Final = 60.0
_LOOP_STARTS: Final = 3
"""Automatic restarts within a quarter of an hour from which on it is a loop."""

_MODULE_ERRORS: Final = frozenset(("ModuleNotFoundError", "ImportError"))


def diagnose(evidence: Evidence) -> Verdict:
    """Return the verdict on one backend."""
    if not evidence.failing:
        return Verdict("none", 1.0, summary=f"{evidence.backend.name} answers.")
    for rule in RULES:
        verdict = rule(evidence)
        if verdict is not None:
            return verdict
    return _undetermined(evidence)


def missing_dependency(evidence: Evidence) -> Verdict | None:
    """The application stops at an import of a package that is not installed."""
    report = _judged(evidence)
    for failure in reversed(evidence.current_boot_failures):
        missing = _missing(failure, evidence, report)
        if missing is None:
            continue
        agreed = _agrees(report, missing, failure.module or "")
        if missing.kind != "dependency" or agreed is False:
            return None
        if not failure.certain and agreed is not True:
            continue  # a serving application may have printed it; the disk does not confirm it
        confidence = 0.95 if agreed else 0.85
        return _missing_dependency(
            evidence, missing, failure, _finding(report, missing), confidence
        )
    if evidence.current_boot_failures or not _cannot_start(evidence):
        return None
    # no log to read: what is on disk explains a service that does not come up
    if report is None:
        return None
    for finding in report.findings:
        if finding.severity == "fatal" and finding.kind == "import_missing":
            missing = classify_missing(finding.module, report, evidence.remembered)
            if missing.kind == "dependency":
                return _missing_dependency(evidence, missing, None, finding, 0.75)
    return None


def boot_failure(evidence: Evidence) -> Verdict | None:
    """The application does not load, for another reason than a missing package."""
    for failure in reversed(evidence.current_boot_failures):
        if not failure.certain:
            continue
        subject = failure.module or failure.exception
        return Verdict(
            "boot_failure",
            0.9,
            subject,
            f"{evidence.backend.name} does not load: {failure.exception}: {failure.message}",
            evidence.since,
            (_told(failure), *_facts(evidence)),
            _logs(evidence),
        )
    report = _judged(evidence)
    if report is None or not _cannot_start(evidence):
        return None
    for finding in report.findings:
        if finding.severity == "fatal":
            return Verdict(
                "boot_failure",
                0.7,
                finding.subject,
                f"{evidence.backend.name} does not come up: {finding.message}",
                evidence.since,
                (finding.message, *_facts(evidence)),
                (finding.fix, *_logs(evidence)),
            )
    return None


def crash_loop(evidence: Evidence) -> Verdict | None:
    """The service is started again and again and does not stay up."""
    service, backend = evidence.service, evidence.backend
    if service is None or service.active in ("inactive", "not_found"):
        return None
    starts = len(evidence.recent_starts)
    if evidence.now - service.started < _JUST_STARTED:
        # systemd's own count goes back to before the exporter was started
        starts = max(starts, service.restarts)
    ends = [e for e in evidence.worker_ends if e.at > evidence.now - 120]
    waiting = service.sub == "auto-restart" and service.restarts > 0
    given_up = service.active == "failed" and (starts > 0 or service.restarts > 0)
    if starts < _LOOP_STARTS and not waiting and not given_up:
        if not (evidence.deaf and len(ends) >= 2 * _LOOP_STARTS):
            return None
    elif not evidence.service_down and evidence.answered:
        return None
    manner = f"restarted {starts} times in 15 min"
    if given_up:
        manner = "systemd has given up starting it"
    elif starts < _LOOP_STARTS and not waiting:
        manner = f"{len(ends)} workers ended in the last 2 minutes"
    return Verdict(
        "crash_loop",
        0.8,
        backend.unit,
        f"{backend.name} does not stay up: {manner}, last end: {_last_end(evidence)}.",
        evidence.since,
        _facts(evidence),
        _logs(evidence),
    )


def service_stopped(evidence: Evidence) -> Verdict | None:
    """The service was stopped, or ended and is not started again."""
    service, backend = evidence.service, evidence.backend
    if service is None or service.active not in ("inactive", "failed", "not_found"):
        return None
    exits = [h.reason for h in evidence.happenings if h.what == "exit"]
    start: tuple[str, ...] = (f"systemctl start {backend.unit}" if backend.unit else "start it",)
    if service.active == "not_found":
        ended, start = f"does not run: {backend.unit} does not exist any more", ()
    elif service.active == "failed":
        ended = f"ended ({_last_end(evidence)}) and is not started again"
    elif exits and exits[-1] == "clean_exit":
        ended = "ended by itself, without an error, and is not started again"
    else:
        ended = "is stopped"
    return Verdict(
        "service_stopped",
        0.9,
        backend.unit,
        f"{backend.name} {ended}.",
        evidence.since,
        _facts(evidence),
        (*start, *_logs(evidence)),
    )


RULES: Final[tuple[Rule, ...]] = (
    missing_dependency,
    boot_failure,
    crash_loop,
    service_stopped,
)


def _undetermined(evidence: Evidence) -> Verdict:
    blind = [f"{name}: {problem}" for name, problem in evidence.sources.items() if problem]
    summary = f"{evidence.backend.name} fails; the evidence does not say why."
    return Verdict(
        "undetermined", 0.0, "", summary, evidence.since, (*_facts(evidence), *blind),
        _logs(evidence),
    )  # fmt: skip


def _judged(evidence: Evidence) -> Report | None:
    """The report on the next start, if it judges at all."""
    report = evidence.next_start
    return None if report is None or report.verdict == "unknown" else report


def _missing(
    failure: BootFailure, evidence: Evidence, report: Report | None
) -> MissingModule | None:
    if failure.module is None or failure.exception not in _MODULE_ERRORS:
        return None
    known = report or evidence.next_start
    if known is None:
        return None
    return classify_missing(failure.module, known, evidence.remembered)


def _agrees(report: Report | None, missing: MissingModule, module: str) -> bool | None:
    """Whether what is on disk says the same; None when it cannot say."""
    if report is None:
        return None
    if _finding(report, missing) is not None:
        return True
    top = module.partition(".")[0]
    if any(f.module.partition(".")[0] == top for f in report.findings if f.module):
        return True
    # it is there now: the failure is of the past, or somebody else's words
    return False if report.verdict == "ok" else None


def _finding(report: Report | None, missing: MissingModule) -> Finding | None:
    for finding in report.findings if report else ():
        if finding.subject == missing.distribution and finding.severity in ("fatal", "high"):
            return finding
    return None


def _cannot_start(evidence: Evidence) -> bool:
    """The service was started and does not come up, as far as others than its log can tell."""
    if evidence.service is None:
        return evidence.listening is False
    # without a manager nobody says whether it was stopped or cannot start
    unmanaged = evidence.backend.manager == "process"
    return evidence.deaf or (
        evidence.service_down and (unmanaged or evidence.service.active != "inactive")
    )


def _missing_dependency(
    evidence: Evidence,
    missing: MissingModule,
    failure: BootFailure | None,
    finding: Finding | None,
    confidence: float,
) -> Verdict:
    backend, report = evidence.backend, evidence.next_start
    package = missing.distribution
    where = (report.virtualenv if report else "") or "its virtualenv"
    if missing.declared_in:
        declared = f"declared in {missing.declared_in}"
        declared += f" as {package}{missing.declared}" if missing.declared else ""
    elif missing.required_by:
        declared = f"required by {', '.join(missing.required_by)}"
    else:
        declared = "declared nowhere"
    if missing.basis == "guess":
        declared += "; the package's name is assumed from that of the import"
    summary = f"{backend.name} does not load: {package} is not installed in {where} ({declared})."
    facts = [_told(failure)] if failure else []
    facts += [finding.message] if finding else []
    if evidence.drift_since and report is not None and report.verdict == "will_fail":
        facts.append(f"The virtualenv lacks it at least since {_clock(evidence.drift_since)}.")
    fix = finding.fix if finding and finding.fix else f"install {package} in {where}"
    restart = (f"systemctl restart {backend.unit}",) if backend.unit else ()
    return Verdict(
        "missing_dependency",
        confidence,
        package,
        summary,
        evidence.since,
        (*facts, *_facts(evidence)),
        (fix, *restart),
    )


def _last_end(evidence: Evidence) -> str:
    ends = [h.reason for h in evidence.happenings if h.what == "exit" and h.reason != "start_limit"]
    result = evidence.service.result if evidence.service else ""
    return (ends[-1] if ends else result or "unknown").replace("_", " ").replace("-", " ")


def _told(failure: BootFailure) -> str:
    who = f"{failure.server} {failure.role}"
    who += f" {failure.pid}" if failure.pid else ""
    return f"{_clock(failure.at)} {who} said: {failure.exception}: {failure.message}"


def _facts(evidence: Evidence) -> tuple[str, ...]:
    """What is plain to see, in the order of the path."""
    facts = []
    for probe in evidence.probes:
        if probe.failing:
            answer = probe.last.status or probe.last.reason
            outcome = f"failed {probe.failures} times since {_clock(probe.since)}: {answer}"
        else:
            outcome = f"answers {probe.last.status}"
        facts.append(f"Probe {probe.target.name} ({probe.target.vantage}) {outcome}.")
    if evidence.listening is not None and evidence.backend.upstreams:
        who = "Something" if evidence.listening else "Nothing"
        facts.append(f"{who} listens at {', '.join(evidence.backend.upstreams)}.")
    service = evidence.service
    if service is not None:
        name = evidence.backend.unit or "The process"
        state = f"{service.active} ({service.sub})" if service.sub else service.active
        facts.append(f"{name} is {state}.")
        if evidence.listening is False and service.active == "active" and service.started:
            age = evidence.now - service.started
            facts.append(f"It was started {age:.0f} s ago and does not listen.")
        if service.exited and service.down:
            facts.append(
                f"Its main process ended at {_clock(service.exited)} with status "
                f"{service.exit_status}."
            )
    if evidence.recent_starts:
        facts.append(f"Restarted {len(evidence.recent_starts)} times in the last 15 minutes.")
    ends = [e for e in evidence.worker_ends if e.at > evidence.now - 120]
    if ends:
        facts.append(f"{len(ends)} workers ended in the last 2 minutes.")
    recent = [f for f in evidence.failures if f.at > evidence.now - 120]
    if recent:
        facts.append(f"The proxy failed {len(recent)} times in 2 minutes: {recent[-1].reason}.")
    return tuple(facts)


def _logs(evidence: Evidence) -> tuple[str, ...]:
    unit = evidence.backend.unit
    return (f"journalctl -u {unit} -n 50 --no-pager", f"systemctl status {unit}") if unit else ()


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
