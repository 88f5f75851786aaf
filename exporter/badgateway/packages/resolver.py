"""Where the target's Python would find a module, worked out from directory listings.

Follows ``site`` (``.pth`` files, editable installations) and ``PathFinder`` (regular packages,
extension modules of the target's version, namespace packages), down to submodules: a directory
left over from an uninstall is a namespace package, and what is imported from it is missing.
"""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from badgateway.packages import files
from badgateway.packages.sitepaths import SitePaths

# Standard library modules that came or went: the minor version from which on that holds.
_ADDED: Final = {
    "zoneinfo": 9, "graphlib": 9, "tomllib": 11, "annotationlib": 14, "compression": 14,
    "_zstd": 14, "profiling": 15,
}  # fmt: skip
_REMOVED: Final = {
    "formatter": 10, "parser": 10, "symbol": 10, "macpath": 8, "dummy_threading": 9,
    "binhex": 11, "asynchat": 12, "asyncore": 12, "distutils": 12, "imp": 12, "smtpd": 12,
    "aifc": 13, "audioop": 13, "cgi": 13, "cgitb": 13, "chunk": 13, "crypt": 13, "imghdr": 13,
    "lib2to3": 13, "mailcap": 13, "msilib": 13, "nis": 13, "nntplib": 13, "ossaudiodev": 13,
    "pipes": 13, "sndhdr": 13, "spwd": 13, "sunau": 13, "telnetlib": 13, "uu": 13, "xdrlib": 13,
}  # fmt: skip
KNOWN_STANDARD: Final = frozenset(sys.stdlib_module_names) | _ADDED.keys() | _REMOVED.keys()


def standard_library(minor: int) -> frozenset[str]:
    """Return the top-level names of Python 3.``minor``'s standard library."""
    return frozenset(
        name
        for name in KNOWN_STANDARD
        if _ADDED.get(name, 0) <= minor < _REMOVED.get(name, minor + 1)
    )


class Kind(Enum):
    """What a module is."""

    PACKAGE = "package"
    MODULE = "module"
    EXTENSION = "extension"
    NAMESPACE = "namespace"
    OPAQUE = "opaque"
    """There, or not to be told: nothing more is known of it."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a module was found: its file, and the directories of its submodules."""

    kind: Kind
    file: str = ""
    directories: tuple[str, ...] = ()


OPAQUE: Final = Location(Kind.OPAQUE)


