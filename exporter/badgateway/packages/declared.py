"""What a project declares: PEP 621 metadata, else requirements files. Nothing is run."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from badgateway.packages import files
from badgateway.packages.requirements import Line, read_requirements

FALLBACKS: Final = ("setup.cfg", "setup.py", "Pipfile", "environment.yml")
"""Declarations that are seen and not read."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One requirement that applies to the target.

    ``requirement`` is None for a path or URL without specifier; ``extra`` is the extra that asks
    for it, empty for a requirement of the project itself.
    """

    name: str
    source: str
    requirement: Requirement | None = None
    extra: str = ""

    @property
    def specifier(self) -> str:
        """Return the specifier as declared, ``url`` for a URL or path (which may hold secrets)."""
        if self.requirement is None or self.requirement.url:
            return "url"
        return str(self.requirement.specifier)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the project declares for the target.

    Attributes:
        name: the project's own canonical name, empty when it has none.
        requirements: those that apply: marker true, base or a chosen extra.
        base: every base requirement, whether its marker is true or not; None when not static.
        requires_python: specifier, or empty.
        source: file name that ``requirements`` come from, empty when nothing declares any.
        installable: whether pip can install the project itself.
        paths: files read, or looked for, that would change the answer.
        unreadable: file name and reason, for what could not be read.
    """

    name: str = ""
    requirements: tuple[Declared, ...] = ()
    base: tuple[Requirement, ...] | None = None
    requires_python: str = ""
    source: str = ""
    installable: bool = False
    paths: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


