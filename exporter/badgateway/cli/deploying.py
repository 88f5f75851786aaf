"""``badgateway deploying``: announce a deploy, so that its page waits."""

from __future__ import annotations

import contextlib
import grp
import time
from pathlib import Path
from typing import Final

import click

from badgateway import announcing
from badgateway.announcements import FOLDER
from badgateway.announcing import Announcement
from badgateway.cli import common
from badgateway.cli.diagnose import LOCAL, ask
from badgateway.cli.help import Command
from badgateway.cli.place import SHIPPED, exporters_state
from badgateway.cli.runner import run
from badgateway.cli.serve import default_storage
from badgateway.config.values import seconds as read_duration

GRACE_SECONDS: Final = 30.0
"""How long the announcement outlives a command that succeeded: what it started must come up."""

_SEEN_SECONDS: Final = 4.0
_DEFAULT: Final = "5m"


@click.command(cls=Command, context_settings={"allow_interspersed_args": True})
@click.argument("backend")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND…]")
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help=f"How long pages wait at most, up to 1h.  [default: {_DEFAULT}]",
)
@click.option("--end", "ending", is_flag=True, help="End the announcement.")
@click.option(
    "--storage.path",
    "storage",
    type=click.Path(file_okay=False, readable=False, path_type=Path),
    help=f"The exporter's state directory.  [default: {SHIPPED}, else as for serve]",
)
@click.option("--url", default=LOCAL, show_default=True, help="Exporter that should see it.")
def deploying(
    backend: str,
    command: tuple[str, ...],
    duration: str | None,
    ending: bool,
    storage: Path | None,
    url: str,
) -> None:
    """Announce that BACKEND is being deployed, and run COMMAND if one is given.

    Its pages wait while the announcement is open; what is wrong is shown all the same. It ends when
    its time is up; when COMMAND fails; or 30s after COMMAND succeeded. A later announcement of the
    same BACKEND replaces it, and is not ended by COMMAND.

    Needs no running exporter, only the right to write in its state directory: root, the exporter's
    user, or a member of its group.

    Exit codes: 0 announced or ended, 2 could not, 127 COMMAND cannot be run, else COMMAND's own (a
    signal that ends it ends this too).
    """
    if ending and (command or duration):
        common.fail("--end takes neither --for nor a command")
    spool = find_storage(storage) / FOLDER
    try:
        if ending:
            _end(spool, backend)
            return
        wanted = _seconds(duration or _DEFAULT)
        announced = announcing.announce(spool, backend, wanted, time.time())
    except ValueError as error:
        common.fail(f"{backend[:100]!r}: {error}")
    except OSError as error:
        common.fail(_refused(spool, error))
    try:
        _tell(announced, url, spool)
    except KeyboardInterrupt:
        if command:  # which is not begun
            announcing.end(spool, backend, time.time(), made=announced.at)
        raise
    if command:
        run(command, lambda code: _finish(spool, announced, code))


def find_storage(given: Path | None) -> Path:
    """Return the exporter's state directory, or end with exit code 2 and what would help."""
    if given is not None:
        if not given.is_dir():
            common.fail(f"--storage.path {given}: no such directory; no exporter would see it")
        return given
    found = exporters_state()
    if found is None:
        common.fail(
            f"no state directory: neither {SHIPPED} nor {default_storage()} is there; start the "
            "exporter once, or name its directory with --storage.path"
        )
    return found


def _seconds(text: str) -> float:
    try:
        found = read_duration(text)
    except ValueError as error:
        common.fail(f"--for {text[:40]}: {error}")
    if found > announcing.LIMIT_SECONDS:
        common.fail(f"--for {text}: at most 1h can be announced; announce again if it takes longer")
    return found


def _refused(spool: Path, error: OSError) -> str:
    what = f"cannot write {spool}: {error.strerror}"
    if not isinstance(error, PermissionError):
        return what
    group = "the exporter's group"
    for place in (spool, spool.parent):
        try:
            group = f"group {grp.getgrgid(place.stat().st_gid).gr_name}"
            break
        except (OSError, KeyError):
            continue
    return f"{what}; run this as root or the exporter's user, or as a member of {group}"


def _tell(ours: Announcement, url: str, spool: Path) -> None:
    """Say on standard error who has seen the announcement."""
    backend = ours.backend
    deadline = time.monotonic() + _SEEN_SECONDS
    while (answer := ask(url)) is not None:
        known = {found.backend: found for found in answer.backends}
        if backend not in known:
            names = ", ".join(known) or "none"
            _say(f"announced, but no backend `{backend}` is known at {url}; known: {names}")
            return
        seen = known[backend].announced
        if seen is not None and seen.at == ours.at:
            _say(f"announced: pages for {backend} wait until {_clock(seen.until)}")
            return
        if time.monotonic() > deadline:
            _say(
                f"announced in {spool}, but the exporter at {url} does not see it: is its state "
                "kept elsewhere? (--storage.path)"
            )
            return
        time.sleep(0.2)
    _say(f"announced; no exporter answers at {url}, it will see this once it runs")


def _end(spool: Path, backend: str) -> None:
    ended = announcing.end(spool, backend, time.time())
    _say(f"no deploy of {backend} was announced" if ended is None else "ended")


def _finish(spool: Path, ours: Announcement, code: int) -> None:
    """End the announcement after its command."""
    backend, now = ours.backend, time.time()
    try:
        grace = GRACE_SECONDS if code == 0 else 0.0
        if announcing.end(spool, backend, now, grace, ours.at) is None:
            how = "run out" if now >= ours.until else "been ended or replaced"
            _say(f"the announcement for {backend} had {how} before its command ended")
    except (OSError, ValueError) as error:
        _say(f"the announcement for {backend} could not be ended, it will run out: {error}")


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone keeps no command from running
        click.echo(f"badgateway: {text}", err=True)
