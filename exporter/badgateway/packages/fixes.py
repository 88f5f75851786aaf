"""What to do about a finding, as a command where there is one."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from badgateway.packages import files
from badgateway.packages.declared import Declaration
from badgateway.packages.findings import Target
from badgateway.packages.installed import Installed
from badgateway.packages.virtualenv import Environment


@dataclass(frozen=True, slots=True)
class Fixes:
    """The commands that put one target right.

    ``installer`` is the beginning of an install command, ``project`` installs all that the
    project declares (empty when there is no such command), ``recreate`` makes the virtualenv anew.
    """

    installer: str
    project: str
    recreate: str

    def install(self, name: str) -> str:
        """Return the command that installs one distribution."""
        return f"{self.installer} {shlex.quote(name)}"

    def reinstall(self, name: str, version: str) -> str:
        """Return the command that puts the files of an installed distribution back."""
        return f"{self.installer} --force-reinstall --no-deps {shlex.quote(f'{name}=={version}')}"

    def declared(self, name: str) -> str:
        """Return the command that installs what the project declares, ``name`` among it."""
        return self.project or self.install(name)


def fixes(
    target: Target, environment: Environment, declaration: Declaration, installed: Installed
) -> Fixes:
    """Work out how this target was, or would be, installed."""
    python = shlex.quote(environment.interpreter or "python3")
    prefix = shlex.quote(environment.prefix)
    pip = os.path.join(environment.prefix, "bin", "pip")
    recreate = f"python3 -m venv --clear {prefix}"
    if environment.is_virtualenv and files.exists(pip):
        installer = f"{shlex.quote(pip)} install"
    elif environment.made_by_uv:
        installer = f"uv pip install --python {python}"
        recreate = f"uv venv --clear {prefix}"
    else:
        installer = f"{python} -m pip install"
    what = _project(target, declaration, installed)
    project = f"{installer} {what}" if what else ""
    return Fixes(installer, project, f"{recreate} && {project}" if project else recreate)


def _project(target: Target, declaration: Declaration, installed: Installed) -> str:
    if declaration.source == "pyproject.toml" and declaration.installable:
        extras = f"[{','.join(target.extras)}]" if target.extras else ""
        own = installed.distributions.get(declaration.name)
        editable = "-e " if own is None or own.editable else ""
        return editable + shlex.quote(target.project + extras)
    if declaration.source == "requirements.txt":
        return "-r " + shlex.quote(os.path.join(target.project, declaration.source))
    return ""
