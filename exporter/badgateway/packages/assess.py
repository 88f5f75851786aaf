"""One look at a target, in this process: reads everything, judges, and reports."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from packaging.utils import canonicalize_name

from badgateway.packages import declared, files, installed, virtualenv
from badgateway.packages.closure import Closure, Start
from badgateway.packages.declared import Declaration, Declared, applies
from badgateway.packages.evidence import Evidence
from badgateway.packages.findings import Report, Target, sort
from badgateway.packages.fixes import fixes
from badgateway.packages.importchecks import Doubts, users
from badgateway.packages.installed import Installed
from badgateway.packages.nextstart import judge, verdict
from badgateway.packages.parsecache import ParseCache
from badgateway.packages.resolver import Kind, Location, Resolver
from badgateway.packages.sitepaths import SitePaths, site_paths
from badgateway.packages.virtualenv import Environment
from badgateway.packages.walker import Walker
from badgateway.packages.watch import paths_to_watch
from badgateway.preflight.look import Preflight, preflight

SECONDS: Final = 45.0
"""How long imports are followed before the rest is left for the next scan."""

LISTING_LIMIT: Final = 5000
"""Entries of a directory that are looked at for the project's own modules."""

_LOADERS: Final = ("uvicorn", "gunicorn", "hypercorn", "granian")
"""Servers that load the application by its name."""


def assess(target: Target, seconds: float = SECONDS) -> Report:
    """Say what ``target`` lacks and whether its next start would work.

    Reads files only, and writes none but ``target.cache``. Never raises on what it finds; ends
    after about ``seconds``.
    """
    begun = time.monotonic()
    refused = preflight(target)
    if not target.project:
        return _command_only(target, refused, begun)
    environment = virtualenv.describe(target.virtualenv, target.interpreter, target.home)
    if not files.exists(target.project) and not environment.binary:
        problem = f"neither {target.project} nor its Python can be seen"
        refused = replace(refused, problem=problem)
        return msgspec.structs.replace(
            _command_only(target, refused, begun), project=target.project, watch=()
        )
    markers = virtualenv.marker_environment(environment)
    site = site_paths(environment.sites)
    present = installed.read_sites(site.paths)
    declaration = declared.read_project(target.project, markers, target.extras)
    declaration = _from_metadata(declaration, present, markers, target.extras)
    report = _describe(target, environment, present, declaration, markers, site)
    problems = [*site.problems, *present.problems]
    if environment.problem:
        problems.append(environment.problem)
    closure, resolver = None, None
    start = Start(target.entry, _python_script(target), target.module, target.server, target.loads)
    if environment.minor is None:
        problems.append("the version of the target's Python is not known")
    elif not (start.entry or start.script or start.module):
        problems.append("the application's module is not known")
    elif not environment.changed:
        if target.server in _LOADERS and not start.entry:
            problems.append("the application's module is not known")
        cache = ParseCache(target.cache, environment.minor)
        resolver = _resolver(target, environment, site, cache)
        own = _Ownership(frozenset(report.first_party), environment.sites, report.providers)
        deadline = begun + seconds
        walker = Walker(resolver, cache, own.of, target.directory or target.project, deadline)
        closure = walker.walk(start)
        problems += _walk_problems(closure, resolver)
        if not start.entry and not _own_code(closure, environment):
            problems.append("nothing of the project's own is seen to be loaded by its start")
        cache.save()
    evidence = Evidence(
        target,
        environment,
        markers,
        present,
        declaration,
        users(closure, report, target.remembered) if closure else {},
        fixes(target, environment, declaration, present),
    )
    doubts = Doubts(_doubt(closure, resolver, site), site)
    report = judge(evidence, closure, report, doubts, problems, refused.findings)
    watch = paths_to_watch(target, environment, declaration, site, closure)
    return msgspec.structs.replace(
        report,
        watch=files.unique([*refused.files, *watch]),
        modules=len(closure.modules) if closure else 0,
        duration_seconds=round(time.monotonic() - begun, 3),
    )


def _command_only(target: Target, refused: Preflight, begun: float) -> Report:
    """What can be said of a start whose project is not known."""
    findings = sort(refused.findings)
    return Report(
        verdict(findings, refused.problem),
        findings,
        refused.problem,
        virtualenv=target.virtualenv,
        watch=refused.files,
        duration_seconds=round(time.monotonic() - begun, 3),
    )


def _resolver(
    target: Target, environment: Environment, site: SitePaths, cache: ParseCache
) -> Resolver:
    def hidden(file: str) -> bool:
        source = cache.source(file)
        return source.opaque or bool(source.error)

    return Resolver(
        target.search,
        site,
        environment.minor or (3, 0),
        any_extension=environment.implementation != "CPython",
        hidden_submodules=hidden,
    )