def applies(marker: Marker | None, environment: Mapping[str, str], extra: str = "") -> bool:
    """Return whether ``marker`` is true for the target; one that cannot be compared is not."""
    if marker is None:
        return True
    try:
        return marker.evaluate({**environment, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, KeyError, ValueError):
        return False


def read_project(
    project: str, environment: Mapping[str, str], extras: Iterable[str] = ()
) -> Declaration:
    """Read what ``project`` declares, for the target whose PEP 508 fields are ``environment``.

    ``[project]`` of ``pyproject.toml`` counts when it says anything about dependencies;
    otherwise ``requirements.txt``. What exists and cannot be read is named, never raised.
    """
    return _Reader(project, environment, tuple(canonicalize_name(e) for e in extras)).read()


@dataclass(slots=True)
class _Reader:
    project: str
    environment: Mapping[str, str]
    extras: tuple[str, ...]
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def read(self) -> Declaration:
        path = os.path.join(self.project, "pyproject.toml")
        self.paths.append(path)
        document = self.document(path)
        table = _table(document, "project")
        name = table.get("name")
        name = canonicalize_name(name) if isinstance(name, str) else ""
        declares = "dependencies" in table or "dependencies" in _strings(table.get("dynamic"))
        source = ""
        found: list[Declared] = []
        base: tuple[Requirement, ...] | None = None
        if declares:
            source = "pyproject.toml"
            found, base = self.pep621(document, table, name)
        elif document is not None:
            requirements = os.path.join(self.project, "requirements.txt")
            self.paths.append(requirements)
            if files.exists(requirements) is not False:
                source = "requirements.txt"
                found = list(self.lines(requirements, ""))
            else:
                self.without_source(document)
        python = table.get("requires-python")
        return Declaration(
            name,
            tuple(found),
            base,
            python if isinstance(python, str) else "",
            source,
            bool(name) or "build-system" in (document or {}),
            files.unique(self.paths),
            tuple(self.unreadable),
        )

    def document(self, path: str) -> dict[str, Any] | None:
        """Return the parsed file: empty when it does not exist, None when it is unreadable."""
        try:
            return tomllib.loads(files.read_bytes(path).decode("utf-8"))
        except OSError as error:
            if not files.denied(error):
                return {}
            self.unreadable.append(("pyproject.toml", files.reason(error)))
        except UnicodeDecodeError:
            self.unreadable.append(("pyproject.toml", "not UTF-8"))
        except tomllib.TOMLDecodeError as error:
            line = getattr(error, "lineno", None)
            self.unreadable.append(
                ("pyproject.toml", f"not valid TOML at line {line}" if line else "not valid TOML")
            )
        except (ValueError, RecursionError, MemoryError):
            self.unreadable.append(("pyproject.toml", "not valid TOML"))
        return None

    def pep621(
        self, document: Mapping[str, Any] | None, table: Mapping[str, Any], name: str
    ) -> tuple[list[Declared], tuple[Requirement, ...] | None]:
        setuptools = _table(_table(_table(document, "tool"), "setuptools"), "dynamic")
        base: tuple[Requirement, ...] | None = None
        found: list[Declared] = []
        if "dependencies" in table:
            base = tuple(self.requirements(table["dependencies"]))
            found += self.chosen(base, "pyproject.toml", "")
        elif named := _file_names(_table(setuptools, "dependencies")):
            for file in named:
                found += self.lines(os.path.join(self.project, file), "")
        else:
            self.unreadable.append(("pyproject.toml", "its dependencies are dynamic"))
        optional = _table(table, "optional-dependencies")
        groups: dict[str, Any] = {canonicalize_name(key): value for key, value in optional.items()}
        files_of: dict[str, list[str]] = {
            canonicalize_name(key): _file_names(value)
            for key, value in _table(setuptools, "optional-dependencies").items()
        }
        todo, seen = list(self.extras), set[str]()
        while todo:
            extra = todo.pop(0)
            if extra in seen:
                continue
            seen.add(extra)
            if extra not in groups and extra not in files_of:
                self.unreadable.append(("pyproject.toml", f"it has no extra named {extra}"))
            for requirement in self.requirements(groups.get(extra, [])):
                if canonicalize_name(requirement.name) == name:
                    todo += sorted(canonicalize_name(e) for e in requirement.extras)
                else:
                    found += self.chosen([requirement], "pyproject.toml", extra)
            for file in files_of.get(extra, []):
                found += self.lines(os.path.join(self.project, file), extra)
        return found, base

    def requirements(self, values: object) -> Iterator[Requirement]:
        if not isinstance(values, list):
            self.unreadable.append(("pyproject.toml", "its dependencies are not a list"))
            return
        for number, value in enumerate(values, 1):
            try:
                yield Requirement(value)
            except (InvalidRequirement, TypeError, AttributeError, RecursionError):
                # The text is not repeated: a URL may hold a password.
                self.unreadable.append(("pyproject.toml", f"dependency {number} is not valid"))

    def chosen(
        self, requirements: Iterable[Requirement], source: str, extra: str
    ) -> Iterator[Declared]:
        for requirement in requirements:
            if applies(requirement.marker, self.environment, extra):
                name = canonicalize_name(requirement.name)
                yield Declared(name, source, requirement, extra)

    def lines(self, path: str, extra: str) -> Iterator[Declared]:
        content = read_requirements(path)
        self.paths += content.paths
        for file, why in content.problems:
            self.unreadable.append((os.path.relpath(file, self.project), why))
        for line in content.lines:
            if not line.constraint:
                yield from self.line(line, extra)

    def line(self, line: Line, extra: str) -> Iterator[Declared]:
        source = os.path.relpath(line.file, self.project)
        if line.requirement is not None:
            yield from self.chosen([line.requirement], source, extra)
        elif line.name and applies(line.marker, self.environment, extra):
            yield Declared(line.name, source, None, extra)

    def without_source(self, document: Mapping[str, Any]) -> None:
        tools = _table(document, "tool")
        if _table(tools, "poetry").get("dependencies"):
            self.unreadable.append(("pyproject.toml", "declared in Poetry's own table"))
            return
        for name in FALLBACKS:
            path = os.path.join(self.project, name)
            if files.exists(path):
                self.paths.append(path)
                self.unreadable.append((name, "this kind of declaration is not read"))
                return


def _table(value: object, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, dict) else {}


def _strings(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _file_names(value: object) -> list[str]:
    named = value.get("file") if isinstance(value, Mapping) else None
    return [named] if isinstance(named, str) else _strings(named)
