"""What a site directory holds, read from its metadata without an interpreter."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from badgateway.packages import files

METADATA_LIMIT: Final = 4 << 20
RECORD_LIMIT: Final = 16 << 20
_DEPTH: Final = 4
_EXTENSION: Final = re.compile(r"(\w+)(?:\.(?:py|pyc)|(?:\.[\w.-]+)?\.so)\Z")


@lru_cache(8192)
def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution.

    Attributes:
        name: canonical.
        version: as written.
        directory: its ``dist-info`` or ``egg-info``, a directory or file.
        requires: its ``Requires-Dist``, unparsed.
        requires_python: specifier, or empty.
        editable: directory it was installed from in editable mode, or empty.
    """

    name: str
    version: str
    directory: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    editable: str = ""

    def requirements(self) -> Iterator[Requirement]:
        """Return what it requires; what old tools wrote and nobody can parse is passed over."""
        return filter(None, map(_requirement, self.requires))


@dataclass(frozen=True, slots=True)
class Installed:
    """What a set of site directories holds.

    ``broken`` names metadata without name or version, ``duplicates`` distributions found twice in
    one directory, ``problems`` directories that could not be read.
    """

    distributions: dict[str, Distribution]
    broken: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_header(text: str) -> dict[str, list[str]]:
    """Return the fields of a METADATA header, names in lower case, values in order.

    A folded value keeps its lines; the header ends at the first truly empty line (a folded
    licence holds lines of blanks).
    """
    fields: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not line:
            break
        if line[0] in " \t":
            if current:
                current[-1] += "\n" + line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            current = None
            continue
        current = fields.setdefault(name.strip().lower(), [])
        current.append(value.strip())
    return fields


def read_sites(directories: Iterable[str]) -> Installed:
    """Read the metadata in ``directories``; the first of equal names counts, as for imports."""
    found: dict[str, Distribution] = {}
    broken: list[str] = []
    duplicates: list[str] = []
    problems: list[str] = []
    for directory in directories:
        here: set[str] = set()
        try:
            names = files.listdir(directory)
        except OSError as error:
            if files.denied(error) and not files.is_file(directory):
                problems.append(f"{directory}: {files.reason(error)}")
            continue
        for name in names:
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            if name.startswith(("~", "-")):
                broken.append(name)  # pip renames so while it replaces a distribution
                continue
            try:
                distribution = _read(os.path.join(directory, name))
            except PermissionError:
                problems.append(f"{os.path.join(directory, name)}: permission denied")
                continue
            except (OSError, ValueError):
                distribution = None
            if distribution is None:
                broken.append(name)
            elif distribution.name in here:
                duplicates.append(distribution.name)
            else:
                here.add(distribution.name)
                found.setdefault(distribution.name, distribution)
    return Installed(found, tuple(broken), files.unique(duplicates), tuple(problems))


def _read(path: str) -> Distribution | None:
    if not files.is_directory(path):
        text = files.read_text(path, METADATA_LIMIT)
    elif path.endswith(".dist-info"):
        text = files.read_text(os.path.join(path, "METADATA"), METADATA_LIMIT)
    else:
        text = files.read_text(os.path.join(path, "PKG-INFO"), METADATA_LIMIT)
    fields = read_header(text)
    name, version = fields.get("name", [""])[0], fields.get("version", [""])[0]
    if not name or not version:
        return None
    requires = tuple(fields.get("requires-dist", ()))
    if not requires and path.endswith(".egg-info"):
        requires = tuple(_egg_requires(path))
    return Distribution(
        canonicalize_name(name),
        version,
        path,
        requires,
        fields.get("requires-python", [""])[0],
        _editable(path),
    )


def _egg_requires(path: str) -> Iterator[str]:
    """Yield ``requires.txt`` of an egg-info as ``Requires-Dist`` would say it."""
    try:
        text = files.read_text(os.path.join(path, "requires.txt"))
    except (OSError, ValueError):
        return
    marker = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            extra, _, condition = line[1:-1].partition(":")
            parts = [f"({condition})"] if condition else []
            parts += [f'extra == "{extra}"'] if extra else []
            marker = " and ".join(parts)
        elif line and not line.startswith("#"):
            yield f"{line} ; {marker}" if marker else line


def _editable(path: str) -> str:
    try:
        origin = json.loads(files.read_bytes(os.path.join(path, "direct_url.json")))
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(origin, dict) or not isinstance(origin.get("dir_info"), dict):
        return ""
    url = origin.get("url")
    if origin["dir_info"].get("editable") is not True or not isinstance(url, str):
        return ""
    return os.path.normpath(url.removeprefix("file://")) if url.startswith("file:///") else ""


def wheel_tags(distribution: Distribution) -> tuple[str, ...]:
    """Return the compatibility tags of the wheel it was installed from; none when unknown."""
    try:
        text = files.read_text(os.path.join(distribution.directory, "WHEEL"))
    except (OSError, ValueError):
        return ()
    return tuple(read_header(text.lstrip()).get("tag", ()))


def recorded(distribution: Distribution) -> tuple[str, ...]:
    """Return the paths it installed, relative to its site directory; none when unknown."""
    for name in ("RECORD", "installed-files.txt"):
        try:
            text = files.read_text(os.path.join(distribution.directory, name), RECORD_LIMIT)
        except (OSError, ValueError):
            continue
        if name == "RECORD":
            try:
                return tuple(row[0] for row in csv.reader(text.splitlines()) if row)
            except csv.Error:
                return ()
        base = os.path.basename(distribution.directory)
        lines = (os.path.normpath(os.path.join(base, line)) for line in text.splitlines())
        return tuple(line for line in lines)
    return ()


def providers(distributions: Iterable[Distribution]) -> dict[str, str]:
    """Return import name → distribution for what is installed.

    A name is a top-level module, or a dotted one below a directory that several distributions
    may share (``google.cloud.storage``).
    """
    owners: dict[str, set[str]] = {}
    loadable: set[str] = set()
    for distribution in distributions:
        for module in _modules(recorded(distribution)) or _top_level_file(distribution):
            loadable.add(module)
            parts = module.split(".")
            for depth in range(1, min(len(parts), _DEPTH) + 1):
                owners.setdefault(".".join(parts[:depth]), set()).add(distribution.name)
    result: dict[str, str] = {}
    for name in sorted(owners, key=lambda n: (n.count("."), n)):
        # A directory without __init__ says nothing about who else may put something there.
        covered = any(parent in result for parent in _parents(name))
        if not covered and name in loadable and len(owners[name]) == 1:
            result[name] = min(owners[name])
    for name in sorted(owners):
        if "." not in name and name in loadable and name not in result:
            result[name] = min(owners[name])
    return result


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts)))


def _modules(paths: Iterable[str]) -> set[str]:
    modules = set()
    for path in paths:
        *directories, last = path.split("/")
        found = _EXTENSION.match(last)
        if found and "__pycache__" not in directories:
            parts = directories if found[1] == "__init__" else [*directories, found[1]]
            if parts and all(part.isidentifier() for part in parts):
                modules.add(".".join(parts))
    return modules


def _top_level_file(distribution: Distribution) -> set[str]:
    try:
        text = files.read_text(os.path.join(distribution.directory, "top_level.txt"))
    except (OSError, ValueError):
        return set()
    return {line.strip() for line in text.splitlines() if line.strip().isidentifier()}
