"""Rules about an application that does not load: a package is missing, or something else."""

from __future__ import annotations

from typing import Final

from badgateway.diagnosis import commands
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.verdict import Verdict
from badgateway.diagnosis.words import clock, facts, logs, told
from badgateway.events import BootFailure
from badgateway.packages.findings import Finding, Report
from badgateway.packages.names import MissingModule, classify_missing

_MODULE_ERRORS: Final = frozenset(("ModuleNotFoundError", "ImportError"))


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
            (told(failure), *facts(evidence)),
            logs(evidence),
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
                (finding.message, *facts(evidence)),
                (finding.fix, *logs(evidence)),
            )
    return None


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
    if evidence.disk_moving:
        return False  # what is known of the disk is of before
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
    said = [told(failure)] if failure else []
    said += [finding.message] if finding else []
    if evidence.drift_since and report is not None and report.verdict == "will_fail":
        said.append(f"The virtualenv lacks it at least since {clock(evidence.drift_since)}.")
    fix = finding.fix if finding and finding.fix else f"install {package} in {where}"
    return Verdict(
        "missing_dependency",
        confidence,
        package,
        summary,
        evidence.since,
        (*said, *facts(evidence)),
        (fix, *commands.restart(backend)),
    )
