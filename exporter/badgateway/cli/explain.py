"""``badgateway explain``: what logs tell, by reason."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from typing import BinaryIO, Final, NoReturn, TypeVar

import click
import msgspec
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from badgateway import dialects
from badgateway.cli import common
from badgateway.cli.help import Command
from badgateway.config.values import seconds as read_duration
from badgateway.envelopes import times
from badgateway.explanation import reading, report
from badgateway.explanation.advice import ADVICE
from badgateway.explanation.following import followed
from badgateway.explanation.record import Record, record
from badgateway.explanation.same import Entry
from badgateway.explanation.summary import Summary
from badgateway.explanation.telling import Telling

_INTERRUPTED: Final = 130
_ENCODER: Final = msgspec.json.Encoder()
File = TypeVar("File")

_LARGE: Final = 20 * 1024 * 1024
"""Bytes from which on a person wants to see how far it is."""


class _Format(click.ParamType[str]):
    """A dialect's name. Dialects are loaded when one is needed, not when the program starts."""

    name = "format"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fails for an unknown one with those there are."""
        known = dialects.names()
        if value not in known:
            self.fail(f"{value!r} is not one of {', '.join(known)}.", param, ctx)
        return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what help shows."""
        return f"[{'|'.join(dialects.names())}]"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so."""
        return [CompletionItem(name) for name in dialects.names() if name.startswith(incomplete)]


@click.command(cls=Command)
@click.argument("files", nargs=-1, metavar="[FILE]…")
@click.option(
    "--format",
    "only",
    type=_Format(),
    help="Format of every line.  [default: found out line by line]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
@click.option(
    "--since", default="", help="Leave out what is older, as 10m, 2h or 2026-11-21T08:00."
)
@click.option("--follow", is_flag=True, help="Go on with what is written to the FILEs.")
@click.option(
    "--advice",
    type=click.Choice(tuple(ADVICE)),
    help="Print the log settings that tell most, ready to paste.",
)
def explain(
    files: tuple[str, ...],
    only: str | None,
    as_json: bool,
    since: str,
    follow: bool,
    advice: str | None,
) -> None:
    """Read logs and name the reason of every failure in them.

    FILEs may be logs of proxies and of application servers, compressed or not, or `-` for standard
    input; all together are one story, so give a proxy's error log and its access log both. What
    journalctl, docker compose, kubectl or syslog put before the lines is taken off.

    Exit codes: 0 read, 2 unreadable.
    """
    with _quietly(follow):
        if advice is not None:
            click.echo(ADVICE[advice], nl=False)
            return
        earliest = _since(since)
        unreadable: list[str] = []

        def problem(text: str) -> None:
            unreadable.append(text)
            click.echo(f"badgateway: {text}", err=True)

        names = _names(files)
        if follow:
            _follow(_open(names, reading.unbuffered, problem), only, as_json, earliest)
        else:
            opened = _open(names, reading.opened, problem)
            _tell(opened, only, as_json, earliest, problem)
        if unreadable:
            sys.exit(common.CANNOT_TELL)


def _names(files: tuple[str, ...]) -> list[str]:
    """Return what to read: the FILEs, each once, or standard input where it is no terminal."""
    if not files and sys.stdin.isatty():
        common.fail("name a FILE to read, or `-` for standard input")
    return list(dict.fromkeys(files or (reading.STANDARD_INPUT,)))


def _open(
    names: list[str], opener: Callable[[str], File], problem: Callable[[str], None]
) -> list[tuple[str, File]]:
    """Open what can be opened."""
    opened = []
    for name in names:
        try:
            opened.append((name, opener(name)))
        except reading.Unreadable as error:
            problem(str(error))
    if not opened:
        sys.exit(common.CANNOT_TELL)
    return opened


def _tell(
    opened: list[tuple[str, BinaryIO]],
    only: str | None,
    as_json: bool,
    earliest: float,
    problem: Callable[[str], None],
) -> None:
    summary = Summary()
    with _progress([name for name, _ in opened]) as progress:
        telling = Telling(only, progress, problem)
        for entry, found in _records(telling.entries(opened), earliest):
            if as_json:
                _print(found)
            else:
                summary.add(entry, found)
    if not as_json:
        report.show(Console(emoji=False), summary, telling.read, telling.unknown)


def _follow(
    opened: list[tuple[str, FileIO]], only: str | None, as_json: bool, earliest: float
) -> None:
    console = Console(emoji=False)
    for _, found in _records(followed(opened, only), earliest):
        if as_json:
            _print(found)
            sys.stdout.buffer.flush()
        else:
            report.show_one(console, found)


def _records(entries: Iterable[Entry], earliest: float) -> Iterator[tuple[Entry, Record]]:
    """Yield the entries that are events of their own, with their records.

    What is known to be older than ``earliest`` is left out; what bears no time is not.
    """
    for entry in entries:
        found = record(entry)
        if found is not None and not 0 < entry.told.event.at < earliest:
            yield entry, found


def _print(found: Record) -> None:
    sys.stdout.buffer.write(_ENCODER.encode(found) + b"\n")


def _since(text: str) -> float:
    """Return the earliest time wanted, in seconds since the epoch; 0 for all."""
    if not text:
        return 0.0
    at = times.read(text) if "-" in text else None
    if at is not None:
        return at
    try:
        return time.time() - read_duration(text)
    except ValueError:
        common.fail(f"--since: `{text}` is neither a duration like 10m nor a time like "
                    "2026-11-21T08:00")  # fmt: skip


@contextmanager
def _progress(names: list[str]) -> Iterator[Callable[[str, int], None] | None]:
    """Show how far large files are read, to a person."""
    sizes = {name: size for name in names if (size := reading.size(name)) is not None}
    if not sys.stderr.isatty() or sum(sizes.values()) < _LARGE:
        yield None
        return
    done = dict.fromkeys(sizes, 0)
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, emoji=False), transient=True) as bar:
        task = bar.add_task("", total=sum(sizes.values()))

        def advance(name: str, read: int) -> None:
            if name in done:
                done[name] = read
                bar.update(task, completed=min(sum(done.values()), sum(sizes.values())))

        yield advance


@contextmanager
def _quietly(follow: bool) -> Iterator[None]:
    """End without a word when the reader of our output, or the person, has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        _end(0 if follow else _INTERRUPTED)


def _end(code: int) -> NoReturn:
    sys.exit(code)
