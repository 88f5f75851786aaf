"""Options that a server declares for argparse, and argparse's own word on a command line.

gunicorn declares them as classes (``gunicorn/config.py``, ``class Timeout(Setting)``, 20.1 to 27),
Hypercorn as calls of ``add_argument`` (``hypercorn/__main__.py``, 0.18).
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from badgateway.packages.findings import Finding
from badgateway.preflight.options import (
    NotReadableError,
    Option,
    Server,
    invalid,
    literal,
    shown,
    unknown,
)

_FEWEST: Final = 10
"""A server with fewer options than this was not understood."""


def _auto_int(text: str) -> int:
    """gunicorn's own: an octal number may be written ``022``."""
    if re.match(r"0(\d)", text):
        text = text.replace("0", "0o", 1)
    return int(text, 0)


_TYPES: Final[Mapping[str, Callable[[str], Any]]] = {
    "int": int,
    "float": float,
    "auto_int": _auto_int,
}
_VALUELESS: Final = ("store_true", "store_false", "store_const", "append_const", "count")


class _RefusedError(Exception):
    """argparse gives up."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _RefusedError(message)


def of_classes(module: ast.Module) -> tuple[Option, ...]:
    """Return the options of gunicorn's settings.

    Raises:
        NotReadableError: they are not declared as they have been so far.
    """
    found = []
    for node in module.body:
        bases = node.bases if isinstance(node, ast.ClassDef) else ()
        if not any(isinstance(base, ast.Name) and base.id == "Setting" for base in bases):
            continue
        assert isinstance(node, ast.ClassDef)
        fields = dict(_assignments(node))
        flags = literal(fields["cli"]) if "cli" in fields else None
        if flags is None and "cli" in fields and not _is_none(fields["cli"]):
            raise NotReadableError(node.name)
        if not isinstance(flags, list | tuple) or not flags:
            continue
        found.append(
            Option(
                str(literal(fields.get("name", ast.Constant(node.name.lower())))),
                tuple(map(str, flags)),
                str(literal(fields.get("action", ast.Constant(""))) or ""),
                _name(fields.get("type")),
                nargs=_nargs(fields.get("nargs")),
                const=literal(fields["const"]) if "const" in fields else None,
                validator=_name(fields.get("validator")),
            )
        )
    return _enough(found)


def of_calls(module: ast.Module) -> tuple[Option, ...]:
    """Return the options that are added by ``add_argument``; raises as ``of_classes``."""
    found = []
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "add_argument":
            continue
        flags = [str(literal(argument)) for argument in node.args]
        if not flags or not flags[0].startswith("-"):
            continue
        fields = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        choices = literal(fields["choices"]) if "choices" in fields else None
        long = next((flag for flag in flags if flag.startswith("--")), flags[0])
        found.append(
            Option(
                str(literal(fields.get("dest", ast.Constant(long.strip("-"))))).replace("-", "_"),
                tuple(flags),
                str(literal(fields.get("action", ast.Constant(""))) or ""),
                _name(fields.get("type")),
                tuple(map(str, choices)) if isinstance(choices, list | tuple) else (),
                _nargs(fields.get("nargs")),
                literal(fields["const"]) if "const" in fields else None,
            )
        )
    return _enough(found)


def parse(
    server: Server, options: Sequence[Option], arguments: Sequence[str], place: str
) -> tuple[argparse.Namespace | None, tuple[Finding, ...]]:
    """Parse a server's arguments as it would.

    Args:
        server: who would.
        options: what it declares.
        arguments: its arguments.
        place: where they stand, for people.

    Returns:
        What was understood, None when argparse gives up, and why it would refuse to start.
    """
    parser = _parser(options)
    try:
        understood, rest = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        return None, (_refused(server, options, error, place),)
    except _RefusedError as error:
        option = next((word for word in str(error).split() if word.startswith("--")), "")
        name = option.partition("=")[0] or "arguments"
        why = "it may stand for several options" if "ambiguous" in str(error) else "not understood"
        return None, (invalid(server, name, why, place),)
    known = [flag for option in options for flag in option.flags if flag.startswith("--")]
    names = [word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"]
    findings = tuple(unknown(server, name, known, place) for name in dict.fromkeys(names))
    if rest and not findings:
        findings = (invalid(server, "arguments", "there is a word too many", place),)
    return understood, findings


def _parser(options: Sequence[Option]) -> _Parser:
    parser = _Parser(prog="", add_help=False, exit_on_error=False)
    taken = {flag for option in options for flag in option.flags}
    for flags in (("-h", "--help"), ("-v", "--version")):
        if free := [flag for flag in flags if flag not in taken]:
            parser.add_argument(*free, action="store_true", dest=flags[1])
    parser.add_argument("args", nargs="*")
    for option in options:
        given: dict[str, Any] = {"dest": option.name, "default": None}
        if option.action in _VALUELESS or option.action in ("append", "version", "help"):
            given["action"] = (
                "store_true" if option.action in ("version", "help") else option.action
            )
        if option.action not in (*_VALUELESS, "version", "help"):
            if option.kind in _TYPES and not option.action:
                given["type"] = _TYPES[option.kind]
            if option.choices:
                given["choices"] = option.choices
            if option.nargs is not None:
                given["nargs"] = option.nargs
        if option.const is not None and given.get("action") in (
            None,
            "store_const",
            "append_const",
        ):
            given["const"] = option.const
        try:
            parser.add_argument(*option.flags, **given)
        except (TypeError, ValueError, argparse.ArgumentError) as error:
            raise NotReadableError(option.name) from error
    return parser


def _refused(
    server: Server, options: Sequence[Option], error: argparse.ArgumentError, place: str
) -> Finding:
    names = (error.argument_name or "").split("/")
    option = next((o for o in options if names[0] in o.flags), None)
    long = next((name for name in reversed(names) if name.startswith("--")), names[-1])
    if option is None or "expected" in error.message:
        return invalid(server, long or "arguments", "it lacks its value", place)
    if option.choices:
        why = f"it is none of {', '.join(option.choices)}"
    elif option.kind in _TYPES:
        value = re.search(r"'(.*)'\Z", error.message)
        why = f"{shown(value[1]) if value else 'it'} is no {_WORDS.get(option.kind, 'number')}"
    else:
        why = "it is not understood"
    return invalid(server, long, why, place)


_WORDS: Final = {"int": "whole number", "auto_int": "whole number", "float": "number"}


def _assignments(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value


def _name(expression: ast.expr | None) -> str:
    return expression.id if isinstance(expression, ast.Name) else ""


def _is_none(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None


def _nargs(expression: ast.expr | None) -> str | int | None:
    value = literal(expression) if expression is not None else None
    return value if isinstance(value, str | int) else None


def _enough(found: list[Option]) -> tuple[Option, ...]:
    if len(found) < _FEWEST:
        raise NotReadableError("options")
    return tuple(found)
