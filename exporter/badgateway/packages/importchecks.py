"""Imports that will not succeed at the next start, and whose fault that is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from badgateway.packages import files
from badgateway.packages.closure import Closure, Edge
from badgateway.packages.evidence import Evidence, place, shown
from badgateway.packages.findings import Finding, Report
from badgateway.packages.names import MissingModule, classify_missing
from badgateway.packages.resolver import Kind
from badgateway.packages.sitepaths import SitePaths


@dataclass(frozen=True, slots=True)
class Doubts:
    """Why a module that was not found may be found all the same.

    Attributes:
        general: holds for every module; empty when nothing is in doubt.
        site: what ``site`` adds; an editable installation among it may not be understood.
    """

    general: str
    site: SitePaths

    def about(self, missing: MissingModule, report: Report, evidence: Evidence) -> str:
        """Return why ``missing`` is in doubt; empty when it is certain."""
        name = missing.distribution
        if name and name not in report.installed:
            asked_for = name in report.declared or name in report.required_by
            if asked_for and missing.basis != "similar":
                return ""  # a distribution that should be there and is not
        if self.general:
            return self.general
        distribution = evidence.installed.distributions.get(name)
        if distribution and distribution.editable:
            where = distribution.editable
            followed = any(files.below(path, where) for path in self.site.paths)
            followed = followed or any(files.below(p, where) for p in self.site.mapping.values())
            if not followed:
                return f"the editable installation of {name} cannot be followed"
        return ""


def users(closure: Closure, report: Report, remembered: Mapping[str, str]) -> Mapping[str, Edge]:
    """Return distribution → the own module that imports it without a guard, where nothing is.

    A directory without any module in it counts as nothing: that is what an uninstall leaves.
    """
    found: dict[str, Edge] = {}
    for module, edge in closure.used.items():
        location = closure.modules.get(module)
        if location is None or location.kind is Kind.NAMESPACE:
            missing = classify_missing(module, report, remembered, edge.importer)
            if missing.kind == "dependency":
                found.setdefault(missing.distribution, edge)
    return found


def check_imports(
    evidence: Evidence, closure: Closure, report: Report, doubts: Doubts
) -> tuple[list[Finding], list[str]]:
    """Return a finding for each distribution or own module missing, and what is in doubt."""
    findings: dict[str, Finding] = {}
    problems: list[str] = []
    remembered = evidence.target.remembered
    for module, edge in closure.missing.items():
        if edge.importer.partition(".")[0] in closure.lenient:
            continue
        missing = classify_missing(module, report, remembered, edge.importer)
        doubt = doubts.about(missing, report, evidence)
        if doubt:
            problems.append(f"{module} is not found, but {doubt}")
            continue
        finding = _finding(evidence, missing, edge)
        findings.setdefault(finding.subject, finding)
    for finding in _foreign_functions(evidence, closure, report):
        findings.setdefault(finding.subject, finding)
    return list(findings.values()), problems


def _finding(evidence: Evidence, missing: MissingModule, edge: Edge) -> Finding:
    name = missing.distribution or missing.module
    by = _importer(edge, evidence.target.project)
    if missing.kind == "dependency":
        message, fix = _dependency(evidence, missing, by)
    elif missing.kind == "standard_module":
        version = evidence.environment.version
        message = f"{by} {missing.module}, which Python {version} does not have."
        fix = "replace the import, or go back to the Python version it was written for"
    else:
        message = f"{by} {missing.module}, a module of the project that does not exist."
        if missing.similar and missing.similar != missing.module.partition(".")[0]:
            message = f"{message[:-1]}; there is {missing.similar}."
        where = place(edge, evidence.target.project) if edge.file else "the start command"
        fix = f"correct the import in {where}, or deploy the missing module"
    healed = evidence.target.installs and missing.kind == "dependency"
    return Finding(
        "import_missing",
        "info" if healed else "fatal",
        name,
        message,
        fix,
        missing.module,
        missing.declared,
        missing.declared_in,
        missing.installed,
        str(edge),
    )


def _importer(edge: Edge, project: str) -> str:
    if not edge.importer:
        return "The start command loads"
    return f"{edge.importer} ({place(edge, project)}) imports"


def _dependency(evidence: Evidence, missing: MissingModule, by: str) -> tuple[str, str]:
    name = missing.distribution
    alias = "" if missing.module.replace("_", "-").lower() == name else f" ({name})"
    if missing.installed:
        version = missing.installed
        state = f"which is not among the files of the installed {name} {version}"
        return f"{by} {missing.module}, {state}.", evidence.fixes.reinstall(name, version)
    if missing.declared_in:
        state = f"which is declared in {missing.declared_in}{shown(missing.declared)}"
        return f"{by} {missing.module}{alias}, {state} and not installed.", (
            evidence.fixes.declared(name)
        )
    if missing.required_by:
        state = f"which {' and '.join(missing.required_by[:3])} requires and which is not installed"
        return f"{by} {missing.module}{alias}, {state}.", evidence.fixes.declared(name)
    message = f"{by} {missing.module}{alias}, which is declared nowhere and not installed."
    if missing.basis == "guess":
        # No command: to install whatever has the name of an import would be a risk of its own.
        return message, f"correct the import, or declare and install what provides {missing.module}"
    return message, evidence.fixes.install(name)


def _foreign_functions(evidence: Evidence, closure: Closure, report: Report) -> Iterator[Finding]:
    """Extension modules made with cffi import its runtime by themselves."""
    if "cffi" in report.installed or not report.required_by.get("cffi"):
        return
    for file in closure.extensions:
        for owner in report.required_by["cffi"]:
            distribution = evidence.installed.distributions.get(owner)
            if distribution is None:
                continue
            site = os.path.dirname(distribution.directory)
            top = os.path.relpath(file, site).partition("/")[0]
            if report.providers.get(top.partition(".")[0]) == owner:
                missing = classify_missing("_cffi_backend", report)
                yield _finding(evidence, missing, Edge(owner, file, 0))
                return


def check_syntax(evidence: Evidence, closure: Closure) -> tuple[list[Finding], list[str]]:
    """Return a finding for each file that does not parse, and the files nobody here can judge.

    A target newer than the Python that runs this may have syntax that is not known here.
    """
    findings: list[Finding] = []
    problems: list[str] = []
    newer = (evidence.environment.minor or (3, 0)) > sys.version_info[:2]
    for module, broken in closure.unparsed.items():
        own = broken.file in closure.own_files
        if newer:
            if own:
                problems.append(f"{module} uses syntax that this Python does not know")
            continue
        where = place(Edge(module, broken.file, broken.line), evidence.target.project)
        findings.append(
            Finding(
                "syntax",
                "fatal",
                module,
                f"{where} does not parse: {broken.message}.",
                f"correct {where}",
                module,
                importer=str(broken.edge),
            )
        )
    return findings, problems
