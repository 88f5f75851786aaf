"""From what was read to findings and a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from badgateway.packages import files
from badgateway.packages.checks import check_declared, check_environment
from badgateway.packages.closure import Closure
from badgateway.packages.evidence import Evidence
from badgateway.packages.findings import Finding, Report, sort
from badgateway.packages.importchecks import Doubts, check_imports, check_syntax
from badgateway.packages.installchecks import (
    check_installed,
    check_requires,
    check_stale_metadata,
)

PROBLEMS_SHOWN: Final = 5


def judge(
    evidence: Evidence,
    closure: Closure | None,
    report: Report,
    doubts: Doubts,
    problems: Iterable[str],
    refused: Iterable[Finding] = (),
) -> Report:
    """Return ``report`` with findings, verdict and problem filled in.

    ``refused`` is what keeps the start from getting as far as the packages.
    ``closure`` is None when the imports could not be followed; ``problems`` says why, and what
    else could not be looked at.
    """
    found = [*refused, *check_environment(evidence)]
    doubtful = list(problems)
    if not evidence.environment.changed:
        found += check_declared(evidence)
        found += check_stale_metadata(evidence)
        found += check_requires(evidence)
        found += check_installed(evidence)
        if closure is not None:
            for more, unsure in (
                check_imports(evidence, closure, report, doubts),
                check_syntax(evidence, closure),
            ):
                found += more
                doubtful += unsure
    found += _unreadable(evidence, closure)
    findings = sort(found)
    shown = files.unique(doubtful)
    text = "; ".join(shown[:PROBLEMS_SHOWN])
    if len(shown) > PROBLEMS_SHOWN:
        text += f"; and {len(shown) - PROBLEMS_SHOWN} more"
    known = verdict(findings, text)
    if known == "unknown" and not text:
        text = next(f.message for f in findings if f.kind == "unreadable")
    return msgspec.structs.replace(report, verdict=known, findings=findings, problem=text)


def verdict(findings: Iterable[Finding], problem: str) -> str:
    """Return a key of ``vocabulary.NEXT_START_VERDICTS``.

    What is certain to fail or likely to fail is said whatever else could not be read; without
    either, anything that could not be read makes the answer unknown, never ``ok``.
    """
    severities = {finding.severity for finding in findings}
    if "fatal" in severities:
        return "will_fail"
    if "high" in severities:
        return "may_fail"
    if problem or any(finding.kind == "unreadable" for finding in findings):
        return "unknown"
    return "ok"


def _unreadable(evidence: Evidence, closure: Closure | None) -> Iterable[Finding]:
    for file, why in evidence.declaration.unreadable:
        yield Finding(
            "unreadable",
            "info",
            file,
            f"{file} of the project cannot be read as a declaration: {why}.",
            f"make {file} readable, or name the requirements elsewhere",
        )
    for file, why in (closure.own_unread if closure else {}).items():
        yield Finding(
            "unreadable",
            "info",
            file,
            f"{file} is loaded at start and was not looked at: {why}.",
            "split the file, or leave it as it is and start it once by hand after a change",
        )
