"""Little projects with virtualenvs of their own, made by hand and really started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

from badgateway.packages.assess import assess
from badgateway.packages.findings import Finding, Report, Target

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def base_interpreter() -> Path:
    """Return the interpreter that the tests' own virtualenv was made from."""
    return Path(os.path.realpath(sys.executable))


class World:
    """One project in ``root/project`` with a virtualenv in ``root/project/.venv``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "project"
        self.prefix = self.project / ".venv"
        self.site = self.prefix / "lib" / PYTHON / "site-packages"
        self.site.mkdir(parents=True)
        (self.prefix / "bin").mkdir()
        interpreter = base_interpreter()
        (self.prefix / "bin" / "python").symlink_to(interpreter)
        version = sysconfig.get_config_var("py_version")
        (self.prefix / "pyvenv.cfg").write_text(
            f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
            f"version = {version}\n"
        )

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project: path relative to it → text."""
        for name, text in files.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def declare(self, *requirements: str, extra: str = "") -> None:
        """Write a pyproject.toml with these dependencies; ``extra`` is put behind them."""
        listed = ", ".join(f"'{requirement}'" for requirement in requirements)
        self.write(
            {
                "pyproject.toml": "[project]\nname = 'shop'\nversion = '1'\n"
                f"dependencies = [{listed}]\n{extra}"
            }
        )

    def install(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, str] | None = None,
        requires: Iterable[str] = (),
        tag: str = "py3-none-any",
        editable: Path | None = None,
    ) -> None:
        """Put a distribution there as pip would; ``files`` default to one package of its name."""
        if files is None:
            files = {f"{name.replace('-', '_')}/__init__.py": ""}
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        header = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        header += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        everything = {
            **files,
            f"{info}/METADATA": header + "\nA text.\nRequires-Dist: not-a-header\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n",
        }
        if editable is not None:
            origin = {"url": f"file://{editable}", "dir_info": {"editable": True}}
            everything[f"{info}/direct_url.json"] = json.dumps(origin)
        record = "".join(f"{path},,\n" for path in (*everything, f"{info}/RECORD"))
        for path, text in {**everything, f"{info}/RECORD": record}.items():
            (self.site / path).parent.mkdir(parents=True, exist_ok=True)
            (self.site / path).write_text(text)

    def uninstall(self, name: str, *, leaving: Mapping[str, str] | None = None) -> None:
        """Take a distribution away as pip would, with files it does not know left behind."""
        (info,) = self.site.glob(f"{name.replace('-', '_')}-*.dist-info")
        for line in (info / "RECORD").read_text().splitlines():
            (self.site / line.split(",")[0]).unlink()
        for directory, _, _ in os.walk(self.site, topdown=False):
            shutil.rmtree(Path(directory) / "__pycache__", ignore_errors=True)
            if directory != str(self.site) and not os.listdir(directory):
                os.rmdir(directory)
        for path, text in (leaving or {}).items():
            (self.site / path).parent.mkdir(parents=True, exist_ok=True)
            (self.site / path).write_text(text)

    def target(self, **changes: object) -> Target:
        """Return what to scan; the application is ``app:app`` unless told otherwise."""
        values: dict[str, object] = {
            "project": str(self.project),
            "virtualenv": str(self.prefix),
            "entry": "app:app",
            "search": (str(self.project),),
        }
        return Target(**{**values, **changes})  # type: ignore[arg-type]

    def report(self, **changes: object) -> Report:
        """Scan it."""
        return assess(self.target(**changes))

    def starts(self, module: str = "app") -> tuple[bool, str]:
        """Really import the application; return whether that worked, and the last line."""
        run = subprocess.run(
            [self.prefix / "bin" / "python", "-B", "-c", f"import {module}"],
            cwd=self.project,
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return run.returncode == 0, (run.stderr.strip().splitlines() or [""])[-1]


def one(report: Report, kind: str) -> Finding:
    """Return the only finding of a kind."""
    found = [finding for finding in report.findings if finding.kind == kind]
    assert len(found) == 1, report.findings
    return found[0]


def kinds(report: Report) -> list[str]:
    """Return the kinds found, gravest first."""
    return [finding.kind for finding in report.findings]
