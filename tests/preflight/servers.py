"""The servers that are installed where the tests run, as targets of a preflight."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from badgateway.packages.findings import Finding, Target
from badgateway.preflight.look import preflight

SITE = Path(sysconfig.get_paths()["purelib"])


def target(server: str, *arguments: str, **more: Any) -> Target:
    return Target("", sys.prefix, server=server, arguments=arguments, directory="/", **more)


def findings(server: str, *arguments: str, **more: Any) -> tuple[Finding, ...]:
    found = preflight(target(server, *arguments, **more))
    assert found.problem == ""
    return found.findings


def kinds(server: str, *arguments: str, **more: Any) -> set[tuple[str, str]]:
    return {(f.kind, f.subject) for f in findings(server, *arguments, **more)}


def really(server: str, directory: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status and last words of the real server, started with the arguments."""
    done = subprocess.run(
        [sys.executable, "-m", server, *arguments],
        cwd=directory, env={"PATH": os.defpath, **variables}, capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def copied(server: str, site: Path, *names: str) -> Path:
    """Copy some files of the installed server into a site directory, and return its package."""
    package = site / server
    for name in ("__init__.py", *names):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SITE / server / name, package / name)
    return package
