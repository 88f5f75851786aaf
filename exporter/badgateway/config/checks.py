"""What is wrong with a configuration although each value fits: names, addresses, contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from badgateway.config import addresses
from badgateway.config.findings import Finding, Steps, located
from badgateway.config.probechecks import check_probes
from badgateway.config.problems import Problem
from badgateway.config.schema import Backend, Config, Log, Proxy
from badgateway.config.tree import Item

# PEP 685's names of extras
_EXTRA: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)

_Place = tuple[str | None, str | None]
"""A log: its file, or the unit whose journal it is."""

OTHER: Final = "other"
"""The ``backend`` of what belongs to none (``topology.backends.UNKNOWN``)."""
PROBE_INTERVAL: Final = 0.1
LOOK_INTERVAL: Final = 1.0
"""Least seconds between two probes of a URL, and two looks at the host: neither is to be a load."""


def check(config: Config, root: Item) -> list[Problem]:
    """Return what is wrong, with places; ``root`` is the tree that ``config`` was made of."""
    found = (located(finding, root) for finding in _findings(config))
    return [problem for problem in found if problem is not None]


def _findings(config: Config) -> Iterator[Finding]:
    if config.discovery.interval < LOOK_INTERVAL:
        yield Finding(("discovery",), ("interval",), "must be at least 1s", ("interval",))
    if config.probes.interval < PROBE_INTERVAL:
        yield Finding(("probes",), ("interval",), "must be at least 100ms", ("interval",))
    if config.probes.timeout > config.probes.interval:
        given = f"{config.probes.timeout:g}s", f"{config.probes.interval:g}s"
        what = "the timeout, {}, is longer than the interval, {}".format(*given)
        yield Finding(("probes",), ("timeout",), what, ("timeout", "interval"))
    yield from _same("backends", "name", ((b.name,) for b in config.backends))
    yield from _same("proxies", "name", ((p.name,) for p in config.proxies))
    yield from _units(config)
    named = ((b.container,) if b.container else (str(n), "") for n, b in enumerate(config.backends))
    yield from _same("backends", "container", named)
    for number, backend in enumerate(config.backends):
        if backend.name == OTHER:
            what = f"`{OTHER}` is what traffic that belongs to no backend is counted as"
            yield Finding(("backends", number), ("name",), what)
        yield from _backend(("backends", number), backend, config)
    for number, proxy in enumerate(config.proxies):
        yield from _proxy(("proxies", number), proxy)
    yield from _shared_logs(config)


def _same(top: str, key: str, values: Iterable[tuple[str, ...]]) -> Iterator[Finding]:
    first: dict[tuple[str, ...], int] = {}
    for number, value in enumerate(values):
        if first.setdefault(value, number) != number:
            what = f"is the {key} of {top}[{first[value]}] already"
            yield Finding((top, number), (key,), what)


def _units(config: Config) -> Iterator[Finding]:
    """A unit runs one thing: its journal has one reader."""
    first: dict[str, str] = {}
    owners = [(("backends", n), b.unit) for n, b in enumerate(config.backends)]
    owners += [(("proxies", n), p.unit) for n, p in enumerate(config.proxies)]
    for steps, unit in owners:
        if unit is None:
            continue
        if unit in first:
            yield Finding(steps, ("unit",), f"is the unit of {first[unit]} already")
        first.setdefault(unit, f"{steps[0]}[{steps[1]}]")


def _backend(steps: Steps, backend: Backend, config: Config) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, upstream in enumerate(backend.upstreams):
        problem = addresses.upstream_problem(upstream)
        problem = problem or ("is given twice" if upstream in seen else "")
        seen.add(upstream)
        if problem:
            yield Finding(steps, ("upstreams", number), problem)
    for number, extra in enumerate(backend.extras):
        if not _EXTRA.fullmatch(extra):
            what = "is no name of an extra: letters, digits and . _ - between them"
            yield Finding(steps, ("extras", number), what)
    if backend.command and not backend.command[0].strip():
        yield Finding(steps, ("command", 0), "must be a program")
    if backend.unit is not None and backend.container is not None:
        yield Finding(steps, ("container",), "give either `unit` or `container`", ("unit",))
    if backend.working_directory is not None and not backend.command:
        what = "says where `command` runs, which is not given"
        yield Finding(steps, ("working_directory",), what, ("command",))
    yield from _logs(steps, backend.logs, backend.unit)
    yield from check_probes(steps, backend, config)


def _proxy(steps: Steps, proxy: Proxy) -> Iterator[Finding]:
    problem = addresses.admin_problem(proxy.admin) if proxy.admin else ""
    if problem:
        yield Finding(steps, ("admin",), problem)
    yield from _logs(steps, proxy.logs, proxy.unit)
    for number, log in enumerate(proxy.logs):
        here = (*steps, "logs", number)
        if proxy.kind != "nginx" and (log.format or log.log_format):
            key = "format" if log.format else "log_format"
            yield Finding(here, (key,), "is for the logs of an nginx proxy")
        elif log.log_format and log.format == "nginx-error":
            yield Finding(here, ("log_format",), "is for access logs")


def _shared_logs(config: Config) -> Iterator[Finding]:
    """A log has one reader: its lines do not say whose they are."""
    owners = [(("backends", n), b.unit, b.logs) for n, b in enumerate(config.backends)]
    owners += [(("proxies", n), p.unit, p.logs) for n, p in enumerate(config.proxies)]
    first: dict[_Place, tuple[str, int]] = {}
    for steps, unit, _ in owners:
        if unit is not None:
            first.setdefault((None, unit), steps)
    for steps, _, logs in owners:
        for number, log in enumerate(logs):
            found = first.setdefault((log.file, log.journal), steps)
            if found != steps:
                what = f"is read already: it is a log of {found[0]}[{found[1]}]"
                yield Finding((*steps, "logs", number), (), what)


def _logs(steps: Steps, logs: Iterable[Log], unit: str | None) -> Iterator[Finding]:
    seen: set[_Place] = set()
    for number, log in enumerate(logs):
        here = (*steps, "logs", number)
        if (log.file is None) == (log.journal is None):
            yield Finding(here, (), "give either `file` or `journal`", ("file", "journal"))
        elif (log.file, log.journal) in seen:
            yield Finding(here, (), "is given twice")
        elif unit is not None and log.journal == unit:
            yield Finding(here, ("journal",), "is read already: it is the unit's own journal")
        seen.add((log.file, log.journal))