class Resolver:
    """Finds modules for one target; listings are remembered, so use one for one scan.

    Args:
        search: directories before the standard library.
        site: what comes after it.
        minor: the target's version.
        any_extension: accept extension modules of any kind (another implementation).
        hidden_submodules: asked with a package's file; True when its submodules cannot be told.
    """

    def __init__(
        self,
        search: Iterable[str],
        site: SitePaths,
        minor: tuple[int, int],
        *,
        any_extension: bool = False,
        hidden_submodules: Callable[[str], bool] = lambda file: False,
    ) -> None:
        self.search = list(search)
        self.site = site
        self.any_extension = any_extension
        self.hidden_submodules = hidden_submodules
        self.unreadable: dict[str, str] = {}
        self.listed: set[str] = set()
        self._added: list[str] = []
        self._standard = standard_library(minor[1])
        version = f"cpython-{minor[0]}{minor[1]}"
        self._tags = (f"{version}-", f"{version}t-", "abi3")
        self._listings: dict[str, dict[str, frozenset[str]]] = {}
        self._found: dict[str, Location | None] = {}

    def add_path(self, directory: str) -> bool:
        """Search ``directory`` too, last; return whether it is new."""
        known = (*self.search, *self.site.paths, *self._added)
        if directory in known:
            return False
        self._added.append(directory)
        self._found = {name: found for name, found in self._found.items() if found is not None}
        return True

    def find(self, module: str) -> Location | None:
        """Return where ``module`` (dotted, absolute) is found; None when it is missing."""
        if module in self._found:
            return self._found[module]
        parent, _, name = module.rpartition(".")
        found = self._below(self.find(parent), name) if parent else self._top_level(name)
        if found is None or found.kind is Kind.NAMESPACE:
            found = self._mapped(module) or found
        self._found[module] = found
        return found

    def _mapped(self, module: str) -> Location | None:
        """Return where an editable installation's finder says that ``module`` is."""
        if portions := self.site.namespaces.get(module):
            return Location(Kind.NAMESPACE, directories=portions)
        path = self.site.mapping.get(module)
        if path is None:
            inside = any(name.startswith(module + ".") for name in self.site.mapping)
            return Location(Kind.NAMESPACE) if inside else None
        if files.is_directory(path):
            found = self._in([os.path.dirname(path)], os.path.basename(path))
            return found or Location(Kind.NAMESPACE, directories=(path,))
        file = path if path.endswith((".py", ".so")) else path + ".py"
        return Location(Kind.MODULE, file) if files.exists(file) else None

    def _top_level(self, name: str) -> Location | None:
        before = self._in(self.search, name)
        if before and before.kind is not Kind.NAMESPACE:
            return before
        if name in self._standard:
            return OPAQUE
        after = self._in((*self.search, *self.site.paths, *self._added), name)
        if after and after.kind is not Kind.NAMESPACE:
            return after
        if name == "distutils" and self._in(self.site.paths, "_distutils_hack"):
            return OPAQUE
        return after or self._in_archives(name)

    def _below(self, parent: Location | None, name: str) -> Location | None:
        if parent is None or parent.kind is Kind.OPAQUE:
            return parent
        if not parent.directories:
            if parent.kind is Kind.NAMESPACE:
                return None
            # A module may make itself a package; an extension module may hold anything.
            hidden = parent.kind is Kind.EXTENSION or self.hidden_submodules(parent.file)
            return OPAQUE if hidden else None
        found = self._in(parent.directories, name)
        if found is None and parent.kind is Kind.PACKAGE:
            hidden = not parent.file.endswith(".py") or self.hidden_submodules(parent.file)
            return OPAQUE if hidden else None
        return found

    def _in(self, directories: Iterable[str], name: str) -> Location | None:
        portions: list[str] = []
        for directory in directories:
            kinds = self._listing(directory).get(name)
            if kinds is None:
                continue
            path = os.path.join(directory, name)
            if "" in kinds:
                inside = self._listing(path).get("__init__", frozenset())
                if "py" in inside or "pyc" in inside:
                    suffix = "py" if "py" in inside else "pyc"
                    return Location(Kind.PACKAGE, f"{path}/__init__.{suffix}", (path,))
                if extension := self._extension(inside):
                    return Location(Kind.PACKAGE, f"{path}/__init__.{extension}", (path,))
            if extension := self._extension(kinds):
                return Location(Kind.EXTENSION, f"{path}.{extension}")
            for suffix in ("py", "pyc"):
                if suffix in kinds:
                    return Location(Kind.MODULE, f"{path}.{suffix}")
            if "" in kinds and files.is_directory(path):
                portions.append(path)
        return Location(Kind.NAMESPACE, directories=tuple(portions)) if portions else None

    def _extension(self, suffixes: frozenset[str]) -> str:
        for suffix in sorted(suffixes):
            tag, _, last = suffix.rpartition(".")
            if last != "so":
                continue
            mine = not tag or tag.startswith(self._tags)
            if mine or self.any_extension:
                return suffix
        return ""

    def _listing(self, directory: str) -> dict[str, frozenset[str]]:
        """Return what a directory holds: name up to the first dot → what follows it."""
        known = self._listings.get(directory)
        if known is not None:
            return known
        names: list[str] = []
        try:
            names = files.listdir(directory)
            self.listed.add(directory)
        except OSError as error:
            if files.denied(error):
                self.unreadable[directory] = files.reason(error)
        except ValueError:
            pass
        grouped: dict[str, set[str]] = {}
        for entry in names:
            stem, _, suffix = entry.partition(".")
            grouped.setdefault(stem, set()).add(suffix)
        result = {stem: frozenset(suffixes) for stem, suffixes in grouped.items()}
        self._listings[directory] = result
        return result

    def _in_archives(self, name: str) -> Location | None:
        for path in (*self.search, *self.site.paths):
            if path.endswith((".zip", ".egg", ".whl", ".pyz")) and files.is_file(path):
                try:
                    with zipfile.ZipFile(path) as archive:
                        entries = archive.namelist()
                except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
                    self.unreadable[path] = "not a readable archive"
                    continue
                if any(e.startswith((f"{name}/", f"{name}.py")) for e in entries):
                    return OPAQUE
        return None
