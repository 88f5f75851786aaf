"""``badgateway verify``: after a deploy or reload, does it answer again, and stay up."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from badgateway import config as settings
from badgateway import logs
from badgateway.cli import common
from badgateway.cli.diagnose import LOCAL, ask, conclude
from badgateway.cli.help import Command
from badgateway.cli.observing import Local, Observer, Remote
from badgateway.config.values import seconds as read_duration
from badgateway.verification import STEADY_SECONDS, Verification
from badgateway.web.answers import Conclusion

_USUAL: Final = Path("/etc/badgateway/badgateway.yml")
_INTERRUPTED: Final = 130
_LOOK_SECONDS: Final = 0.5
_FIND_SECONDS: Final = 12.0
_FINISH_SECONDS: Final = 10.0
"""How long a look that was begun, and finds nothing wrong, may outlast ``--wait``."""


class Target(msgspec.Struct, frozen=True):
    """What one URL answered."""

    vantage: str
    probe: str
    url: str
    ok: bool
    answers: int
    text: str


class Verified(msgspec.Struct, frozen=True):
    """The outcome for one backend; ``reasons`` say why it did not pass."""

    backend: str
    ok: bool
    reasons: tuple[str, ...]
    targets: tuple[Target, ...]
    diagnosis: Conclusion | None


class Outcome(msgspec.Struct, frozen=True):
    """The whole outcome; ``seconds`` is how long it took."""

    ok: bool
    seconds: float
    backends: tuple[Verified, ...]


@click.command(cls=Command)
@click.argument("backends", nargs=-1, metavar="[BACKEND]…")
@click.option("--wait", default="90s", show_default=True, help="How long to wait until it answers.")
@click.option(
    "--steady",
    default=f"{STEADY_SECONDS:.0f}s",
    show_default=True,
    help="How long it must answer without a break.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--url", help=f"Rely on the exporter at this URL, like {LOCAL}, and probe nothing.")
@common.config_option
def verify(
    backends: tuple[str, ...],
    wait: str,
    steady: str,
    as_json: bool,
    url: str | None,
    config_file: Path | None,
) -> None:
    """Wait until BACKENDs, or all of this host, answer on every path, and go on answering.

    Every probe must succeed several times in a row while the same processes run, loaded after the
    code last changed, and nothing else may be wrong. Needs no running exporter. Reads
    /etc/badgateway/badgateway.yml if it is there and no other configuration is named.

    Exit codes: 0 all answer, 1 time is up and some do not, 2 cannot tell (unknown backend, nothing
    to ask, no exporter at the URL), 130 interrupted.
    """
    logs.set_up("error", "logfmt")
    limit, lasting = _seconds("--wait", wait), _seconds("--steady", steady)
    if url:
        if ask(url) is None:
            common.fail(f"no exporter answers at {url}")
        observer: Observer = Remote(url)
    else:
        if config_file is None and os.access(_USUAL, os.R_OK):
            config_file = _USUAL
        config = common.read_config(config_file)
        often = msgspec.structs.replace(config.probes, interval=settings.Duration(1))
        observer = Local(msgspec.structs.replace(config, probes=often), backends)
    try:
        outcome = asyncio.run(_verify(observer, backends, limit, lasting))
    except KeyboardInterrupt:  # which says nothing of the backends: no reason to roll back
        common.fail("interrupted", _INTERRUPTED)
    try:
        if as_json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
        else:
            _show(outcome)
        sys.stdout.flush()
    except OSError as error:  # a full disk is no reason to roll back
        click.echo(f"badgateway: the outcome cannot be written: {error.strerror}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0 if outcome.ok else 1)


def _seconds(option: str, text: str) -> float:
    try:
        return read_duration(text)
    except ValueError as error:
        common.fail(f"{option} {text[:40]}: {error}")


async def _verify(
    observer: Observer, wanted: Sequence[str], limit: float, steady: float
) -> Outcome:
    begun = time.monotonic()
    watched: dict[str, Verification] = {}
    async with observer:
        with _progress() as status:
            while True:
                seen = observer.look()
                waited = time.monotonic() - begun
                names = [name for name in seen if seen[name].shots or name in wanted]
                chosen = [name for name in wanted or names if name in seen]
                for name in chosen:
                    watched.setdefault(name, observer.verification(steady)).take(seen[name])
                found = bool(chosen) and set(wanted) <= set(chosen)
                if not found and waited > min(limit, _FIND_SECONDS):
                    _cannot(wanted, seen)
                if found and all(watched[name].passed for name in chosen):
                    break
                nothing = [name for name in chosen if not seen[name].shots]
                if nothing and waited > min(limit, _FIND_SECONDS):
                    break
                undecided = all(watched[name].passed or watched[name].undecided for name in chosen)
                if waited > (limit + steady + _FINISH_SECONDS if undecided else limit):
                    break
                status.update(_line(watched, waited, limit))
                await asyncio.sleep(_LOOK_SECONDS)
        if nothing := [name for name in chosen if not seen[name].shots]:
            common.fail(f"nothing to ask of {', '.join(nothing)}: no address and no probe is known")
        results = tuple(_result(name, watched[name], observer.diagnosis(name)) for name in chosen)
    return Outcome(all(r.ok for r in results), round(time.monotonic() - begun, 1), results)


def _cannot(wanted: Sequence[str], seen: object) -> NoReturn:
    known = ", ".join(sorted(seen)) if isinstance(seen, dict) and seen else "none"
    if not wanted:
        common.fail(f"nothing to verify: no backend with an address was found; known: {known}")
    missing = ", ".join(f"`{name}`" for name in wanted if name not in known.split(", "))
    common.fail(f"no backend {missing}; known: {known}")


def _result(name: str, watched: Verification, diagnosis: Conclusion | None) -> Verified:
    seen = watched.last
    shots = seen.shots if seen is not None else ()
    targets = tuple(
        Target(s.vantage, s.probe, s.url, s.ok, watched.count(s) if s.ok else 0, s.text)
        for s in shots
    )
    return Verified(name, watched.passed, watched.reasons, targets, diagnosis)


@contextmanager
def _progress() -> Iterator[Status]:
    """Show what is waited for, where a person looks on."""
    console = Console(stderr=True, emoji=False)
    status = console.status("looking at this host …")
    if console.is_terminal:
        with status:
            yield status
    else:
        yield status


def _line(watched: dict[str, Verification], waited: float, limit: float) -> str:
    waiting = [f"{name}: {v.reasons[0]}" for name, v in watched.items() if v.reasons]
    more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    first = waiting[0][:160] if waiting else "looking at this host …"
    return escape(f"{waited:.0f} of {limit:.0f} s  {first}{more}")


def _show(outcome: Outcome) -> None:
    console = Console(emoji=False)
    for result in outcome.backends:
        word = "[green]verified[/]" if result.ok else "[bold red]failing[/]"
        console.print(f"[bold]{escape(result.backend)}[/]  {word}")
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        for target in result.targets:
            state = "[green]ok[/]" if target.ok else "[bold red]failing[/]"
            table.add_row("  " + target.vantage, escape(target.url), state, escape(target.text))
        console.print(table)
        for reason in result.reasons:
            console.print("  - " + escape(reason))
        if result.diagnosis is not None and result.diagnosis.name != "none":
            conclude(console, result.diagnosis, "bold red")
        console.print()
    end = "answer" if outcome.ok else "do not all answer"
    console.print(f"{len(outcome.backends)} backends {end}, after {outcome.seconds:.1f} s.")
