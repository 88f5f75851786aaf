"""Results of a check for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badgateway import vocabulary
from badgateway.cli.rendering.checked import Checked

_COLOURS: Final = {"fatal": "bold red", "high": "red", "warn": "yellow", "info": "dim"}
_RELOADS: Final = {
    "ok": "nothing found that is wrong with it",
    "may_fail": "something found that would answer with errors",
    "will_fail": "the proxy would refuse it",
    "unknown": "cannot be judged",
}


def show(results: Sequence[Checked]) -> None:
    """Print results, in colour on a terminal."""
    console = Console(highlight=False)
    for result in results:
        _head(console, result)
        if result.problem:
            console.print("  " + escape(result.problem))
        table = Table(box=None, padding=(0, 2, 0, 2), pad_edge=False, show_header=False)
        for finding in result.findings:
            severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            table.add_row("  " + severity, escape(finding.subject), escape(finding.message))
            if finding.where and finding.where != finding.subject:
                table.add_row("", "", f"[dim]{escape(finding.where)}[/]")
            if finding.fix:
                sign = "→" if result.file else "$"
                table.add_row("", "", f"[bold]{sign} {escape(finding.fix)}[/]")
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
    console.print(f"[bold]{escape(name)}[/]  {what}: [{colour}]{verdict}[/] ({words})")
    if result.judged_by:
        console.print(f"  [dim]judged {escape(result.judged_by)}[/]")
