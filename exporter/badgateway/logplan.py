"""The plan of logs: which are read, by which dialect, and what they tell about whom.

Pure: configuration and findings in, plan out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from badgateway import config as settings
from badgateway import logchoice
from badgateway.sources.journal import KERNEL
from badgateway.topology.backends import Backend
from badgateway.topology.discovery import Findings
from badgateway.topology.proxies.place import ProxyPlace
from badgateway.topology.routes import WrittenLog

JOURNAL: Final = "journal"
"""Name of the source that the systemd journal is."""

HOST: Final = "host:"
"""Owner of what is about nobody's lines in particular."""

_SERVERS_WITH_DIALECT: Final = frozenset(("uvicorn", "gunicorn", "hypercorn", "granian", "uwsgi"))

Name = Callable[[str, Path, Container[str]], str]
Key = tuple[str, str | None]
"""A stream's source, and the unit that writes it there; None for a file's only writer."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One writer's lines.

    Attributes:
        owner: ``backend:NAME``, ``proxy:NAME`` or ``HOST``.
        dialect: name of the dialect that reads it.
        log_format: the template of its lines, where its dialect has templates.
        escape: how that template's values are escaped.
        site: the site that its lines are about where they do not say.
    """

    owner: str
    dialect: str
    log_format: str = ""
    escape: str = "default"
    site: str | None = None

    @property
    def proxy(self) -> str:
        """The proxy that writes it; empty when a backend does."""
        kind, _, name = self.owner.partition(":")
        return name if kind == "proxy" else ""


@dataclass(slots=True)
class Plan:
    """What is read.

    Attributes:
        streams: whose lines come from where.
        files: source → the file it reads.
        containers: source → the unit, and the number of the container of it, whose log it reads.
        patterns: source → the pattern that its file fits, for those of a pattern.
        words: backend → the sources of its server's words.
        errors: proxy → the sources that tell of failed attempts.
        access: proxy → the sources that tell of answers.
        told_by_errors: proxy → the sources that tell why each single attempt failed, apart from
            the answers.
        unread: logs that are configured and cannot be read → why.
        repeated: access logs that are not read → the log that holds the same requests.
    """

    streams: dict[Key, Stream] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    words: dict[str, set[str]] = field(default_factory=dict)
    errors: dict[str, set[str]] = field(default_factory=dict)
    access: dict[str, set[str]] = field(default_factory=dict)
    told_by_errors: dict[str, set[str]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, str] = field(default_factory=dict)


def plan(config: settings.Config, findings: Findings, name: Name) -> Plan:
    """Return which logs to read.

    Args:
        config: names further logs.
        findings: the path map and the proxies.
        name: gives a file of an owner the name of its source, which no other has.
    """
    planned = Plan()
    for backend in findings.paths.backends:
        given = next((b for b in config.backends if b.name == backend.name), None)
        if backend.server in _SERVERS_WITH_DIALECT:
            stream = Stream(f"backend:{backend.name}", backend.server)
            sources = planned.words.setdefault(backend.name, set())
            if backend.manager == "docker":
                sources |= _add_containers(planned, stream, backend)
            elif backend.unit:
                planned.streams[JOURNAL, backend.unit] = stream
                sources.add(JOURNAL)
            for log in given.logs if given else ():
                sources |= _add(planned, stream, log, findings, name)
        elif given and given.logs:
            unknown = backend.server == "unknown"
            planned.unread[f"{backend.name}-log"] = (
                "not read: which server writes it is not known; give its `unit` or `command`"
                if unknown
                else f"not read: how {backend.server} writes is not known"
            )
    if any(JOURNAL in sources for sources in planned.words.values()):
        planned.streams[JOURNAL, KERNEL] = Stream(HOST, "kernel")  # whom it kills, and for what
    for place in findings.places:
        _plan_proxy(planned, config, findings, place, name)
    return planned


