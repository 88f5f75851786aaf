"""A shell's words: quotes, parameters, operators. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class ShellSyntaxError(ValueError):
    """The text is no list of simple commands."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a word: its text, whether parameters in it are expanded, and then split."""

    text: str
    expand: bool = True
    quoted: bool = False


Word = tuple[Piece, ...]


def word_set(text: str) -> frozenset[str]:
    """Return the words of ``text``, which is how the tables here are written."""
    return frozenset(text.split())


_PARAMETER: Final = re.compile(
    r"\$(?:\{([A-Za-z_]\w*)(?:(:?[-=+?])([^{}]*))?\}|([A-Za-z_]\w*))", re.ASCII
)


def tokens(text: str) -> list[Word | str]:
    """Split ``text`` into words and operators (``&& || ; & | \\n``); redirections are dropped.

    Raises:
        ShellSyntaxError: a quote is left open, or there is a subshell or here-document.
    """
    result: list[Word | str] = []
    word: list[Piece] = []
    plain = ""
    position = 0
    redirection = False

    def flush() -> None:
        nonlocal plain
        if plain:
            word.append(Piece(plain))
            plain = ""

    def end() -> None:
        nonlocal redirection
        flush()
        if word:
            if not redirection:
                result.append(tuple(word))
            redirection = False
            word.clear()

    while position < len(text):
        char = text[position]
        position += 1
        if char in "'\"":
            flush()
            piece, position = _quoted(text, position, char)
            word.append(piece)
        elif char == "\\":
            if text[position : position + 1] != "\n":
                flush()
                word.append(Piece(text[position : position + 1], expand=False))
            position += 1
        elif char == "`" or text.startswith("$(", position - 1):
            flush()
            position = _substitution(text, position - 1)
            word.append(Piece("$(…)", expand=False, quoted=True))
        elif text.startswith("${", position - 1):
            close = text.find("}", position)
            if close < 0:
                raise ShellSyntaxError("parameter left open")
            plain += text[position - 1 : close + 1]
            position = close + 1
        elif char == "#" and not word and not plain:
            while position < len(text) and text[position] != "\n":
                position += 1
        elif char in "<>" or (char == "&" and text[position : position + 1] == ">"):
            if plain.isdigit() and not word:
                plain = ""
            end()
            redirection = True
            if text[position - 1 : position + 1] == "<<":
                raise ShellSyntaxError("here-document")
            while position < len(text) and text[position] in "<>&|":
                position += 1
        elif char in "()":
            raise ShellSyntaxError("subshell")
        elif char in ";&|\n":
            end()
            twice = char in "&|;" and text[position : position + 1] == char
            result.append(char * 2 if twice else char)
            position += twice
        elif char in " \t\r":
            end()
        else:
            plain += char
    end()
    return result


def _quoted(text: str, position: int, quote: str) -> tuple[Piece, int]:
    content = ""
    while position < len(text):
        char = text[position]
        position += 1
        if char == quote:
            return Piece(content, expand=quote == '"', quoted=True), position
        if quote == '"' and char == "\\" and text[position : position + 1] in tuple('"\\`$\n'):
            following = text[position]
            # An escaped dollar is no parameter: a private mark keeps it from being one.
            content += "" if following == "\n" else "\0" if following == "$" else following
            position += 1
        elif quote == '"' and (char == "`" or text.startswith("$(", position - 1)):
            position = _substitution(text, position - 1)
            content += "(…)"
        else:
            content += char
    raise ShellSyntaxError("quote left open")


def _substitution(text: str, start: int) -> int:
    """Return the position after the command substitution that begins at ``start``."""
    if text[start] == "`":
        close = text.find("`", start + 1)
        if close < 0:
            raise ShellSyntaxError("substitution left open")
        return close + 1
    depth = 0
    for position in range(start + 1, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position + 1
    raise ShellSyntaxError("substitution left open")


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with ``$X``, ``${X}`` and ``${X:-default}`` replaced; unset is empty."""

    def value(found: re.Match[str]) -> str:
        name, operator, other, bare = found.groups()
        current = variables.get(name or bare)
        if not operator:
            return current or ""
        empty = not current if operator.startswith(":") else current is None
        if operator.endswith("+"):
            return "" if empty else substitute(other, variables)
        return substitute(other, variables) if empty else current or ""

    return _PARAMETER.sub(value, text).replace("\0", "$")


def expand(word: Word, variables: Mapping[str, str]) -> list[str]:
    """Return the words that ``word`` becomes: none, one, or several when a value is split."""
    done: list[str] = []
    current: str | None = None
    for number, piece in enumerate(word):
        if piece.quoted or not piece.expand:
            text = substitute(piece.text, variables) if piece.expand else piece.text
            current = (current or "") + text
            continue
        text = piece.text
        if not number and (text == "~" or text.startswith("~/")):
            text = variables.get("HOME", "~") + text[1:]
        for part in re.split(r"(\$\{[^}]*\}|\$[A-Za-z_]\w*)", text):
            if not part.startswith("$"):
                current = (current or "") + part if part else current
                continue
            value = substitute(part, variables)
            fields = value.split()
            if current is not None and (value[:1].isspace() or not fields) and value:
                done.append(current)
                current = None
            for index, field_ in enumerate(fields):
                if index:
                    done.append(current or "")
                    current = None
                current = (current or "") + field_
            if fields and value[-1:].isspace():
                done.append(current or "")
                current = None
    return done if current is None else [*done, current]
