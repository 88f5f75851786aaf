"""``badgateway diagnose``: the path, hop by hop, what is wrong and why."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import click
import httpx
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from badgateway import config as settings
from badgateway import logs
from badgateway.cli import common
from badgateway.cli.help import Command
from badgateway.exporter import Exporter
from badgateway.web.answers import Answer, BackendAnswer, Conclusion, answer

LOCAL: Final = "http://127.0.0.1:10502"
_LOOK_SECONDS: Final = 8.0
_ANSWER_SECONDS: Final = 5.0
_COLOURS: Final = {"ok": "green", "failing": "bold red", "warning": "yellow", "unknown": "dim"}


@click.command(cls=Command)
@click.argument("backend", required=False)
@click.option("--url", help=f"Ask the exporter at this URL.  [default: {LOCAL} if it answers]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@common.config_option
def diagnose(backend: str | None, url: str | None, as_json: bool, config_file: Path | None) -> None:
    """Show the path of BACKEND, or of all, and what is wrong with it, since when and why.

    Asks a running exporter; without one it looks for itself, which takes some seconds.

    Exit codes: 0 healthy, 1 failing, 2 cannot tell.
    """
    logs.set_up("error", "logfmt")
    found = ask(url) if url or config_file is None else None
    if found is None:
        if url:
            common.fail(f"no exporter answers at {url}")
        found = asyncio.run(_look(config_file))
    chosen = [b for b in found.backends if backend in (None, b.backend)]
    if as_json:
        document = msgspec.structs.replace(found, backends=tuple(chosen))
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    else:
        _show(found, chosen)
    if backend and not chosen:
        known = ", ".join(b.backend for b in found.backends) or "none"
        common.fail(f"no backend `{backend}`; known: {known}")
    if any(b.state == "failing" for b in chosen):
        sys.exit(1)
    if not chosen or any(b.state == "unknown" for b in chosen):
        sys.exit(common.CANNOT_TELL)


def ask(url: str | None) -> Answer | None:
    """Return a running exporter's answer, or None when there is none."""
    try:
        response = httpx.get(
            f"{(url or LOCAL).rstrip('/')}/api/v1/diagnosis",
            timeout=_ANSWER_SECONDS,
            trust_env=False,
        )
        response.raise_for_status()
        return msgspec.json.decode(response.content, type=Answer)
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError):
        return None


async def _look(config_file: Path | None) -> Answer:
    """Look at this host once."""
    config = common.read_config(config_file)
    often = msgspec.structs.replace(config.probes, interval=settings.Duration(1))
    exporter = Exporter(msgspec.structs.replace(config, probes=often), None)
    await exporter.start()
    try:
        await exporter.settle(_LOOK_SECONDS)
        return answer(exporter, time.time())
    finally:
        await exporter.stop()


def _show(found: Answer, chosen: list[BackendAnswer]) -> None:
    console = Console(emoji=False)
    for backend in chosen:
        colour = _COLOURS[backend.state]
        console.print(f"[bold]{escape(backend.backend)}[/]  [{colour}]{backend.state}[/]")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        for hop in backend.hops:
            state = f"[{_COLOURS[hop.state]}]{hop.state}[/]"
            table.add_row("  " + hop.hop, escape(hop.name), state, escape(hop.text))
        console.print(table)
        if backend.announced is not None:
            until = time.strftime("%H:%M:%S", time.localtime(backend.announced.until))
            by = f" by {backend.announced.by}" if backend.announced.by else ""
            console.print(escape(f"  a deploy is announced{by}; pages are held until {until}"))
        if backend.diagnosis.name != "none":
            conclude(console, backend.diagnosis, "bold red")
        for risk in backend.risks:
            conclude(console, risk, "yellow")
        console.print()
    for name, problem in found.sources.items():
        if problem:
            console.print(f"[yellow]{escape(name)} cannot be read:[/] {escape(problem)}")
    if not found.backends:
        console.print(
            "No backend was found: no unit or process runs uvicorn or gunicorn, and no proxy "
            "configuration names an upstream. Name one in a configuration file (--config.file)."
        )


def conclude(console: Console, conclusion: Conclusion, colour: str) -> None:
    """Print a cause or a risk with its evidence and next steps."""
    subject = f": {conclusion.subject}" if conclusion.subject else ""
    console.print(f"  [{colour}]{escape(conclusion.name + subject)}[/]", end="")
    sure = f" (certainty {conclusion.confidence:.0%})" if conclusion.confidence else ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(conclusion.since))
    console.print(escape(f"{sure} since {since}" if conclusion.since else sure))
    console.print("  " + escape(conclusion.summary))
    for fact in conclusion.evidence:
        console.print("    - " + escape(fact))
    for step in conclusion.next_steps:
        console.print("    $ " + escape(step), style="bold", highlight=False)