def _add_containers(planned: Plan, stream: Stream, backend: Backend) -> set[str]:
    """Plan to read the logs of a backend's containers; return the sources that read them."""
    sources = set()
    numbers = backend.container.replicas if backend.container is not None else ()
    for number in numbers:
        source = f"{backend.name}-container" + (f"-{number}" if number != "1" else "")
        planned.containers[source] = (backend.unit, number)
        planned.streams[source, backend.unit] = stream
        sources.add(source)
    return sources


def _plan_proxy(
    planned: Plan, config: settings.Config, findings: Findings, place: ProxyPlace, name: Name
) -> None:
    given = next((p.logs for p in config.proxies if p.name == place.name), ())
    found = findings.answers.get(place.name)
    written = found.logs if found else None
    by_path = {log.path: log for log in written or ()}
    if place.kind == "caddy" and place.unit:
        here = by_path.get("") if written is not None else None
        here = here or WrittenLog("", "caddy", errors=written is None, access=written is None)
        if given:  # what else is written there, nobody tells
            here = WrittenLog("", "caddy", errors=True, access=True)
        planned.streams[JOURNAL, place.unit] = Stream(f"proxy:{place.name}", here.dialect)
        _tells(planned, place.name, {JOURNAL}, here)
    asked = {log.file for log in given}
    repeated = logchoice.repeated(
        found.together if found else (),
        lambda path: (path not in findings.missing, path in asked,
                      *logchoice.telling(by_path.get(path))),
    )  # fmt: skip
    planned.repeated |= repeated
    for log in given:
        told = _written(place, log, by_path)
        if told.path in repeated:
            continue
        _plan_log(planned, place, told, log, findings, name)
    for told in by_path.values():
        if told.path and told.path not in repeated:
            _plan_log(planned, place, told, settings.ProxyLog(file=told.path), findings, name)


def _written(
    place: ProxyPlace, log: settings.ProxyLog, known: Mapping[str, WrittenLog]
) -> WrittenLog:
    """What a configured log holds: as it says, as the proxy's configuration says, or its name."""
    path = log.file or ""
    if place.kind == "caddy":
        return WrittenLog(path, "caddy", errors=True, access=True)
    if log.format or log.log_format:
        dialect = log.format or "nginx-access"
    elif path in known:
        return known[path]
    else:
        dialect = "nginx-error" if "error" in Path(path).name else "nginx-access"
    is_error = dialect == "nginx-error"
    return WrittenLog(path, dialect, is_error, not is_error, log.log_format)


def _plan_log(
    planned: Plan,
    place: ProxyPlace,
    written: WrittenLog,
    log: settings.Log,
    findings: Findings,
    name: Name,
) -> None:
    """Plan to read a log of a proxy, and note what it tells."""
    stream = Stream(
        f"proxy:{place.name}", written.dialect, written.log_format, written.escape, written.site
    )
    _tells(planned, place.name, _add(planned, stream, log, findings, name), written)


def _tells(planned: Plan, proxy: str, sources: set[str], log: WrittenLog) -> None:
    """Note what the sources of a log tell about a proxy."""
    for told, kept in (
        (log.errors, planned.errors),
        (log.access, planned.access),
        (log.errors and not log.access, planned.told_by_errors),
    ):
        here = kept.setdefault(proxy, set())
        if told:
            here |= sources


def _add(
    planned: Plan, stream: Stream, log: settings.Log, findings: Findings, name: Name
) -> set[str]:
    """Plan to read a log; return the sources that read it."""
    if log.journal:
        planned.streams[JOURNAL, log.journal] = stream
        return {JOURNAL}
    assert log.file is not None
    pattern = log.file in findings.expanded
    paths: Sequence[Path] = findings.expanded[log.file] if pattern else (Path(log.file),)
    sources = set()
    owner = stream.owner.partition(":")[2]
    for path in paths:
        if path in planned.files.values():
            continue
        source = name(owner, path, planned.files)
        planned.files[source] = path
        planned.streams[source, None] = stream
        sources.add(source)
        if pattern:
            planned.patterns[source] = log.file
    return sources
