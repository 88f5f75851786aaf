"""The imports of one source file and when they run, from its syntax tree."""

from __future__ import annotations

import ast
import warnings
from enum import IntEnum
from typing import Final

import msgspec

from badgateway.packages.bindings import bound_names
from badgateway.packages.conditions import Truth, decide, dotted
from badgateway.packages.pathchanges import path_changes


class Level(IntEnum):
    """When an import runs, and whether its failure stops the module from loading."""

    HARD = 0
    """Whenever the module is loaded; its failure is the module's failure."""
    CONDITIONAL = 1
    """Depending on something that cannot be decided without running it."""
    GUARDED = 2
    """Whenever the module is loaded, but its failure is caught."""
    LAZY = 3
    """When a function is called."""
    TYPING = 4
    """Never: for type checkers."""


Alternative = tuple[tuple[str, tuple[str, ...]], ...]


class Import(msgspec.Struct, frozen=True, array_like=True):
    """One import statement.

    Attributes:
        level: a ``Level``.
        module: as written, leading dots included.
        names: of ``from module import names``; empty for ``import module``.
        line: 1-based.
        instead: for an import in an ``except ImportError``: the imports (module and names) whose
            failure leads there, one group for each enclosing handler.
        guarded: whether anything around it catches its failure, whenever it runs.
    """

    level: int
    module: str
    names: tuple[str, ...]
    line: int
    instead: tuple[Alternative, ...] = ()
    guarded: bool = False


class Source(msgspec.Struct, frozen=True, array_like=True):
    """What one file says about imports.

    Attributes:
        imports: in the order of the text.
        names: names that it binds at module level; filled for ``__init__`` files only.
        open_names: it may bind further names (star import, ``__getattr__``, ``globals()``).
        opaque: it changes how modules are found, so that its submodules cannot be told.
        paths: directories that it adds to ``sys.path``; relative ones to where it is started.
        unknown_paths: line at which it changes ``sys.path`` in a way that cannot be followed; 0.
        unknown_later: likewise, of a change inside a function.
        error: why it has no imports: ``syntax:LINE:MESSAGE`` or another reason; else empty.
    """

    imports: tuple[Import, ...] = ()
    names: tuple[str, ...] = ()
    open_names: bool = False
    opaque: bool = False
    paths: tuple[str, ...] = ()
    unknown_paths: int = 0
    unknown_later: int = 0
    error: str = ""


_CATCHING: Final = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
# Handlers of these never see an ImportError; one of an unknown name might.
_OTHER_ERRORS: Final = {
    name
    for name, value in vars(__import__("builtins")).items()
    if isinstance(value, type) and issubclass(value, BaseException)
} - _CATCHING
_TRANSPARENT: Final = {
    "warnings.catch_warnings", "catch_warnings", "open", "Lock", "RLock", "threading.Lock",
    "threading.RLock", "nullcontext", "contextlib.nullcontext", "redirect_stdout",
}  # fmt: skip
_IMPORTERS: Final = {"import_module", "importlib.import_module", "__import__"}
_OPAQUE: Final = (b"sys.modules[", b"sys.meta_path", b"__path__", b"sys.path_hooks")


