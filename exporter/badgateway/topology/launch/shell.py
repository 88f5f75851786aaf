"""The commands in a shell's ``-c`` argument, read without a shell.

Enough of POSIX sh for what units hold: lists of simple commands, quotes, parameters,
redirections, ``cd``, ``exec``, ``export``, ``set -a`` and ``.``. Anything with a control
structure is refused rather than guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.words import (
    Piece,
    ShellSyntaxError,
    Word,
    expand,
    substitute,
    tokens,
    word_set,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the shell would run, and in which surroundings."""

    argv: tuple[str, ...]
    directory: str
    environment: dict[str, str] = field(repr=False)
    replaces: bool = False


_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_RESERVED: Final = word_set(
    "if then elif else fi for while until do done case esac function select { } ! [[ eval"
)
_BUILTINS: Final = word_set(
    ": [ alias echo false hash mkdir printf pwd read return shift shopt sleep test trap true "
    "type ulimit umask unalias wait"
)
_ACTIVATED: Final = re.compile(r"^\s*(?:export\s+)?VIRTUAL_ENV=([\"']?)(/[^\"'\n]+)\1\s*$", re.M)
_DEPTH: Final = 4


def commands(
    text: str, directory: str, environment: Mapping[str, str], depth: int = 0
) -> tuple[Command, ...]:
    """Return the programs that a shell given ``text`` would start, in order.

    Files named to ``.`` are read for the variables they set. What follows ``||`` or ``|`` is
    left out, and what follows an ``exec`` is never reached.

    Raises:
        ShellSyntaxError: it holds more than simple commands, or nests too deep.
    """
    return _Shell(directory, dict(environment), depth).run(text)


class _Shell:
    def __init__(self, directory: str, environment: dict[str, str], depth: int) -> None:
        if depth > _DEPTH:
            raise ShellSyntaxError("too deep")
        self.directory = directory
        self.environment = environment
        self.variables = dict(environment)
        self.depth = depth
        self.export_all = False
        self.found: list[Command] = []

    def run(self, text: str) -> tuple[Command, ...]:
        words: list[Word] = []
        skipped = False
        for token in [*tokens(text), ";"]:
            if not isinstance(token, str):
                words.append(token)
                continue
            if words and not skipped and self.simple(words):
                break
            # The right side of || and | is not what the service runs; && after it is.
            skipped = token in ("||", "|") or (skipped and not words)
            words = []
        return tuple(self.found)

    def simple(self, words: list[Word]) -> bool:
        """Take one simple command; return whether the shell ends with it."""
        own: dict[str, str] = {}
        rest = list(words)
        while rest and (found := _assignment(rest[0])):
            name, value = found
            own[name] = "".join(substitute(p.text, self.visible(own)) if p.expand else p.text
                                for p in value)  # fmt: skip
            rest.pop(0)
        if rest and rest[0][0].text in _RESERVED and not rest[0][0].quoted:
            raise ShellSyntaxError("control structure")
        argv = [text for word in rest for text in expand(word, self.visible({}))]
        if not argv:
            self.set(own, export=self.export_all)
            return False
        name, *arguments = argv
        if name == "exit":
            return True
        if name == "exec":
            while arguments and arguments[0] in ("-c", "-l", "-a"):
                arguments = arguments[2:] if arguments[0] == "-a" else arguments[1:]
            if not arguments:
                return False  # only redirections
            self.found.append(self.command(arguments, own, replaces=True))
            return True
        if not self.builtin(name, arguments, rest):
            self.found.append(self.command(argv, own))
        return False

    def builtin(self, name: str, arguments: list[str], words: list[Word]) -> bool:
        if name == "cd":
            targets = [a for a in arguments if a not in ("--", "-P", "-L")]
            target = targets[0] if targets else self.variables.get("HOME", "/")
            self.directory = os.path.normpath(os.path.join(self.directory, target))
        elif name in ("export", "declare", "typeset", "readonly", "local"):
            for argument in arguments:
                key, equals, value = argument.partition("=")
                if equals or key in self.variables:
                    value = value if equals else self.variables[key]
                    self.set({key: value}, export=name == "export" or self.export_all)
        elif name == "set":
            flags = "".join(a for a in arguments if a[:1] in "+-")
            if "allexport" in arguments or re.search(r"-\w*a", flags):
                self.export_all = "+o" not in arguments and "+a" not in arguments
            elif "+a" in flags:
                self.export_all = False
        elif name == "unset":
            for argument in arguments:
                self.variables.pop(argument, None)
                self.environment.pop(argument, None)
        elif name in (".", "source"):
            if arguments:
                self.source(os.path.join(self.directory, arguments[0]))
        else:
            return name in _BUILTINS
        return True

    def source(self, path: str) -> None:
        try:
            text = files.read_text(path, 256 << 10)
        except (OSError, ValueError):
            text = ""
        if os.path.basename(path) == "activate":
            # A copied virtualenv's activate names the one it was copied from, and that counts.
            found = _ACTIVATED.search(text)
            prefix = found[2] if found else os.path.dirname(os.path.dirname(path))
            prefix = os.path.normpath(prefix)
            old = self.variables.get("PATH", "")
            path_ = f"{prefix}/bin:{old}" if old else f"{prefix}/bin"
            self.set({"VIRTUAL_ENV": prefix, "PATH": path_}, export=True)
            return
        inner = _Shell(self.directory, self.environment, self.depth + 1)
        inner.variables = self.variables
        inner.export_all = self.export_all
        try:
            inner.run(text)
        except ShellSyntaxError:
            pass  # what it set before the part that is not understood holds

    def set(self, values: Mapping[str, str], *, export: bool) -> None:
        self.variables.update(values)
        for name, value in values.items():
            if export or name in self.environment:
                self.environment[name] = value

    def visible(self, own: Mapping[str, str]) -> dict[str, str]:
        return {**self.variables, **own}

    def command(
        self, argv: list[str], own: Mapping[str, str], *, replaces: bool = False
    ) -> Command:
        return Command(tuple(argv), self.directory, {**self.environment, **own}, replaces)


def _assignment(word: Word) -> tuple[str, tuple[Piece, ...]] | None:
    first = word[0]
    found = _ASSIGNMENT.match(first.text) if first.expand and not first.quoted else None
    if not found:
        return None
    return found[1], (Piece(first.text[found.end() :]), *word[1:])
