"""A story for a person: a table by reason, an example of each, and what to look at next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from badgateway import vocabulary
from badgateway.explanation.blindspots import advised, blind_spots
from badgateway.explanation.hints import hint
from badgateway.explanation.record import Record
from badgateway.explanation.summary import Row, Summary

_COLOURS: Final = {
    "upstream_failure": "red", "boot_failure": "bold red", "server_end": "red",
    "worker_end": "yellow", "client_abort": "dim",
}  # fmt: skip
_WHAT: Final = {
    "upstream_failure": "failure", "boot_failure": "boot", "server_end": "server end",
    "worker_end": "worker end", "client_abort": "abort",
}  # fmt: skip
_NO_ATTEMPT: Final = frozenset(("app_5xx", "proxy_local"))
"""Reasons of errors that are no failed attempt at an upstream."""
_UPSTREAMS_SHOWN: Final = 5


def show(console: Console, summary: Summary, read: dict[str, int], unknown: int) -> None:
    """Print what a story amounts to.

    Args:
        console: where to.
        summary: of the story.
        read: dialect → lines read as it.
        unknown: lines that no dialect read.
    """
    rows = summary.rows()
    if rows:
        _table(console, rows)
        _details(console, rows)
    else:
        console.print("No failure is told.")
    console.print(_lines(read, unknown), highlight=False)
    spots = blind_spots(summary, {name for name, count in read.items() if count})
    for spot in spots:
        console.print(f"[yellow]{escape(spot)}[/]", highlight=False)
    for name in advised(summary):
        console.print(
            f"Log settings that tell more: [bold]badgateway explain --advice {name}[/]",
            highlight=False,
        )


def show_one(console: Console, record: Record) -> None:
    """Print one event on one line, as it happens."""
    what = record.reason if isinstance(record.reason, str) else record.exception
    at = record.at if isinstance(record.at, str) else ""
    words = [record.type.replace("_", " "), what, *_places(record), record.detail or record.request]
    if isinstance(record.status, int):
        words.insert(2, str(record.status))
    text = "  ".join(word for word in words if word)
    colour = "dim" if record.masked else _COLOURS[record.type]
    console.print(
        f"{at}  [{colour}]{escape(text)}[/]", highlight=False, soft_wrap=True, no_wrap=True
    )


def _table(console: Console, rows: Sequence[Row]) -> None:
    days = {_day(at) for row in rows for at in (row.first, row.last) if at}
    day = days.pop() if len(days) == 1 else ""
    masked = any(row.masked for row in rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("what", "reason"):
        table.add_column(name, no_wrap=True)
    for name in ("count", "masked") if masked else ("count",):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("first", "last"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        what = "answer" if row.reason in _NO_ATTEMPT else _WHAT[row.type]
        cells = [what, f"[{_COLOURS[row.type]}]{escape(row.reason)}[/]", str(row.count)]
        if masked:
            cells.append(str(row.masked or ""))
        cells += [_moment(row.first, day), _moment(row.last, day)]
        table.add_row(*cells)
    if day:
        console.print(day, highlight=False)
    console.print(table)
    if masked:
        console.print("[dim]masked: the attempt failed, and the client got an answer[/]")
    console.print()


def _details(console: Console, rows: Sequence[Row]) -> None:
    hinted: set[str] = set()
    for row in rows:
        meaning = _meaning(row)
        title = f"[bold]{escape(row.reason or _WHAT[row.type])}[/]"
        console.print(f"{title}: {escape(meaning)}" if meaning else title, highlight=False)
        if row.example:
            _indented(console, f"[dim]{escape(row.place)}[/]  {escape(row.example)}")
        if row.upstreams:
            _indented(console, f"at {escape(_upstreams(row))}")
        if row.statuses:
            _indented(console, f"the client got {_statuses(row)}")
        following = hint(row.type, row.reason)
        if following and following not in hinted:
            hinted.add(following)
            _indented(console, f"→ {escape(following)}")
    console.print()


def _indented(console: Console, markup: str) -> None:
    """Print a line with two spaces before it: wrapped on a terminal, whole elsewhere."""
    if console.is_terminal:
        console.print(Padding(Text.from_markup(markup), (0, 0, 0, 2)), highlight=False)
    else:
        console.print(f"  {markup}", highlight=False, soft_wrap=True)


def _meaning(row: Row) -> str:
    if row.type == "upstream_failure":
        others = {"app_5xx": "application", "proxy_local": "proxy"}
        if row.reason in others:
            return vocabulary.ERROR_ORIGINS[others[row.reason]]
        return vocabulary.UPSTREAM_FAILURE_REASONS.get(row.reason, "")
    if row.type == "worker_end":
        return vocabulary.WORKER_END_REASONS.get(row.reason, "")
    if row.type == "server_end":
        return vocabulary.SERVER_END_REASONS.get(row.reason, "")
    return "the application did not load" if row.type == "boot_failure" else "the client left"


def _lines(read: dict[str, int], unknown: int) -> str:
    parts = [f"{count} {name}" for name, count in sorted(read.items()) if count]
    if unknown:
        parts.append(f"{unknown} not understood")
    return "Lines: " + (", ".join(parts) or "none") + "."


def _upstreams(row: Row) -> str:
    several = len(row.upstreams) > 1
    names = [
        f"{name} ({count})" if several else name
        for name, count in row.upstreams.most_common(_UPSTREAMS_SHOWN)
    ]
    more = len(row.upstreams) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _statuses(row: Row) -> str:
    """Return what clients got, the most frequent first; of what no line tells nothing is said."""
    found = row.statuses.most_common()
    if len(found) == 1 and found[0][1] == row.count:
        return str(found[0][0])
    return ", ".join(f"{status} ({count})" for status, count in found)


def _places(record: Record) -> list[str]:
    return [record.upstream] if isinstance(record.upstream, str) else []


def _moment(at: float, day: str) -> str:
    """Return a time for a person, without the day where all are of the same."""
    if not at:
        return ""
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    return clock if day else f"{_day(at)} {clock}"


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))
