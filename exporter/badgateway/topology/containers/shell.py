"""A shell that waits for the server it has started, as a container's first process."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from badgateway.topology.launch.words import ShellSyntaxError, Word, tokens

SHELLS: Final = frozenset(("sh", "bash", "dash", "ash", "ksh", "zsh"))
_INITS: Final = frozenset(("tini", "tini-static", "dumb-init", "docker-init"))
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smh]?)\Z", re.ASCII)
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def is_shell(program: str) -> bool:
    """Return whether a program is a shell, by its name; a login shell's begins with ``-``."""
    return os.path.basename(program).lstrip("-") in SHELLS


def without_init(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command without the small init that only hands signals on."""
    words = list(argv)
    if words and os.path.basename(words[0]) in _INITS:
        words.pop(0)
        while words and words[0].startswith("-"):
            if words.pop(0) == "--":
                break
    return tuple(words)


def shell_first(argv: Sequence[str]) -> tuple[bool, float]:
    """Say what a container's command means for its first process.

    Args:
        argv: the command, such as ``sh -c "sleep 10 && gunicorn app:app"``.

    Returns:
        Whether a shell stays and waits for the server, and the seconds it sleeps before. A shell
        whose text is a single command, or ends in ``exec``, becomes that command.
    """
    text = _text(without_init(argv))
    if text is None:
        return False, 0.0
    try:
        commands = _commands(tokens(text))
    except ShellSyntaxError:
        return True, 0.0
    pauses = 0.0
    for words in commands:
        if words[0] == "sleep":
            pauses += sum(map(_seconds, words[1:]))
        elif words[0] == "exec":
            return False, pauses
    return len(commands) > 1, pauses


def _text(argv: Sequence[str]) -> str | None:
    """What a shell is given with ``-c``; None for anything else."""
    if not argv or not is_shell(argv[0]):
        return None
    for index, word in enumerate(argv[1:-1], 1):
        if not word.startswith("-"):
            return None
        if "c" in word[1:] and not word.startswith("--"):
            return argv[index + 1]
    return None


def _commands(found: Sequence[Word | str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for token in found:
        if isinstance(token, str):
            commands.append([])
        else:
            commands[-1].append("".join(piece.text for piece in token))
    return [words for words in commands if words]


def _seconds(word: str) -> float:
    found = _DURATION.match(word)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
