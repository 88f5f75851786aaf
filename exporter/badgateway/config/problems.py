"""Problems of a configuration file: where, what, what is allowed, what was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

PROBLEMS_LIMIT = 100
"""Problems told of one file; a file with more is not what it was meant to be."""

_SHOWN = 40
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file.

    Attributes:
        line: from 1.
        column: from 1, in characters.
        path: the key's path, such as ``backends[0].name``; empty for the whole file.
    """

    line: int
    column: int
    path: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong; ``what`` never holds a secret."""

    place: Place
    what: str

    def told(self, file: str) -> str:
        """Return it as a line: ``file:line:column: key.path: what``."""
        where = f"{file}:{self.place.line}:{self.place.column}"
        return f"{where}: {self.place.path or 'the file'}: {self.what}"


class ConfigError(Exception):
    """The configuration cannot be used; one problem for each line of the text.

    Attributes:
        problems: those with a place, in the order of the file.
    """

    def __init__(self, text: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(text)
        self.problems = problems


def refuse(file: str, problems: Iterable[Problem]) -> ConfigError:
    """Return the error that tells all the problems of a file, sorted by place."""
    found = tuple(sorted(set(problems)))
    lines = [problem.told(file) for problem in found[:PROBLEMS_LIMIT]]
    if len(found) > PROBLEMS_LIMIT:
        lines.append(f"{file}: more problems follow; the first {PROBLEMS_LIMIT} are told")
    return ConfigError("\n".join(lines), found[:PROBLEMS_LIMIT])


def choices(given: str, allowed: Iterable[str]) -> str:
    """Return ``; allowed: a, b; did you mean `a`?``, the last only where one is near."""
    names = list(allowed)
    near = nearest(given, names)
    hint = f"; did you mean `{near}`?" if near else ""
    return f"; allowed: {', '.join(names)}{hint}"


def shown_key(name: str) -> str:
    """Return a key as it is shown in a path.

    Of one with other signs than keys have only the beginning is shown: in ``{password hunter2}``
    a colon is missing, and the key is all of it.
    """
    begun = _KEY.match(name)
    plain = begun[0] if begun else ""
    return plain if plain == name and name else f"{plain}…"


def nearest(given: str, allowed: Iterable[str], likeness: float = 0.6) -> str:
    """Return the allowed word that was probably meant, or an empty string."""
    near = difflib.get_close_matches(given.lower()[:64], list(allowed), 1, likeness)
    return near[0] if near else ""


def shown(value: object) -> str:
    """Return a value as it is printed in a problem: one short line."""
    text = _printable(str(value))
    return f"`{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}`"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