@dataclass(frozen=True, slots=True)
class _Ownership:
    """Which modules are the project's own: those outside of site directories, and its own."""

    first_party: frozenset[str]
    sites: tuple[str, ...]
    providers: Mapping[str, str]

    def of(self, module: str, location: Location) -> bool:
        if location.kind is Kind.OPAQUE:
            return False
        if module.partition(".")[0] in self.first_party:
            return True
        path = location.file or (location.directories[0] if location.directories else "")
        return bool(path) and not _is_foreign(path, self.sites)


def _is_foreign(path: str, sites: Iterable[str]) -> bool:
    if "/site-packages" in path or "/dist-packages" in path:
        return True
    return any(files.below(path, site) for site in sites)


def _python_script(target: Target) -> str:
    """Return the script when it is Python that can be read."""
    if not target.script:
        return ""
    try:
        words = virtualenv.shebang(target.script)
    except (OSError, ValueError):
        return ""
    python = words is not None and virtualenv.is_interpreter_name(words[0])
    return target.script if python or target.script.endswith(".py") else ""


def _describe(
    target: Target,
    environment: Environment,
    present: Installed,
    declaration: Declaration,
    markers: Mapping[str, str],
    site: SitePaths,
) -> Report:
    """Fill in what a report says besides findings and verdict."""
    provided = installed.providers(present.distributions.values())
    required: dict[str, list[str]] = {}
    for distribution in present.distributions.values():
        if distribution.name == declaration.name:
            continue
        for requirement in distribution.requirements():
            if applies(requirement.marker, markers):
                name = canonicalize_name(requirement.name)
                required.setdefault(name, []).append(distribution.name)
    specifiers = {d.name: d.specifier for d in declaration.requirements}
    # A directory that only shares its name with a package (alembic/, docs/) is not that package.
    taken = {name.replace("-", "_") for name in (*specifiers, *required)} | provided.keys()
    own = set(_own_modules(target, environment, site, taken))
    own |= {n for n, d in provided.items() if d == declaration.name and "." not in n}
    for module in (target.entry.partition(":")[0], target.module):
        top = module.partition(".")[0]
        if top and top not in provided and canonicalize_name(top) not in {*specifiers, *required}:
            own.add(top)
    return Report(
        "unknown",
        project=target.project,
        virtualenv=target.virtualenv,
        python=environment.version,
        first_party=tuple(sorted(own)),
        providers={n: d for n, d in provided.items() if d != declaration.name},
        declared=specifiers,
        declared_in={d.name: d.source for d in declaration.requirements},
        required_by={name: files.unique(by) for name, by in sorted(required.items())},
        installed={d.name: d.version for d in present.distributions.values()},
    )


def _own_modules(
    target: Target, environment: Environment, site: SitePaths, taken: set[str]
) -> Iterator[str]:
    added = [path for path in site.paths if path not in environment.sites]
    for directory in (*target.search, *added):
        if _is_foreign(directory, environment.sites):
            continue
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names[:LISTING_LIMIT]:
            stem, _, suffix = name.partition(".")
            if not stem.isidentifier():
                continue
            inside = os.path.join(directory, name)
            regular = suffix == "py" or files.exists(os.path.join(inside, "__init__.py"))
            if regular or (not suffix and stem not in taken and _holds_modules(inside)):
                yield stem
    yield from (module for module in site.mapping if "." not in module)


def _holds_modules(directory: str) -> bool:
    try:
        return any(name.endswith(".py") for name in os.listdir(directory)[:LISTING_LIMIT])
    except OSError:
        return False


def _from_metadata(
    declaration: Declaration,
    present: Installed,
    markers: Mapping[str, str],
    extras: tuple[str, ...],
) -> Declaration:
    """Fall back to the project's installed metadata where its declaration is not static."""
    own = present.distributions.get(declaration.name)
    if own is None or declaration.requirements or not declaration.unreadable:
        return declaration
    found = tuple(
        Declared(canonicalize_name(requirement.name), "METADATA", requirement, extra)
        for requirement in own.requirements()
        for extra in ("", *extras)
        if applies(requirement.marker, markers, extra)
    )
    once = {d.name: d for d in reversed(found)}
    return replace(declaration, requirements=tuple(once.values()), source="METADATA")


def _walk_problems(closure: Closure, resolver: Resolver) -> Iterator[str]:
    if closure.incomplete:
        yield closure.incomplete
    for path, why in (*closure.denied.items(), *resolver.unreadable.items()):
        yield f"{path}: {why}"


def _own_code(closure: Closure, environment: Environment) -> bool:
    """Return whether the walk came to code of the project: a server's script is not that."""
    binaries = os.path.join(environment.prefix, "bin")
    return any(not files.below(file, binaries) for file in closure.own_files) or bool(
        closure.missing
    )


def _doubt(closure: Closure | None, resolver: Resolver | None, site: SitePaths) -> str:
    if closure is None or resolver is None:
        return ""
    if closure.uncertain:
        return closure.uncertain
    if resolver.unreadable:
        return f"{next(iter(resolver.unreadable))} cannot be read"
    if site.hooks:
        return f"{site.hooks[0].partition(':')[0]} runs code at start that may provide it"
    return ""
