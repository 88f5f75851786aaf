"""``badgateway check``: the gate before a restart, a reload or a deploy."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from badgateway import logs, vocabulary
from badgateway.cli import common, hostlook, projects, rendering
from badgateway.cli.help import Command
from badgateway.cli.proxyfiles import ProxyFiles, Wanted, asked
from badgateway.cli.rendering.checked import Checked
from badgateway.routecheck import kinds

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command(cls=Command)
@click.argument("subjects", nargs=-1, metavar="[BACKEND | PROXY | PATH]…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(rendering.FORMATS),
    default="table",
    show_default=True,
    help="What to print: for people, for programs, as JUnit XML, as annotations for GitHub.",
)
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
@click.option(
    "--expect",
    type=_FILE,
    help="Addresses that are expected to listen: one a line, what `discover --yaml` printed, or a "
    "compose file.",
)
@click.option(
    "--against",
    type=click.Path(exists=True, path_type=Path),
    help="Proxy configuration of another environment to compare with.",
)
@click.option(
    "--map",
    "renames",
    multiple=True,
    metavar="FROM=TO",
    help="Host name, or domain, and its name in --against.  Repeatable.",
)
@click.option(
    "--here/--elsewhere",
    "here",
    default=None,
    help="Judge proxy configurations against what listens on this host, or without it.  "
    "[default: here if such a proxy runs here]",
)
@click.option("--resolve", is_flag=True, help="Elsewhere, look up names too.")
@click.option("--caddy", "caddy_binary", type=_FILE, help="The caddy that translates Caddyfiles.")
@common.config_option
def check(
    subjects: tuple[str, ...],
    as_json: bool,
    form: str,
    fail_on: str,
    virtualenv: Path | None,
    entry: str,
    expect: Path | None,
    against: Path | None,
    renames: tuple[str, ...],
    here: bool | None,
    resolve: bool,
    caddy_binary: Path | None,
    config_file: Path | None,
) -> None:
    """Say whether BACKENDs of this host, or the projects at PATHs, would start again, and whether
    proxies' configurations would lead where something answers.

    Nothing of a project is run. A PATH is a project, or a configuration of nginx or Caddy, or its
    folder. Without arguments every backend and every proxy of this host is checked.

    Exit codes: 0 clean, 1 findings at or above --fail-on, 2 could not check.
    """
    logs.set_up("error", "logfmt")
    if "" in subjects:
        common.fail("an empty argument: name a BACKEND, a PROXY or a PATH")
    paths = [Path(subject) for subject in subjects if _is_path(subject)]
    names = [subject for subject in subjects if not _is_path(subject)]
    binary = str(caddy_binary or "")
    results = asyncio.run(
        _check(
            Wanted(
                [path for path in paths if _is_project(path)],
                [path for path in paths if not _is_project(path)],
                names, everything=not subjects, here=here,
                asked=asyncio.run(asked(expect, against, renames, resolve, binary)),
                caddy_binary=binary,
            ),
            virtualenv, entry, config_file,
        )
    )  # fmt: skip
    rendering.show(results, "json" if as_json else form, fail_on)
    sys.exit(rendering.exit_code(results, fail_on))


async def _check(
    wanted: Wanted, virtualenv: Path | None, entry: str, config_file: Path | None
) -> Sequence[Checked]:
    chosen: list[projects.Subject] = []
    results: list[Checked] = []
    for path in wanted.projects:
        try:
            chosen.append(projects.at(path, virtualenv, entry))
        except projects.NoProjectError as error:
            results.append(Checked(str(path), "unknown", str(error), ()))
    files = ProxyFiles(wanted)
    host = None
    if wanted.names or wanted.everything or files.needs_host:
        try:
            host = await hostlook.look(common.read_config(config_file))
        except TimeoutError:
            common.fail(f"this host did not tell what is on it within {hostlook.SECONDS:.0f} s")
    places = []
    if host is not None and (wanted.names or wanted.everything):
        known = projects.of_host(host.findings.paths.backends)
        proxies = [place for place in host.findings.places if place.config]
        every = [*(s.name for s in known), *(place.name for place in proxies)]
        for name in wanted.names:
            if name not in every:
                told = ", ".join(dict.fromkeys(every)) or "none"
                common.fail(
                    f"no backend `{name}` whose start can be judged, no proxy of this name and "
                    f"{_missed(name)}; known: {told}"
                )
        chosen += [s for s in known if wanted.everything or s.name in wanted.names]
        places = [p for p in proxies if wanted.everything or p.name in wanted.names]
    if not (chosen or places or wanted.files or results):
        common.fail(
            "no backend whose start can be judged and no proxy was found on this host; name a PATH "
            "to check"
        )
    results += [await projects.judged(subject) for subject in chosen]
    results += [await files.judged(file, host) for file in wanted.files]
    if host is not None:
        results += [await files.found(place, host) for place in places]
    return results


def _is_path(subject: str) -> bool:
    """Whether a path is meant, not a backend: that of a container may be ``project/service``."""
    written = subject.startswith(("/", "./", "../")) or subject in (".", "..")
    path = Path(subject)
    return (
        written
        or subject.count("/") > 1
        or kinds.is_named_so(path)
        or (os.path.lexists(path) and (not path.is_file() or _is_configuration(path)))
    )


def _is_configuration(path: Path) -> bool:
    try:
        return bool(path.suffix) or bool(kinds.kind_of(path))
    except OSError:
        return True  # reading it will tell why


def _is_project(path: Path) -> bool:
    """Whether a path is a project's folder, and no proxy's configuration nor a folder of one."""
    try:
        return path.is_dir() and kinds.main_file(path) is None
    except OSError:
        return False


def _missed(name: str) -> str:
    there = Path(name).is_file()
    return (
        "the file of this name is no configuration of nginx or Caddy" if there else "no such file"
    )
