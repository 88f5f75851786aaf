"""What of a host, and which projects, can be judged by their next start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway.cli.rendering.checked import Checked
from badgateway.collectors.starts import is_judged, target
from badgateway.packages.findings import Target
from badgateway.packages.scan import scan
from badgateway.topology.backends import Backend

_VIRTUALENVS: Final = (".venv", "venv", "env")


class NoProjectError(Exception):
    """A folder holds nothing whose start can be judged; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something whose next start is judged."""

    name: str
    target: Target


def at(path: Path, virtualenv: Path | None, entry: str) -> Subject:
    """Return the project in a folder.

    Args:
        path: the folder.
        virtualenv: its virtualenv; None for the one inside.
        entry: its application, as ``pkg.mod:attr``.

    Raises:
        NoProjectError: there is none that can be judged.
    """
    project = path.resolve()
    prefix = virtualenv.resolve() if virtualenv else None
    if prefix is None:
        inside = (project / name for name in _VIRTUALENVS)
        prefix = next((p for p in inside if (p / "pyvenv.cfg").is_file()), None)
    if prefix is None:
        raise NoProjectError(
            f"{path}: no virtualenv inside, and no configuration of nginx or Caddy; name the "
            "virtualenv of a project with --virtualenv"
        )
    search = tuple(str(p) for p in (project, project / "src") if p.is_dir())
    return Subject(str(path), Target(str(project), str(prefix), entry, search=search))


def of_host(backends: Iterable[Backend]) -> tuple[Subject, ...]:
    """Return the applications whose next start can be judged."""
    return tuple(
        Subject(backend.name, target(backend, None))
        for backend in backends
        if is_judged(backend) and (backend.next_launch or backend.launch)
    )


async def judged(subject: Subject) -> Checked:
    """Return what is found for one."""
    report = await scan(subject.target)
    return Checked(subject.name, report.verdict, report.problem, report.findings)
