"""Whether the environment can start, and holds what the project declares."""

from __future__ import annotations

import os
from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from badgateway.packages import files, virtualenv
from badgateway.packages.declared import Declared
from badgateway.packages.evidence import Evidence, place, satisfies, shown
from badgateway.packages.findings import Finding
from badgateway.packages.virtualenv import Environment


def check_environment(evidence: Evidence) -> Iterator[Finding]:
    """Look at the interpreter and the script that start it."""
    environment, target = evidence.environment, evidence.target
    if not environment.binary and not environment.problem:
        yield Finding(
            "interpreter_missing",
            "fatal",
            os.path.basename(environment.interpreter),
            f"{environment.interpreter} does not exist or leads nowhere, so nothing can start.",
            evidence.fixes.recreate,
        )
    if environment.changed:
        made_for = ", ".join(environment.libraries)
        yield Finding(
            "interpreter_changed",
            "fatal",
            os.path.basename(environment.interpreter),
            f"The virtualenv holds packages for {made_for}, and its interpreter is now Python "
            f"{environment.version}, which sees none of them.",
            evidence.fixes.recreate,
            installed=environment.version,
        )
    if target.script:
        yield from _check_script(evidence)
    wanted = evidence.declaration.requires_python
    if wanted and environment.minor and not _python_fits(wanted, environment):
        yield Finding(
            "requires_python",
            "fatal",
            "python",
            f"The project requires Python {wanted}; the virtualenv has {environment.version}.",
            evidence.fixes.recreate,
            declared=wanted,
            declared_in="pyproject.toml",
            installed=environment.version,
        )


def _check_script(evidence: Evidence) -> Iterator[Finding]:
    script = evidence.target.script
    name = os.path.basename(script)
    if files.exists(script) is False:
        yield Finding(
            "shebang",
            "fatal",
            name,
            f"The start command runs {script}, which does not exist.",
            evidence.fixes.declared(name),
        )
        return
    try:
        words = virtualenv.shebang(script)
    except (OSError, ValueError):
        return
    interpreter = words[0] if words else ""
    if interpreter.startswith("/") and files.exists(interpreter) is False:
        yield Finding(
            "shebang",
            "fatal",
            name,
            f"{script} is run by {interpreter}, which does not exist.",
            evidence.fixes.recreate,
        )
        return
    home = virtualenv.prefix_of(script)
    used = virtualenv.prefix_of(interpreter) if interpreter.startswith("/") else home
    if home and used != home and os.path.realpath(used or "/") != os.path.realpath(home):
        yield Finding(
            "shebang",
            "warn",
            name,
            f"{script} is run by {interpreter}, so it uses the packages of another environment "
            f"than {home}.",
            evidence.fixes.recreate,
        )


def _python_fits(specifier: str, environment: Environment) -> bool:
    minor = environment.minor or (0, 0)
    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        return True
    # The patch level is not always known exactly; a requirement about it is no ground for alarm.
    versions = (environment.version, f"{minor[0]}.{minor[1]}.99")
    return any(wanted.contains(version, prereleases=True) for version in versions)


def check_declared(evidence: Evidence) -> Iterator[Finding]:
    """Look for what the project declares and the environment lacks or has otherwise."""
    distributions = evidence.installed.distributions
    for declared in evidence.declaration.requirements:
        if declared.name == evidence.declaration.name:
            continue
        installed = distributions.get(declared.name)
        if installed is None:
            yield _missing(evidence, declared)
        elif declared.requirement is not None:
            specifier = declared.requirement.specifier
            if not satisfies(installed, declared.requirement):
                yield Finding(
                    "version",
                    "info" if evidence.target.installs else "high",
                    declared.name,
                    f"{declared.source} asks for {declared.name} {specifier}; installed is "
                    f"{installed.version}.",
                    evidence.fixes.declared(declared.name),
                    declared=declared.specifier,
                    declared_in=declared.source,
                    installed=installed.version,
                )


def _missing(evidence: Evidence, declared: Declared) -> Finding:
    edge = evidence.users.get(declared.name)
    where = f"{declared.name}{shown(declared.specifier)} is declared in {declared.source}"
    if edge is None:
        message = f"{where} and not installed; nothing that the application loads imports it."
    else:
        line = place(edge, evidence.target.project)
        message = f"{where} and imported by {edge.importer} ({line}), but not installed."
    high = edge is not None and not evidence.target.installs
    return Finding(
        "missing",
        "high" if high else "info",
        declared.name,
        message,
        evidence.fixes.declared(declared.name),
        declared=declared.specifier,
        declared_in=declared.source,
        importer=str(edge) if edge else "",
    )
