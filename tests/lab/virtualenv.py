"""Virtualenvs of the scenarios' applications, made as people make them, without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.lab import parts
from tests.lab.host import CHECKOUT_INSIDE
from tests.lab.machine import Machine
from tests.lab.wheels import wheelhouse

_PIP_SECONDS: Final = 120.0


def make_virtualenv(machine: Machine, folder: str) -> None:
    """Make a virtualenv that has pip; raises CalledProcessError, PartMissing."""
    machine.run(
        [str(Path(sys.executable).resolve()), "-m", "venv", "--without-pip", machine.place(folder)]
    )
    # Debian's python3 may come without ensurepip: pip's own wheel installs itself.
    pip = next(wheelhouse().glob("pip-*.whl")).name
    environment = {"PYTHONPATH": f"{_wheels(machine)}/{pip}"}
    _pip(machine, folder, ["pip"], environment)


def install_editable(machine: Machine, project: str) -> None:
    """Run ``pip install -e PROJECT`` in the project's own virtualenv, ``.venv``."""
    _pip(machine, f"{project}/.venv", ["-e", machine.place(project)], {})


def install(machine: Machine, folder: str, *packages: str) -> None:
    """Install packages into the virtualenv ``folder``."""
    _pip(machine, folder, list(packages), {})


def uninstall(machine: Machine, project: str, package: str) -> None:
    """Run ``pip uninstall PACKAGE`` in the project's own virtualenv."""
    _run(machine, f"{project}/.venv", ["uninstall", "-y", package], {})


def _pip(machine: Machine, folder: str, arguments: list[str], environment: dict[str, str]) -> None:
    offline = ["--no-index", "--find-links", _wheels(machine)]
    _run(machine, folder, ["install", *offline, *arguments], environment)


def _run(machine: Machine, folder: str, words: list[str], environment: dict[str, str]) -> None:
    pip = [machine.place(f"{folder}/bin/python"), "-m", "pip", "-q", "--disable-pip-version-check"]
    root = {"PIP_ROOT_USER_ACTION": "ignore", **environment}
    machine.run([*pip, *words], timeout=_PIP_SECONDS, environment=root)


def _wheels(machine: Machine) -> str:
    folder = wheelhouse()
    if machine.systemd:
        return f"{CHECKOUT_INSIDE}/{folder.relative_to(parts.CHECKOUT)}"
    return str(folder)
