"""Whose fault a missing module is: a distribution's, or the project's own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec
from packaging.utils import canonicalize_name

from badgateway.packages.findings import Report
from badgateway.packages.knownnames import CANDIDATES
from badgateway.packages.resolver import KNOWN_STANDARD

SIMILARITY: Final = 0.8
"""How alike an undeclared name must be to one of the project's own to be its misspelling."""

_PREFIXES: Final = ("python-", "py-", "django-", "py")
_SUFFIXES: Final = ("-python", "-py", "-binary", "-headless", "-client")


class MissingModule(msgspec.Struct, frozen=True):
    """What a module that was not found belongs to.

    Attributes:
        kind: ``dependency``, ``own_module`` of the project (misspelt, moved or not deployed), or
            ``standard_module`` that this version of Python does not have.
        module: the import name asked about.
        distribution: canonical name; empty unless it is a dependency.
        basis: how the distribution is known: ``installed`` (its files are gone), ``remembered``,
            ``declared``, ``required``, ``known``, ``similar`` (by likeness of the names) or
            ``guess`` (the import name itself).
        declared: specifier, ``url``, or empty when not declared.
        declared_in: file name, empty when not declared.
        required_by: installed distributions that require it.
        installed: version that is installed all the same; empty when none is.
        similar: the project's own module that the name resembles, or empty.
    """

    kind: Literal["dependency", "own_module", "standard_module"]
    module: str
    distribution: str = ""
    basis: str = ""
    declared: str = ""
    declared_in: str = ""
    required_by: tuple[str, ...] = ()
    installed: str = ""
    similar: str = ""


def classify_missing(
    module: str,
    report: Report,
    remembered: Mapping[str, str] | None = None,
    importer: str = "",
) -> MissingModule:
    """Say what ``module`` (dotted, as in ``No module named 'x.y'``) belongs to.

    ``remembered`` are the providers of an earlier report, of when everything was installed;
    ``importer`` is the module that imports it, where known.
    """
    top = module.partition(".")[0]
    if top in report.first_party or not module:
        return MissingModule("own_module", module, similar=top if top != module else "")
    distribution, basis = _distribution(module, report, remembered or {})
    if basis in ("guess", "similar") and (needed := _only_absent(importer, report)):
        distribution, basis = needed, "required"
    in_use = distribution in report.declared or distribution in report.required_by
    if basis == "guess" and not in_use:
        if top in KNOWN_STANDARD:
            return MissingModule("standard_module", module)
        close = difflib.get_close_matches(top, report.first_party, 1, SIMILARITY)
        if close:
            return MissingModule("own_module", module, similar=close[0])
    return MissingModule(
        "dependency",
        module,
        distribution,
        basis,
        report.declared.get(distribution, ""),
        report.declared_in.get(distribution, ""),
        report.required_by.get(distribution, ()),
        report.installed.get(distribution, ""),
    )


def _distribution(module: str, report: Report, remembered: Mapping[str, str]) -> tuple[str, str]:
    prefixes = list(_prefixes(module))
    for known, basis in ((report.providers, "installed"), (remembered, "remembered")):
        for prefix in prefixes:
            if prefix in known:
                return known[prefix], basis
    asked_for = (report.declared, "declared"), (report.required_by, "required")
    for names, basis in asked_for:
        for prefix in prefixes:
            name = canonicalize_name(prefix.replace(".", "-"))
            if name in names and name not in report.installed:
                return name, basis
    for prefix in prefixes:
        # One that is installed has other modules: this is not among what it provides.
        candidates = [c for c in CANDIDATES.get(prefix, ()) if c not in report.installed]
        chosen = [c for names, _ in asked_for for c in candidates if c in names]
        for candidate in (*chosen, *candidates):
            return candidate, "known"
    top = squash(module.partition(".")[0])
    for names, _ in asked_for:
        for required in sorted(names):
            if required not in report.installed and top in spellings(required):
                return required, "similar"
    return canonicalize_name(module.partition(".")[0]), "guess"


def _only_absent(importer: str, report: Report) -> str:
    """Return what the importer's distribution requires, if just one of that is not installed."""
    owner = next((report.providers[p] for p in _prefixes(importer) if p in report.providers), "")
    absent = [
        name
        for name, by in report.required_by.items()
        if owner and owner in by and name not in report.installed
    ]
    return absent[0] if len(absent) == 1 else ""


def _prefixes(module: str) -> Iterator[str]:
    """Yield ``a.b.c``, ``a.b``, ``a``."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def squash(name: str) -> str:
    """Return ``name`` in lower case without separators."""
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


def spellings(distribution: str) -> set[str]:
    """Return the import names that a distribution's name suggests, squashed."""
    names = {distribution}
    for prefix in _PREFIXES:
        names |= {n.removeprefix(prefix) for n in names}
    for suffix in _SUFFIXES:
        names |= {n.removesuffix(suffix) for n in names}
    return {squash(name) for name in names if len(name) > 1}
