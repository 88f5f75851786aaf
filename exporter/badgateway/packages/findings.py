"""What is asked, what is found: the shapes that cross the process boundary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from badgateway import vocabulary


class Target(msgspec.Struct, frozen=True):
    """What to look at; paths are absolute.

    Of the environment it holds what the server reads as options, and nothing else.

    Attributes:
        project: directory that holds the declaration (``pyproject.toml``, ``requirements.txt``);
            empty when none is known: then only the command line is judged.
        virtualenv: prefix of the virtualenv; empty when there is none.
        entry: the application as ``pkg.mod:attr`` or ``pkg.mod``; empty when not known.
        server: the program that loads it by name (a key of ``vocabulary.SERVERS``).
        search: directories searched for modules before the standard library.
        script: the file that is started; empty for ``python -m``.
        module: the module of ``python -m``; empty for a script.
        loads: further modules that the server is told to load by name.
        extras: the project's extras that its deployment asks for.
        interpreter: the Python that runs it when there is no virtualenv.
        directory: where the program is started; empty for the project.
        home: the service's home directory, where such a Python looks too.
        installs: the start command installs what is missing by itself.
        remembered: import name → distribution, from an earlier report's ``providers``.
        cache: file that remembers parsed sources between scans; None for no memory.
        arguments: the server's own arguments; empty when not known. May hold secrets.
        variables: what the server reads of its environment as options (``GUNICORN_CMD_ARGS``,
            ``UVICORN_PORT``). May hold secrets.
        user: the user it would run as; empty when its manager is told none.
        group: likewise.
        needed_files: files without which its manager would not start it.
        needed_directory: directory without which it would not; empty for none.
        root: where a container's files are, as ``Container.root``; empty on this host.
    """

    project: str
    virtualenv: str = ""
    entry: str = ""
    server: str = "unknown"
    search: tuple[str, ...] = ()
    script: str = ""
    module: str = ""
    loads: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    interpreter: str = ""
    directory: str = ""
    home: str = ""
    installs: bool = False
    remembered: dict[str, str] = {}
    cache: str | None = None
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    user: str = ""
    group: str = ""
    needed_files: tuple[str, ...] = ()
    needed_directory: str = ""
    root: tuple[tuple[str, str], ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be.

    Attributes:
        kind: a key of ``vocabulary.DRIFT_KINDS``, ``vocabulary.LAUNCH_KINDS`` or
            ``vocabulary.ROUTE_KINDS``.
        severity: one of ``vocabulary.SEVERITIES``.
        subject: the distribution's canonical name where one is known, else a module or file; of a
            proxy's configuration an upstream's address or a site.
        message: one sentence: what, where declared, who needs it.
        fix: a command, or what to do.
        module: import name, empty when it is not about an import.
        declared: specifier such as ``>=0.1.9``, ``url`` for a URL, empty when not declared.
        declared_in: name of the declaring file.
        installed: version, empty when not installed.
        importer: ``pkg.mod:24``, the module and line that import it.
        where: file and line of a proxy's configuration; empty where nothing tells.
    """

    kind: str
    severity: str
    subject: str
    message: str
    fix: str = ""
    module: str = ""
    declared: str = ""
    declared_in: str = ""
    installed: str = ""
    importer: str = ""
    where: str = ""


class Report(msgspec.Struct, frozen=True):
    """What one scan found.

    Attributes:
        verdict: a key of ``vocabulary.NEXT_START_VERDICTS``.
        findings: gravest first, then by kind and subject.
        problem: why the verdict is ``unknown``, or what could not be looked at; else empty.
        python: version of the target's Python, empty when unknown.
        first_party: names of the project's top-level modules.
        providers: import name → canonical distribution, of what is installed. Dotted where
            several distributions share a top-level name (``google.cloud.storage``).
        declared: canonical distribution → specifier (``url`` for a URL), of what is declared.
        declared_in: the file that declares it, likewise.
        required_by: distribution that is required → the installed ones that require it.
        installed: canonical distribution → version.
        watch: paths whose change calls for another scan; see ``fingerprint``.
        modules: number of modules looked at.
        duration_seconds: how long it took.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    project: str = ""
    virtualenv: str = ""
    python: str = ""
    first_party: tuple[str, ...] = ()
    providers: dict[str, str] = {}
    declared: dict[str, str] = {}
    declared_in: dict[str, str] = {}
    required_by: dict[str, tuple[str, ...]] = {}
    installed: dict[str, str] = {}
    watch: tuple[str, ...] = ()
    modules: int = 0
    duration_seconds: float = 0.0


_RANK: Final = {severity: rank for rank, severity in enumerate(reversed(vocabulary.SEVERITIES))}
_KINDS: Final = (*vocabulary.LAUNCH_SEVERITY, *vocabulary.DRIFT_SEVERITY)
_KIND_RANK: Final = {kind: rank for rank, kind in enumerate(_KINDS)}


def sort(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return ``found`` gravest first, then by kind and subject, each kind and subject once."""
    ordered = sorted(found, key=lambda f: (_RANK[f.severity], _KIND_RANK[f.kind], f.subject))
    once: dict[tuple[str, str], Finding] = {}
    for finding in ordered:
        once.setdefault((finding.kind, finding.subject), finding)
    return tuple(once.values())
