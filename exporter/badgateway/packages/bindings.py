"""The names that a package binds itself."""

from __future__ import annotations

import ast
from typing import Final

_OPEN: Final = (
    b"globals(",
    b"locals(",
    b"vars(",
    b"exec(",
    b"setattr(",
    b"sys.modules",
    b"__dict__",
)


def bound_names(tree: ast.Module, content: bytes) -> tuple[list[str], bool]:
    """Return the names bound at module level, and whether there may be more.

    It errs towards more: a name bound in a comprehension counts.
    """
    names: set[str] = set()
    uncertain = any(mark in content for mark in _OPEN)
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
                names |= {n for g in ast.walk(node) if isinstance(g, ast.Global) for n in g.names}
                continue
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    if alias.name == "*":
                        uncertain = True
                    names.add(alias.asname or alias.name.partition(".")[0])
                continue
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.add(name)
            case ast.MatchStar(name=str(name)):
                names.add(name)
        stack += ast.iter_child_nodes(node)
    return sorted(names), uncertain or "__getattr__" in names
