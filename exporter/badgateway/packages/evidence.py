"""What was read about a target, and how findings word it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.version import InvalidVersion

from badgateway.packages import files
from badgateway.packages.closure import Edge
from badgateway.packages.declared import Declaration
from badgateway.packages.findings import Target
from badgateway.packages.fixes import Fixes
from badgateway.packages.installed import Distribution, Installed
from badgateway.packages.virtualenv import Environment


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was read, for the checks to judge.

    ``markers`` are the target's PEP 508 fields; ``users`` says for a distribution that is not
    importable which own module imports it without a guard.
    """

    target: Target
    environment: Environment
    markers: Mapping[str, str]
    installed: Installed
    declaration: Declaration
    users: Mapping[str, Edge]
    fixes: Fixes


def shown(specifier: str) -> str:
    """Return a specifier as it follows a name in a sentence."""
    return f" ({specifier})" if specifier else ""


def place(edge: Edge, project: str) -> str:
    """Return file and line of an import, relative to the project when inside it."""
    inside = files.below(edge.file, project)
    return f"{os.path.relpath(edge.file, project) if inside else edge.file}:{edge.line}"


def satisfies(installed: Distribution, requirement: Requirement) -> bool:
    """Return whether the installed version is one that is asked for."""
    try:
        return requirement.specifier.contains(installed.version, prereleases=True)
    except InvalidVersion:
        return True  # a version nobody can compare
