"""Which branch of an ``if`` at module level runs, decided without running it."""

from __future__ import annotations

import ast
from enum import Enum
from typing import Final


class Truth(Enum):
    """What is known about a condition; ``TYPING`` is true for type checkers only."""

    YES = "yes"
    NO = "no"
    TYPING = "typing"
    UNKNOWN = "unknown"


_TYPING_NAMES: Final = {"TYPE_CHECKING", "MYPY"}
_KNOWN: Final = {
    "sys.platform": "linux",
    "os.name": "posix",
    "platform.system()": "Linux",
    "platform.python_implementation()": "CPython",
    "sys.implementation.name": "cpython",
}


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name or attribute (``a.b()`` for a bare call of one), else empty."""
    parts: list[str] = []
    suffix = ""
    if isinstance(node, ast.Call) and not node.args and not node.keywords:
        node, suffix = node.func, "()"
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)]) + suffix


def decide(test: ast.expr, minor: tuple[int, int], *, main: bool = False) -> Truth:
    """Return the truth of ``test`` for CPython ``minor`` on Linux.

    ``main`` says that the module is the program itself (``__name__ == "__main__"``).
    """
    if isinstance(test, ast.Constant):
        return Truth.YES if test.value else Truth.NO
    if isinstance(test, ast.Name | ast.Attribute):
        name = dotted(test).rpartition(".")[2]
        if name in _TYPING_NAMES:
            return Truth.TYPING
        return {"PY2": Truth.NO, "PY3": Truth.YES}.get(name, Truth.UNKNOWN)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = decide(test.operand, minor, main=main)
        return {
            Truth.YES: Truth.NO,
            Truth.NO: Truth.YES,
            Truth.TYPING: Truth.YES,
            Truth.UNKNOWN: Truth.UNKNOWN,
        }[inner]
    if isinstance(test, ast.BoolOp):
        return _combine(test, [decide(value, minor, main=main) for value in test.values])
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compare(test.left, test.ops[0], test.comparators[0], minor, main)
    if isinstance(test, ast.Call) and dotted(test.func) == "sys.platform.startswith":
        argument = test.args[0] if test.args else None
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return _truth("linux".startswith(argument.value))
    return Truth.UNKNOWN


def _truth(value: bool) -> Truth:
    return Truth.YES if value else Truth.NO


def _combine(test: ast.BoolOp, values: list[Truth]) -> Truth:
    if isinstance(test.op, ast.And):
        if Truth.TYPING in values:
            return Truth.TYPING
        if Truth.NO in values:
            return Truth.NO
        return Truth.YES if set(values) == {Truth.YES} else Truth.UNKNOWN
    if Truth.YES in values:
        return Truth.YES
    if Truth.UNKNOWN in values:
        return Truth.UNKNOWN
    return Truth.TYPING if Truth.TYPING in values else Truth.NO


def _compare(
    left: ast.expr, operator: ast.cmpop, right: ast.expr, minor: tuple[int, int], main: bool
) -> Truth:
    version = _version(left, minor)
    if version is not None:
        try:
            wanted = ast.literal_eval(right)
            return _order(operator, version, wanted)
        except (ValueError, TypeError, RecursionError):
            return Truth.UNKNOWN
    name = dotted(left)
    value = right.value if isinstance(right, ast.Constant) else None
    if not isinstance(value, str):
        return Truth.UNKNOWN
    if name == "__name__" and value == "__main__":
        known = main
    elif name in _KNOWN:
        known = _KNOWN[name].lower() == value.lower()
    else:
        return Truth.UNKNOWN
    if isinstance(operator, ast.Eq):
        return _truth(known)
    return _truth(not known) if isinstance(operator, ast.NotEq) else Truth.UNKNOWN


def _version(node: ast.expr, minor: tuple[int, int]) -> tuple[int, ...] | int | None:
    """Return what ``sys.version_info`` and parts of it are; beyond the minor it is unknown."""
    if isinstance(node, ast.Attribute) and dotted(node.value).endswith("version_info"):
        return {"major": minor[0], "minor": minor[1]}.get(node.attr)
    if isinstance(node, ast.Subscript) and dotted(node.value).endswith("version_info"):
        index = node.slice
        if isinstance(index, ast.Constant):
            return minor[0] if index.value == 0 else minor[1] if index.value == 1 else None
        if isinstance(index, ast.Slice) and not index.lower and not index.step:
            upper = index.upper.value if isinstance(index.upper, ast.Constant) else None
            return minor[:upper] if isinstance(upper, int) and 0 < upper < 3 else None
        return None
    return (*minor, 99) if dotted(node).endswith("version_info") else None


def _order(operator: ast.cmpop, left: object, right: object) -> Truth:
    if isinstance(left, tuple) != isinstance(right, tuple):
        return Truth.UNKNOWN
    if isinstance(left, tuple) and isinstance(right, tuple):
        if len(left) == 3 and len(right) > 2 and right[:2] == left[:2]:
            return Truth.UNKNOWN  # the patch level decides
        less, equal = left < right, left == right
    elif isinstance(left, int) and isinstance(right, int):
        less, equal = left < right, left == right
    else:
        return Truth.UNKNOWN
    answers: dict[type[ast.cmpop], bool] = {
        ast.Lt: less,
        ast.LtE: less or equal,
        ast.Gt: not less and not equal,
        ast.GtE: not less,
        ast.Eq: equal,
        ast.NotEq: not equal,
    }
    answer = answers.get(type(operator))
    return Truth.UNKNOWN if answer is None else _truth(answer)
