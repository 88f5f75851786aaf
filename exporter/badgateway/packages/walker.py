"""Follows everything that starting an application imports, without importing any of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from badgateway.packages.closure import Closure, Edge, Start, Unparsed
from badgateway.packages.imports import Alternative, Import, Level, Source
from badgateway.packages.parsecache import ParseCache
from badgateway.packages.resolver import Kind, Location, Resolver

FILES_LIMIT: Final = 20_000
_RESTARTS: Final = 8
_SCRIPT: Final = "__main__"

# Loaded by name inside the servers, not by an import statement; those that exist count.
_SERVER_MODULES: Final = {
    "uvicorn": (
        "uvicorn.main", "uvicorn.config", "uvicorn.server", "uvicorn.lifespan.on",
        "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto", "uvicorn.loops.auto",
    ),
    "gunicorn": (
        "gunicorn.app.wsgiapp", "gunicorn.arbiter", "gunicorn.glogging", "gunicorn.workers.sync",
    ),
}  # fmt: skip


class Walker:
    """Follows imports from a start.

    Args:
        resolver: finds modules.
        cache: parses files.
        own: whether a module of that name and location is the project's own.
        directory: where the program is started, for relative additions to the path.
        deadline: ``time.monotonic()`` at which to stop.
    """

    def __init__(
        self,
        resolver: Resolver,
        cache: ParseCache,
        own: Callable[[str, Location], bool],
        directory: str,
        deadline: float,
    ) -> None:
        self.resolver = resolver
        self.cache = cache
        self.own = own
        self.directory = directory
        self.deadline = deadline
        self.result = Closure()
        self._stack: list[tuple[str, Level, Edge, bool]] = []

    def walk(self, start: Start) -> Closure:
        """Follow everything that ``start`` loads."""
        for _ in range(_RESTARTS):
            self.result = Closure()
            if not self._once(start):
                break
        return self.result

    def _once(self, start: Start) -> bool:
        """Walk once; return whether directories turned up that call for another round."""
        new_path = False
        self._stack = list(reversed(list(self._roots(start))))
        if start.script:
            new_path |= self._expand(
                _SCRIPT, Location(Kind.MODULE, start.script), Level.HARD, True, Edge("")
            )
        count = 0
        while self._stack:
            module, level, edge, main = self._stack.pop()
            if self.result.levels.get(module, Level.TYPING) <= level:
                continue
            self.result.levels[module] = level
            location = self.resolver.find(module)
            if location is None:
                self._note_missing(module, level, edge)
                continue
            self.result.modules[module] = location
            if location.kind is Kind.EXTENSION and level is Level.HARD:
                self.result.extensions.append(location.file)
            if not location.file.endswith(".py"):
                continue
            if level is not Level.HARD and not self.own(module, location):
                continue
            count += 1
            if count > FILES_LIMIT or time.monotonic() > self.deadline:
                self.result.incomplete = f"stopped after {count} modules"
                break
            new_path |= self._expand(module, location, level, main, edge)
        return new_path

    def _roots(self, start: Start) -> Iterator[tuple[str, Level, Edge, bool]]:
        edge = Edge("")
        server = start.server if start.server in _SERVER_MODULES else ""
        if start.module:
            yield from self._prefixes(start.module, Level.HARD, edge, main=True)
            location = self.resolver.find(start.module)
            if location and location.directories:
                yield f"{start.module}.__main__", Level.HARD, edge, True
        if server:
            yield server, Level.HARD, edge, False
            for name in _SERVER_MODULES[server]:
                if self.resolver.find(name):
                    yield from self._prefixes(name, Level.HARD, edge)
        for name in start.loads:
            yield from self._prefixes(name, Level.HARD, edge)
        if start.entry:
            yield from self._prefixes(start.entry.partition(":")[0], Level.HARD, edge)

    def _prefixes(
        self, module: str, level: Level, edge: Edge, *, main: bool = False
    ) -> Iterator[tuple[str, Level, Edge, bool]]:
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            yield ".".join(parts[:depth]), level, edge, main and depth == len(parts)

    def _note_missing(self, module: str, level: Level, edge: Edge) -> None:
        parent = module.rpartition(".")[0]
        if parent and self.resolver.find(parent) is None:
            return  # its parent is what is missing
        if level is Level.HARD:
            self.result.missing.setdefault(module, edge)

    def _expand(
        self,
        module: str,
        location: Location,
        level: Level,
        main: bool,
        edge: Edge,
    ) -> bool:
        """Put the imports of a file on the stack; return whether it adds to the path."""
        source = self.cache.source(location.file, main=main)
        own = module == _SCRIPT or self.own(module, location)
        if own:
            self.result.own_files.setdefault(location.file)
        if source.error:
            self._note_error(module, location.file, source.error, level, edge, own)
            return False
        line = source.unknown_paths or (source.unknown_later if own else 0)
        if line:
            if own:
                place = f"{module}:{line}"
                self.result.uncertain = self.result.uncertain or (
                    f"{place} changes sys.path in a way that cannot be followed"
                )
            else:
                self.result.lenient.add(module.partition(".")[0])
        added = [
            self.resolver.add_path(os.path.normpath(os.path.join(self.directory, path)))
            for path in source.paths
        ]
        is_package = location.kind is Kind.PACKAGE
        following: list[tuple[str, Level, Edge, bool]] = []
        for item in source.imports:
            following += self._follow(item, module, is_package, location.file, level, own)
        self._stack += reversed(following)
        return any(added)

    def _note_error(
        self, module: str, file: str, error: str, level: Level, edge: Edge, own: bool
    ) -> None:
        kind, _, rest = error.partition(":")
        if kind == "syntax":
            line, _, message = rest.partition(":")
            if level is Level.HARD:
                self.result.unparsed[module] = Unparsed(file, int(line), message, edge)
        elif kind == "denied":
            self.result.denied[file] = rest.strip()
        elif own:
            self.result.own_unread[file] = error

    def _follow(
        self, item: Import, module: str, is_package: bool, file: str, outer: Level, own: bool
    ) -> Iterator[tuple[str, Level, Edge, bool]]:
        level = max(Level(item.level), outer)
        if item.level == Level.TYPING or (level is not Level.HARD and not own):
            return
        name = absolute(item.module, module, is_package)
        if not name or (item.instead and not self._needed(item.instead, module, is_package)):
            return
        edge = Edge(module, file, item.line)
        noted = own and not item.guarded
        if noted:
            self.result.used.setdefault(name, edge)
        yield from self._prefixes(name, level, edge)
        for imported in item.names:
            if imported != "*" and self._is_submodule(name, imported, own, module):
                if noted:
                    self.result.used.setdefault(f"{name}.{imported}", edge)
                yield f"{name}.{imported}", level, edge, False

    def _needed(self, instead: Iterable[Alternative], module: str, is_package: bool) -> bool:
        """Return whether every enclosing handler is reached: something it stands in for fails."""
        return all(
            any(self._fails(absolute(name, module, is_package), names) for name, names in group)
            for group in instead
        )

    def _fails(self, module: str, names: Iterable[str]) -> bool:
        if not module:
            return False
        if self.resolver.find(module) is None:
            return True
        return any(
            self._is_submodule(module, name, True, "")
            and self.resolver.find(f"{module}.{name}") is None
            for name in names
            if name != "*"
        )

    def _is_submodule(self, package: str, name: str, own: bool, importer: str) -> bool:
        """Return whether ``from package import name`` loads a submodule, or fails for want of it.

        What is no file and not bound in ``__init__`` either is missing. That is certain for
        namespace packages, which bind nothing, and said of the project's own packages only.
        """
        location = self.resolver.find(package)
        if location is None or not (location.directories or location.kind is Kind.NAMESPACE):
            return False
        if name.startswith("__"):
            # Every module has __name__ and its like; only a file makes it a submodule.
            return self.resolver.find(f"{package}.{name}") is not None
        if location.kind is Kind.NAMESPACE:
            return True
        source: Source | None = None
        if location.file.endswith(".py"):
            source = self.cache.source(location.file)
            # In __init__ itself it is this very import that binds the name.
            if source.error or (name in source.names and importer != package):
                return False
        found = self.resolver.find(f"{package}.{name}")
        if found is not None:
            return found.kind is not Kind.OPAQUE
        if source is None or source.open_names or source.opaque or importer == package:
            return False
        return own and self.own(package, location)


def absolute(module: str, importer: str, is_package: bool) -> str:
    """Return the absolute name of ``module`` as written in ``importer``; empty when beyond it."""
    if not module.startswith("."):
        return module
    name = module.lstrip(".")
    up = len(module) - len(name) - (1 if is_package else 0)
    base = importer.split(".")
    if importer == _SCRIPT or up >= len(base):
        return ""
    base = base[: len(base) - up]
    return ".".join([*base, name]) if name and base else ".".join(base)