def parse(content: bytes, path: str, minor: tuple[int, int], *, main: bool = False) -> Source:
    """Read the source file ``content`` as Python ``minor`` would.

    ``path`` stands for ``__file__``; ``main`` says that the file is the program itself. Never
    raises: a file that does not parse, or is built to exhaust a parser, has an ``error``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content, feature_version=minor)
        visitor = _Visitor(
            minor, main, calls=b"import_module" in content or b"__import__" in content
        )
        visitor.block(tree.body, Level.HARD)
        names, open_names = (
            bound_names(tree, content) if path.endswith("__init__.py") else ([], False)
        )
        paths, unknown, later = (
            path_changes(tree, path)
            if b"sys.path" in content or b"addsitedir" in content
            else ((), 0, 0)
        )
    except SyntaxError as error:
        return Source(error=f"syntax:{error.lineno or 0}:{error.msg}")
    except ValueError as error:
        return Source(error=f"syntax:0:{error}")
    except (RecursionError, MemoryError):
        return Source(error="too deeply nested")
    return Source(
        tuple(visitor.found),
        tuple(names),
        open_names,
        any(mark in content for mark in _OPAQUE),
        paths,
        unknown,
        later,
    )


class _Visitor:
    def __init__(self, minor: tuple[int, int], main: bool, *, calls: bool) -> None:
        self.minor = minor
        self.main = main
        self.calls = calls
        self.found: list[Import] = []
        self.instead: tuple[Alternative, ...] = ()
        self.guards = 0

    def block(self, statements: list[ast.stmt], level: Level) -> None:
        for statement in statements:
            self.statement(statement, level)

    def add(self, level: Level, module: str, names: tuple[str, ...], line: int) -> None:
        self.found.append(Import(int(level), module, names, line, self.instead, self.guards > 0))

    def statement(self, node: ast.stmt, level: Level) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    self.add(level, alias.name, (), node.lineno)
            case ast.ImportFrom():
                if node.module != "__future__":
                    module = "." * node.level + (node.module or "")
                    self.add(level, module, tuple(a.name for a in node.names), node.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for decorator in node.decorator_list:
                    self.expression(decorator, level)
                self.block(node.body, max(level, Level.LAZY))
            case ast.ClassDef():
                self.block(node.body, level)
            case ast.If():
                self.condition(node, level)
            case ast.Try() | ast.TryStar():
                self.attempt(node, level)
            case ast.With() | ast.AsyncWith():
                inside, guarded = self.inside(node, level)
                self.guards += guarded
                self.block(node.body, inside)
                self.guards -= guarded
            case ast.For() | ast.AsyncFor() | ast.While():
                self.block(node.body, max(level, Level.CONDITIONAL))
                self.block(node.orelse, max(level, Level.CONDITIONAL))
            case ast.Match():
                for case in node.cases:
                    self.block(case.body, max(level, Level.CONDITIONAL))
            case _:
                self.expression(node, level)

    def condition(self, node: ast.If, level: Level) -> None:
        truth = decide(node.test, self.minor, main=self.main)
        unsure = max(level, Level.CONDITIONAL)
        if truth is Truth.TYPING:
            self.block(node.body, Level.TYPING)
            self.block(node.orelse, level)
        elif truth is Truth.UNKNOWN:
            self.block(node.body, unsure)
            self.block(node.orelse, unsure)
        else:
            self.block(node.body if truth is Truth.YES else node.orelse, level)

    def attempt(self, node: ast.Try | ast.TryStar, level: Level) -> None:
        caught = None
        for handler in node.handlers:
            catches = _catches(handler)
            if catches is not False:
                caught = (handler, catches)
                break
        inside = level
        guarded = False
        if caught:
            handler, certain = caught
            guarded = not (certain and _always_raises(handler.body))
            if guarded:
                inside = max(level, Level.GUARDED if certain else Level.CONDITIONAL)
        start = len(self.found)
        self.guards += guarded
        self.block(node.body, inside)
        self.guards -= guarded
        tried = tuple(
            (item.module, item.names) for item in self.found[start:] if item.level < Level.LAZY
        )
        self.block(node.orelse, max(level, inside))
        for handler in node.handlers:
            if tried and caught and handler is caught[0]:
                # It runs only when something of the body is not there.
                outer = self.instead
                self.instead = (*outer, tried)
                self.block(handler.body, level if caught[1] else max(level, Level.CONDITIONAL))
                self.instead = outer
            else:
                self.block(handler.body, max(level, Level.CONDITIONAL))
        self.block(node.finalbody, level)

    def inside(self, node: ast.With | ast.AsyncWith, level: Level) -> tuple[Level, bool]:
        guarded = False
        for item in node.items:
            call = item.context_expr
            name = dotted(call.func) if isinstance(call, ast.Call) else dotted(call)
            if name.endswith("suppress") and isinstance(call, ast.Call):
                caught = {dotted(argument).rpartition(".")[2] for argument in call.args}
                if caught & _CATCHING:
                    level, guarded = max(level, Level.GUARDED), True
                elif not caught <= _OTHER_ERRORS:
                    level, guarded = max(level, Level.CONDITIONAL), True
            elif name not in _TRANSPARENT:
                # It may well swallow an ImportError.
                level, guarded = max(level, Level.CONDITIONAL), True
        return level, guarded

    def expression(self, node: ast.AST, level: Level) -> None:
        """Note ``import_module("x")`` where the expression is evaluated with the module."""
        if not self.calls:
            return
        stack = [node]
        while stack:
            current = stack.pop()
            if isinstance(current, ast.Lambda):
                continue
            if isinstance(current, ast.Call) and dotted(current.func) in _IMPORTERS:
                argument = current.args[0] if current.args else None
                value = argument.value if isinstance(argument, ast.Constant) else None
                if isinstance(value, str) and all(p.isidentifier() for p in value.split(".")):
                    self.add(level, value, (), current.lineno)
            stack += ast.iter_child_nodes(current)


def _catches(handler: ast.ExceptHandler) -> bool | None:
    """Return whether a handler catches ImportError; None when its type is not known."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {dotted(kind).rpartition(".")[2] for kind in kinds}
    if names & _CATCHING:
        return True
    return False if names <= _OTHER_ERRORS else None


def _always_raises(body: list[ast.stmt]) -> bool:
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            if dotted(statement.value.func) in ("sys.exit", "exit", "quit", "os._exit"):
                return True
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom):
            continue
        else:
            return False
    return False
