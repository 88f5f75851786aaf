"""Results of a check for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from badgateway import vocabulary
from badgateway.cli.rendering.checked import Checked
from badgateway.cli.rendering.words import shown

_COLOURS: Final = {"fatal": "bold red", "high": "red", "warn": "yellow", "info": "dim"}
_WIDE: Final = 10_000
"""Columns of what is no terminal: nothing is wrapped."""
_RELOADS: Final = {
    "ok": "nothing found that is wrong with it",
    "may_fail": "something found that would answer with errors",
    "will_fail": "the proxy would refuse it",
    "unknown": "cannot be judged",
}


def show(results: Sequence[Checked]) -> None:
    """Print results, in colour on a terminal; elsewhere a line of text is one line."""
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        _print(console, results)
        return
    console = Console(highlight=False, emoji=False, width=_WIDE)
    with console.capture() as printed:
        _print(console, results)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def _print(console: Console, results: Sequence[Checked]) -> None:
    for result in results:
        _head(console, result)
        if result.problem:
            console.print("  " + shown(result.problem))
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False, show_header=False)
        for finding in result.findings:
            severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            table.add_row("  " + severity, shown(finding.subject), shown(finding.message))
            if finding.where and finding.where != finding.subject:
                table.add_row("", "", f"[dim]{shown(finding.where)}[/]")
            if finding.fix:
                sign = "→" if result.file else "$"
                table.add_row("", "", f"[bold]{sign} {shown(finding.fix)}[/]")
        if result.findings:
            console.print(table)


def _head(console: Console, result: Checked) -> None:
    colour = {"ok": "green", "will_fail": "bold red"}.get(result.verdict, "yellow")
    verdict = result.verdict.replace("_", " ")
    what, words = "next start", vocabulary.NEXT_START_VERDICTS[result.verdict]
    name = result.name
    if result.file:
        what, words = "next reload", _RELOADS[result.verdict]
        name = name if name == result.file else f"{name} ({result.file})"
    console.print(f"[bold]{shown(name)}[/]  {what}: [{colour}]{verdict}[/] ({words})")
    if result.judged_by:
        console.print(f"  [dim]judged {shown(result.judged_by)}[/]")
