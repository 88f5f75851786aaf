"""Options that a server declares for click, and click's own word on a command line.

uvicorn (``uvicorn/main.py``, 0.17 to 0.54) and Granian (``granian/cli.py``, 2.8) write them as
decorators: ``@click.option("--port", type=int)``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

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
_NUMBERS: Final = {"int": "whole number", "float": "number"}
_ONCE_MORE: Final = 20
"""Refusals that are looked for one after another: click stops at the first."""


def of_decorators(module: ast.Module, *others: ast.Module) -> tuple[Option, ...]:
    """Return the options of the command in ``module``; ``others`` define names that it uses.

    Raises:
        NotReadableError: they are not declared as they have been so far.
    """
    names = dict(pair for source in (*others, module) for pair in _assigned(source))
    found: list[Option] = []
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
            declared = [_option(call, names) for call in calls if _last(call.func) == "option"]
            found = max(found, declared, key=len)
    if len(found) < _FEWEST:
        raise NotReadableError("options")
    return tuple(found)


def _assigned(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """What each name at a module's top level stands for."""
    for statement in module.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if isinstance(targets[0], ast.Name):
            yield targets[0].id, statement.value


def parse(
    server: Server, options: Sequence[Option], arguments: Sequence[str], place: str
) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
    """Parse a server's arguments as it would.

    Returns:
        Option → value of what was understood, and why it would refuse to start.
    """
    command = click.Command(
        server.name,
        params=[
            click.Argument(["app"], required=False),
            *(_parameter(option) for option in options),
            click.Option(["--help", "_help"], is_flag=True),
        ],
        add_help_option=False,
    )
    known = [name for option in options for flag in option.flags for name in flag.split("/")]
    findings: list[Finding] = []
    rest = list(arguments)
    for _ in range(_ONCE_MORE):
        try:
            context = command.make_context(server.name, list(rest))
        except click.NoSuchOption as error:
            findings.append(unknown(server, error.option_name, known, place))
            kept = [w for w in rest if w.partition("=")[0] != error.option_name]
            if len(kept) == len(rest):
                return {}, tuple(findings)  # letters in one word: not taken apart further
            rest = kept
        except click.UsageError as error:
            # a value of an unknown option stands alone now, and is no fault of its own
            return {}, tuple(findings) or (_refused(server, options, error, place),)
        else:
            return context.params, tuple(findings)
    return {}, tuple(findings)


def _refused(
    server: Server, options: Sequence[Option], error: click.UsageError, place: str
) -> Finding:
    if isinstance(error, click.BadOptionUsage):
        why = "it lacks its value" if "requires" in error.message else "it takes no value"
        return invalid(server, error.option_name, why, place)
    if not isinstance(error, click.BadParameter) or error.param is None:
        return invalid(server, "arguments", "there is a word too many", place)
    option = next((o for o in options if o.name == error.param.name), None)
    flag = max(error.param.opts, key=len)
    if option is None:
        return invalid(server, flag, "it is not understood", place)
    if option.choices:
        return invalid(server, flag, f"it is none of {', '.join(option.choices)}", place)
    start, quote, rest = error.message.partition("'")
    value = rest.rpartition("'")[0] if quote and not start else ""
    why = f"{shown(value) if value else 'it'} is no {_NUMBERS.get(option.kind, 'fitting value')}"
    return invalid(server, flag, why, place)


def _parameter(option: Option) -> click.Option:
    given: dict[str, Any] = {"default": None}
    if option.is_flag:
        given = {"is_flag": True}
    elif option.choices:
        given["type"] = click.Choice(option.choices, case_sensitive=option.exact)
    elif option.kind in _NUMBERS:
        given["type"] = {"int": int, "float": float}[option.kind]
    if option.multiple:
        given["multiple"] = True
    if isinstance(option.nargs, int):
        given["nargs"] = option.nargs
    try:
        return click.Option([*option.flags, option.name], **given)
    except (TypeError, ValueError) as error:
        raise NotReadableError(option.name) from error


def _option(call: ast.Call, names: Mapping[str, ast.expr]) -> Option:
    words = [literal(argument) for argument in call.args]
    if not words or not all(isinstance(word, str) for word in words):
        raise NotReadableError("an option's name")
    flags = tuple(str(word) for word in words if str(word).startswith("-"))
    own = [str(word) for word in words if not str(word).startswith("-")]
    fields = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    long = max((flag.partition("/")[0] for flag in flags), key=len, default="")
    name = own[0] if own else long.lstrip("-").replace("-", "_").lower()
    nargs = literal(fields["nargs"]) if "nargs" in fields else None
    pair = any("/" in flag for flag in flags)
    expression = fields["type"] if "type" in fields and not pair else ast.Name("str")
    kind, choices, exact = _type(expression, names)
    return Option(
        name,
        flags,
        kind=kind,
        choices=choices,
        nargs=nargs if isinstance(nargs, int) else None,
        is_flag=pair or literal(fields.get("is_flag", ast.Constant(False))) is True,
        multiple=literal(fields.get("multiple", ast.Constant(False))) is True,
        exact=exact,
    )


def _type(expression: ast.expr, names: Mapping[str, ast.expr]) -> tuple[str, tuple[str, ...], bool]:
    """The type's kind, its choices and whether their case matters; no kind if it is not known."""
    if isinstance(expression, ast.Name) and expression.id in names:
        expression = names[expression.id]
    if isinstance(expression, ast.Name):
        return (expression.id if expression.id in _NUMBERS else ""), (), True
    if not isinstance(expression, ast.Call):
        return "", (), True
    kind = _last(expression.func)
    keywords = {keyword.arg: keyword.value for keyword in expression.keywords}
    if kind == "Path" and literal(keywords.get("exists", ast.Constant(False))) is True:
        return "path", (), True
    if kind == "Choice" and expression.args:
        exact = literal(keywords.get("case_sensitive", ast.Constant(True))) is not False
        return "choice", tuple(_words(expression.args[0], names)), exact
    return ("int" if kind == "IntRange" else ""), (), True


def _words(expression: ast.expr, names: Mapping[str, ast.expr]) -> Iterable[str]:
    """The words of a list, or of a dictionary's keys, as far as they stand in the source."""
    if isinstance(expression, ast.Name):
        return _words(names[expression.id], {}) if expression.id in names else ()
    if isinstance(expression, ast.Dict):
        keys = [literal(key) for key in expression.keys if key is not None]
        return [str(key) for key in keys] if all(isinstance(k, str) for k in keys) else ()
    if isinstance(expression, ast.Call):
        inner = expression.args[0] if expression.args else expression.func
        if isinstance(inner, ast.Attribute) and inner.attr == "keys":
            inner = inner.value
        elif inner is expression.func:
            return ()
        return _words(inner, names)
    if isinstance(expression, ast.ListComp):
        return _words(expression.generators[0].iter, names)
    value = literal(expression)
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return [str(word) for word in value]
    return ()


def _last(expression: ast.expr) -> str:
    """``option`` of ``click.option`` and of ``option``."""
    if isinstance(expression, ast.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ast.Name) else ""
