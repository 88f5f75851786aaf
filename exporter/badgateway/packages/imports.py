"""The imports of one source file and when they run, from its syntax tree."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
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
        visitor.block(tree.body, _Context())
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


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """Where a statement stands. Statements that run together share one object."""

    level: Level = Level.HARD
    guarded: bool = False
    instead: tuple[Alternative, ...] = ()

    def inner(self, level: Level, *, guarded: bool = False) -> _Context:
        """Return the context of a block inside this one."""
        return _Context(max(level, self.level), guarded or self.guarded, self.instead)


class _Visitor:
    def __init__(self, minor: tuple[int, int], main: bool, *, calls: bool) -> None:
        self.minor = minor
        self.main = main
        self.calls = calls
        self.found: list[Import] = []
        self.contexts: list[_Context] = []

    def block(self, statements: list[ast.stmt], context: _Context) -> None:
        for statement in statements:
            self.statement(statement, context)

    def add(self, context: _Context, module: str, names: tuple[str, ...], line: int) -> None:
        level, guarded, instead = int(context.level), context.guarded, context.instead
        self.found.append(Import(level, module, names, line, instead, guarded))
        self.contexts.append(context)

    def statement(self, node: ast.stmt, context: _Context) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    self.add(context, alias.name, (), node.lineno)
            case ast.ImportFrom():
                if node.module != "__future__":
                    module = "." * node.level + (node.module or "")
                    self.add(context, module, tuple(a.name for a in node.names), node.lineno)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for decorator in node.decorator_list:
                    self.expression(decorator, context)
                self.block(node.body, context.inner(Level.LAZY))
            case ast.ClassDef():
                self.block(node.body, context)
            case ast.If():
                self.condition(node, context)
            case ast.Try() | ast.TryStar():
                self.attempt(node, context)
            case ast.With() | ast.AsyncWith():
                self.block(node.body, _managed(node, context))
            case ast.For() | ast.AsyncFor() | ast.While():
                self.block([*node.body, *node.orelse], context.inner(Level.CONDITIONAL))
            case ast.Match():
                for case in node.cases:
                    self.block(case.body, context.inner(Level.CONDITIONAL))
            case _:
                self.expression(node, context)

    def condition(self, node: ast.If, context: _Context) -> None:
        truth = decide(node.test, self.minor, main=self.main)
        if truth is Truth.TYPING:
            self.block(node.body, context.inner(Level.TYPING))
            self.block(node.orelse, context)
        elif truth is Truth.UNKNOWN:
            self.block(node.body, context.inner(Level.CONDITIONAL))
            self.block(node.orelse, context.inner(Level.CONDITIONAL))
        else:
            self.block(node.body if truth is Truth.YES else node.orelse, context)

    def attempt(self, node: ast.Try | ast.TryStar, context: _Context) -> None:
        caught, certain = _catcher(node)
        body = context.inner(context.level)
        if caught and not (certain and _always_raises(caught.body)):
            level = Level.GUARDED if certain else Level.CONDITIONAL
            body = context.inner(level, guarded=True)
        start = len(self.found)
        self.block(node.body, body)
        # What fails in a block inside of the body may be caught there, or not run at all.
        tried = tuple(
            (item.module, item.names)
            for item, where in zip(self.found[start:], self.contexts[start:], strict=True)
            if where is body
        )
        self.block(node.orelse, context.inner(body.level))
        for handler in node.handlers:
            if handler is caught and certain and tried:
                # It runs only when something of the body is not there.
                instead = (*context.instead, tried)
                self.block(handler.body, _Context(context.level, context.guarded, instead))
            else:
                self.block(handler.body, context.inner(Level.CONDITIONAL))
        self.block(node.finalbody, context)

    def expression(self, node: ast.AST, context: _Context) -> None:
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
                    self.add(context, value, (), current.lineno)
            stack += ast.iter_child_nodes(current)


def _managed(node: ast.With | ast.AsyncWith, context: _Context) -> _Context:
    for item in node.items:
        call = item.context_expr
        name = dotted(call.func) if isinstance(call, ast.Call) else dotted(call)
        if name.endswith("suppress") and isinstance(call, ast.Call):
            caught = {dotted(argument).rpartition(".")[2] for argument in call.args}
            if caught & _CATCHING:
                context = context.inner(Level.GUARDED, guarded=True)
            elif not caught <= _OTHER_ERRORS:
                context = context.inner(Level.CONDITIONAL, guarded=True)
        elif name not in _TRANSPARENT:
            # It may well swallow an ImportError.
            context = context.inner(Level.CONDITIONAL, guarded=True)
    return context


def _catcher(node: ast.Try | ast.TryStar) -> tuple[ast.ExceptHandler | None, bool]:
    """Return the handler that an ImportError leads to, and whether that is certain."""
    for handler in node.handlers:
        catches = _catches(handler)
        if catches is not False:
            return handler, catches is True
    return None, False


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
