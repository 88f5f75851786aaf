"""Directories that a source file adds to ``sys.path``, followed where that is plain."""

from __future__ import annotations

import ast
import os
from typing import Final

from badgateway.packages.conditions import dotted

_SAME: Final = {"str", "os.fspath", "Path", "pathlib.Path", "fspath"}
_REAL: Final = {"os.path.abspath", "os.path.realpath", "os.path.normpath", "abspath", "realpath"}
_PARENT: Final = {"os.path.dirname", "dirname"}
_JOIN: Final = {"os.path.join", "join"}
_WORKING: Final = {"os.getcwd", "getcwd", "Path.cwd", "pathlib.Path.cwd"}


def path_changes(tree: ast.Module, file: str) -> tuple[tuple[str, ...], int, int]:
    """Return directories added to ``sys.path``, and where that could not be followed.

    ``file`` stands for ``__file__``. The lines are those of the first change not followed: of
    those that run with the module, and of those in functions, which may be called then too.
    0 means that there is none.
    """
    values: dict[str, ast.expr] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            values[statement.targets[0].id] = statement.value
    added: list[str] = []
    unknown = [0, 0]
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in tree.body]
    while stack:
        node, inside = stack.pop()
        for expression in _added(node):
            path = evaluate(expression, file, values) if expression else None
            if path is not None:
                added.append(path)
            else:
                line = getattr(node, "lineno", 1)
                unknown[inside] = min(unknown[inside] or line, line)
        inside |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]
    return tuple(dict.fromkeys(added)), unknown[0], unknown[1]


def _added(node: ast.AST) -> list[ast.expr | None]:
    """Return the expressions that ``node`` adds to the path; None for one that has no name."""
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        if name == "sys.path.append" and node.args:
            return [node.args[0]]
        if name == "sys.path.insert" and len(node.args) > 1:
            return [node.args[1]]
        if name in ("site.addsitedir", "addsitedir"):
            return [None]
        if name == "sys.path.extend":
            return _elements(node.args[0] if node.args else None)
    if isinstance(node, ast.AugAssign) and dotted(node.target) == "sys.path":
        return _elements(node.value)
    if isinstance(node, ast.Assign):
        for target in node.targets:
            inner = target.value if isinstance(target, ast.Subscript) else target
            if dotted(inner) == "sys.path":
                return [None]
    return []


def _elements(node: ast.expr | None) -> list[ast.expr | None]:
    return list(node.elts) if isinstance(node, ast.List | ast.Tuple) else [None]


def evaluate(node: ast.expr, file: str, values: dict[str, ast.expr], depth: int = 0) -> str | None:
    """Return the path that ``node`` stands for, None when that is not plain.

    A relative path is relative to the working directory.
    """
    path = _evaluate(node, file, values, depth)
    return None if path is None else os.path.normpath(path or ".")


def _evaluate(node: ast.expr, file: str, values: dict[str, ast.expr], depth: int) -> str | None:
    if depth > 20:
        return None

    def inner(expression: ast.expr) -> str | None:
        return _evaluate(expression, file, values, depth + 1)

    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        if node.id == "__file__":
            return file
        return inner(values[node.id]) if node.id in values else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = inner(node.left), inner(node.right)
        return os.path.join(left, right) if left is not None and right is not None else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = inner(node.left), inner(node.right)
        return left + right if left is not None and right is not None else None
    if isinstance(node, ast.Attribute) and node.attr == "parent":
        path = inner(node.value)
        return os.path.dirname(path) if path is not None else None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        return _nth_parent(node, inner(node.value.value)) if node.value.attr == "parents" else None
    if isinstance(node, ast.Call):
        return _call(node, [inner(argument) for argument in node.args], inner)
    return None


def _nth_parent(node: ast.Subscript, path: str | None) -> str | None:
    index = node.slice.value if isinstance(node.slice, ast.Constant) else None
    if path is None or not isinstance(index, int) or not 0 <= index < 20:
        return None
    for _ in range(index + 1):
        path = os.path.dirname(path)
    return path


def _call(node: ast.Call, arguments: list[str | None], inner: object) -> str | None:
    name = dotted(node.func)
    known = [argument for argument in arguments if argument is not None]
    if len(known) != len(arguments):
        return None
    if name in _WORKING and not known:
        return "."
    if name in _JOIN and known:
        return os.path.join(*known)
    if len(known) == 1:
        if name in _SAME:
            return known[0]
        if name in _REAL:
            return os.path.normpath(known[0])
        if name in _PARENT:
            return os.path.dirname(known[0])
    if isinstance(node.func, ast.Attribute) and callable(inner):
        method = node.func.attr
        base = inner(node.func.value)
        if isinstance(base, str):
            if method in ("resolve", "absolute", "as_posix") and not known:
                return base
            if method == "joinpath":
                return os.path.join(base, *known)
    return None
