"""One look at a start: what keeps it from getting as far as the project's own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from badgateway.packages.findings import Finding, Target
from badgateway.preflight import gunicorn, installation, others, places
from badgateway.preflight.options import NotReadableError

READERS: Final = {"gunicorn": gunicorn.check, **others.READERS}
"""Servers whose options can be read."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found.

    Attributes:
        findings: kinds of ``vocabulary.LAUNCH_KINDS``, all of them certain.
        problem: why the server's options could not be judged; empty when they were.
        files: what the judgement rests on.
    """

    findings: tuple[Finding, ...] = ()
    problem: str = ""
    files: tuple[str, ...] = ()


def preflight(target: Target) -> Preflight:
    """Say what keeps a start from getting as far as the project's own code; never raises on it."""
    found = tuple(places.check(target))
    watched = tuple(
        path for path in (target.needed_directory, *target.needed_files, target.script) if path
    )
    reader = READERS.get(target.server)
    if reader is None:
        return Preflight(found, "the options of this server are not known", watched)
    if not target.arguments or any("$" in word for word in target.arguments):
        return Preflight(found, "its command line is not known", watched)
    server = installation.find(target)
    if server is None:
        return Preflight(found, f"{target.server} is not seen to be installed", watched)
    try:
        refused, sources = reader(server, target)
    except NotReadableError:
        return Preflight(found, f"the options of {server.words} cannot be read", watched)
    return Preflight((*found, *refused), "", (*watched, *sources))
