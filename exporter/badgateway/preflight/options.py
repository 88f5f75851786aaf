"""What a server's sources say of its options, and what it would refuse."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from badgateway.packages import files
from badgateway.packages.findings import Finding

_SOURCE_LIMIT: Final = 1 << 20
_SHOWN: Final = re.compile(r"[-+\w.]{1,16}", re.ASCII)
_ALIKE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Option:
    """One option as the server declares it.

    Attributes:
        name: what its value is kept as.
        flags: ``-t``, ``--timeout``; for click also ``--x/--no-x``.
        action: argparse's; empty for storing a value.
        kind: the type's name: ``int``, ``float``, ``path``, ``choice`` … ; empty for text.
        choices: the values it takes, where it names them.
        nargs: argparse's, or click's number of values.
        const: value of an option given without one.
        is_flag: click's, for an option without a value.
        multiple: whether click takes it more than once.
        exact: whether a choice's case matters.
        validator: gunicorn's, by its name.
    """

    name: str
    flags: tuple[str, ...]
    action: str = ""
    kind: str = ""
    choices: tuple[str, ...] = ()
    nargs: str | int | None = None
    const: object = None
    is_flag: bool = False
    multiple: bool = False
    exact: bool = True
    validator: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """An installed server.

    Attributes:
        name: a key of ``vocabulary.SERVERS``.
        directory: its package.
        version: empty when unknown.
    """

    name: str
    directory: str
    version: str = ""

    @property
    def words(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}" if self.version else self.name


class NotReadableError(ValueError):
    """A server's sources do not say its options in a way that is understood."""


def tree(path: str) -> ast.Module:
    """Return a parsed source.

    Raises:
        NotReadableError: it cannot be read or parsed.
    """
    try:
        return ast.parse(files.read_bytes(path, _SOURCE_LIMIT))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotReadableError(path) from error


def literal(expression: ast.expr) -> object:
    """Return an expression's value where it stands there; None otherwise."""
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, RecursionError, SyntaxError):
        return None


def unknown(server: Server, option: str, known: Iterable[str], place: str) -> Finding:
    """Return the finding about an option that the server does not have."""
    close = difflib.get_close_matches(option, sorted(known), 1, _ALIKE)
    meant = f"; did you mean {close[0]}?" if close else "."
    fix = f"write {close[0]} instead of {option}" if close else f"remove {option}"
    return Finding(
        "option_unknown",
        "fatal",
        option,
        f"{server.words} has no option {option} and will not start with it (in {place}){meant}",
        f"{fix} in {place}",
        installed=server.version,
    )


def invalid(server: Server, option: str, why: str, place: str) -> Finding:
    """Return the finding about a value that the server refuses; ``why`` holds no secret."""
    return Finding(
        "option_invalid",
        "fatal",
        option,
        f"{server.words} will not start with {option} as {place} has it: {why}.",
        f"correct {option} in {place}",
        installed=server.version,
    )


def shown(value: object) -> str:
    """Return a value that is meant to be a number or one of a few words, as far as it is one."""
    text = str(value)
    return f"`{text}`" if _SHOWN.fullmatch(text) else "what stands there"
