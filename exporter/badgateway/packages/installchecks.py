"""Whether what is installed fits together and fits the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags, parse_tag, platform_tags
from packaging.utils import canonicalize_name

from badgateway.packages import files
from badgateway.packages.declared import applies
from badgateway.packages.evidence import Evidence, satisfies, shown
from badgateway.packages.findings import Finding
from badgateway.packages.installed import wheel_tags


def check_stale_metadata(evidence: Evidence) -> Iterator[Finding]:
    """Look for requirements declared after the project itself was last installed."""
    declaration = evidence.declaration
    own = evidence.installed.distributions.get(declaration.name)
    if own is None or declaration.base is None:
        return
    frozen = {_key(r) for r in own.requirements() if "extra" not in str(r.marker or "")}
    for requirement in declaration.base:
        if _key(requirement) not in frozen and applies(requirement.marker, evidence.markers):
            name = canonicalize_name(requirement.name)
            specifier = "url" if requirement.url else str(requirement.specifier)
            found = evidence.installed.distributions.get(name)
            yield Finding(
                "stale_metadata",
                "warn",
                name,
                f"{name}{shown(specifier)} was declared in pyproject.toml after "
                f"{declaration.name} was last installed.",
                evidence.fixes.declared(name),
                declared=specifier,
                declared_in="pyproject.toml",
                installed=found.version if found else "",
            )


def _key(requirement: Requirement) -> tuple[str, str, tuple[str, ...], str]:
    return (
        canonicalize_name(requirement.name),
        "url" if requirement.url else str(requirement.specifier),
        tuple(sorted(canonicalize_name(extra) for extra in requirement.extras)),
        str(requirement.marker or ""),
    )


def reached(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Return the installed distributions that the project needs, with the extras asked for."""
    found: dict[str, tuple[str, ...]] = {}
    todo: list[tuple[str, tuple[str, ...]]] = [
        (d.name, tuple(sorted(d.requirement.extras)) if d.requirement else ())
        for d in evidence.declaration.requirements
    ]
    todo.append((evidence.declaration.name, evidence.target.extras))
    todo.append((evidence.target.server, ()))
    while todo:
        name, extras = todo.pop()
        distribution = evidence.installed.distributions.get(name)
        known = found.get(name)
        extras = files.unique([*(known or ()), *map(canonicalize_name, extras)])
        if distribution is None or known == extras:
            continue
        found[name] = extras
        for requirement in distribution.requirements():
            if any(applies(requirement.marker, evidence.markers, e) for e in ("", *extras)):
                todo.append((canonicalize_name(requirement.name), tuple(requirement.extras)))
    return found


def check_requires(evidence: Evidence) -> Iterator[Finding]:
    """Look at what the installed packages that the project needs require themselves."""
    distributions = evidence.installed.distributions
    for name, extras in reached(evidence).items():
        if name == evidence.declaration.name:
            continue  # its metadata is older than its declaration
        for requirement in distributions[name].requirements():
            extra = next(
                (e for e in ("", *extras) if applies(requirement.marker, evidence.markers, e)),
                None,
            )
            if extra is None:
                continue
            wanted = canonicalize_name(requirement.name)
            installed = distributions.get(wanted)
            if installed and satisfies(installed, requirement):
                continue
            who = f"{name}[{extra}]" if extra else name
            state = f"installed is {installed.version}" if installed else "it is not installed"
            specifier = "url" if requirement.url else str(requirement.specifier)
            yield Finding(
                "extra" if extra and not installed else "requires",
                "info" if evidence.target.installs else "warn",
                wanted,
                f"{who} requires {wanted}{shown(specifier)}; {state}.",
                evidence.fixes.declared(wanted),
                declared=specifier,
                declared_in=f"{name} {distributions[name].version}",
                installed=installed.version if installed else "",
            )


def check_installed(evidence: Evidence) -> Iterator[Finding]:
    """Look for installations left half done, twice, or built for another interpreter."""
    for name in evidence.installed.broken:
        message = f"{name} holds no name or version: an installation was left half done."
        yield Finding("broken_dist", "info", name, message, "remove it and install again")
    for name in evidence.installed.duplicates:
        version = evidence.installed.distributions[name].version
        message = f"{name} is installed twice in the same directory."
        fix = evidence.fixes.reinstall(name, version)
        yield Finding("duplicate", "info", name, message, fix, installed=version)
    minor = evidence.environment.minor
    free_threaded = any(library.endswith("t") for library in evidence.environment.libraries)
    if minor is None or free_threaded or evidence.environment.implementation != "CPython":
        return
    platforms = list(platform_tags())
    accepted = {(t.interpreter, t.abi) for t in cpython_tags(minor, platforms=platforms)}
    version_tag = f"cp{minor[0]}{minor[1]}"
    accepted |= {(t.interpreter, t.abi) for t in compatible_tags(minor, version_tag, platforms)}
    for name in reached(evidence):
        distribution = evidence.installed.distributions[name]
        tags = wheel_tags(distribution)
        try:
            parsed = {t for tag in tags for t in parse_tag(tag)}
        except ValueError:
            continue
        if parsed and not any((t.interpreter, t.abi) in accepted for t in parsed):
            yield Finding(
                "abi",
                "high",
                name,
                f"{name} {distribution.version} was built for {tags[0]}, which Python "
                f"{evidence.environment.version} cannot load.",
                evidence.fixes.reinstall(name, distribution.version),
                installed=distribution.version,
            )
