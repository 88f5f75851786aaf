"""``badgateway check``: the gate before a restart or a deploy."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badgateway import logs, vocabulary
from badgateway.cli import common
from badgateway.cli.help import Command
from badgateway.collectors.starts import is_judged, target
from badgateway.exporter import Exporter
from badgateway.packages.findings import Finding, Report, Target
from badgateway.packages.scan import scan

_COLOURS: Final = {"fatal": "bold red", "high": "red", "warn": "yellow", "info": "dim"}
_VIRTUALENVS: Final = (".venv", "venv", "env")
_FIND_SECONDS: Final = 10.0


class Checked(msgspec.Struct, frozen=True):
    """What was found for one backend or path."""

    name: str
    verdict: str
    problem: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str
    target: Target


@click.command(cls=Command)
@click.argument("subjects", nargs=-1, metavar="[BACKEND | PATH]…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fail-on",
    type=click.Choice(vocabulary.SEVERITIES),
    default="high",
    show_default=True,
    help="Least severity that makes the check fail.",
)
@click.option(
    "--virtualenv",
    type=click.Path(file_okay=False, path_type=Path),
    help="Virtualenv of the PATHs.  [default: the one inside]",
)
@click.option("--entry", default="", help="Application of the PATHs, as pkg.mod:attr.")
@common.config_option
def check(
    subjects: tuple[str, ...],
    as_json: bool,
    fail_on: str,
    virtualenv: Path | None,
    entry: str,
    config_file: Path | None,
) -> None:
    """Say whether BACKENDs of this host, or the projects at PATHs, would start again.

    Nothing of them is run. Without arguments every backend of this host is checked.

    Exit codes: 0 clean, 1 findings at or above --fail-on, 2 could not check.
    """
    logs.set_up("error", "logfmt")
    paths = [Path(s) for s in subjects if _is_path(s)]
    names = [s for s in subjects if not _is_path(s)]
    wanted = [_at(path, virtualenv, entry) for path in paths]
    if names or not subjects:
        found = asyncio.run(_backends(config_file))
        for name in names:
            if name not in {subject.name for subject in found}:
                known = ", ".join(subject.name for subject in found) or "none"
                common.fail(f"no backend `{name}` whose start can be judged; known: {known}")
        wanted += [s for s in found if not names or s.name in names]
    if not wanted:
        common.fail(
            "no backend whose start can be judged was found on this host; name a PATH to check"
        )
    results = [_judge(s, asyncio.run(scan(s.target))) for s in wanted]
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    else:
        _show(results)
    least = vocabulary.SEVERITIES.index(fail_on)
    if any(vocabulary.SEVERITIES.index(f.severity) >= least for r in results for f in r.findings):
        sys.exit(1)
    if any(result.verdict == "unknown" for result in results):
        sys.exit(common.CANNOT_TELL)


def _is_path(subject: str) -> bool:
    """Whether a path is meant, not a backend: that of a container may be ``project/service``."""
    written = subject.startswith(("/", "./", "../")) or subject in (".", "..")
    return written or Path(subject).is_dir() or subject.count("/") > 1


def _at(path: Path, virtualenv: Path | None, entry: str) -> _Subject:
    project = path.resolve()
    if not project.is_dir():
        common.fail(f"{path}: no such directory")
    prefix = virtualenv.resolve() if virtualenv else None
    if prefix is None:
        inside = (project / name for name in _VIRTUALENVS)
        prefix = next((p for p in inside if (p / "pyvenv.cfg").is_file()), None)
    if prefix is None:
        common.fail(f"{path}: no virtualenv inside; name it with --virtualenv")
    search = tuple(str(p) for p in (project, project / "src") if p.is_dir())
    return _Subject(str(path), Target(str(project), str(prefix), entry, search=search))


async def _backends(config_file: Path | None) -> list[_Subject]:
    """Return what can be checked of this host."""
    config = common.read_config(config_file)
    asked = msgspec.structs.replace(config.probes, enabled=False)  # nobody is to be asked for this
    exporter = Exporter(msgspec.structs.replace(config, probes=asked), None)
    await exporter.start()
    try:
        async with asyncio.timeout(_FIND_SECONDS):
            await exporter.ready()
        return [
            _Subject(backend.name, target(backend, None))
            for backend in exporter.paths.backends
            if is_judged(backend) and (backend.next_launch or backend.launch)
        ]
    finally:
        await exporter.stop()


def _judge(subject: _Subject, report: Report) -> Checked:
    return Checked(subject.name, report.verdict, report.problem, report.findings)


def _show(results: list[Checked]) -> None:
    console = Console()
    for result in results:
        words = vocabulary.NEXT_START_VERDICTS[result.verdict]
        colour = {"ok": "green", "will_fail": "bold red"}.get(result.verdict, "yellow")
        verdict = result.verdict.replace("_", " ")
        console.print(f"[bold]{escape(result.name)}[/]  next start: [{colour}]{verdict}[/]", end="")
        console.print(f" ({words})")
        if result.problem:
            console.print("  " + escape(result.problem))
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False, show_header=False)
        for finding in result.findings:
            severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            table.add_row("  " + severity, escape(finding.subject), escape(finding.message))
            if finding.fix:
                table.add_row("", "", f"[bold]$ {escape(finding.fix)}[/]")
        if result.findings:
            console.print(table)
