"""What a systemd unit would run, from its properties."""

from __future__ import annotations

import glob
import pwd
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.command import DEFAULT_PATH, Launch, parse_command
from badgateway.topology.launch.environment import read_environment_file

_BRACED: Final = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_WHOLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z", re.ASCII)
_FILES_LIMIT: Final = 64


def unit_launch(
    exec_start: Sequence[str],
    working_directory: str,
    environment: Sequence[str] = (),
    environment_files: Sequence[tuple[str, bool]] = (),
    *,
    user: str = "",
    group: str = "",
    expand: bool = True,
) -> Launch:
    """Say what a unit would run, from its properties as systemd gives them over D-Bus.

    Args:
        exec_start: the program's path and its arguments: split, unquoted and with specifiers
            resolved, but with variables not yet expanded.
        working_directory: empty for the root; a leading ``!`` or ``-`` is ignored and ``~`` is
            the user's home.
        environment: ``KEY=value`` each.
        environment_files: path (it may hold wildcards) and whether it may be missing. They
            override ``environment``, later ones earlier ones.
        user: the unit's ``User=``; empty for root.
        group: its ``Group=``; empty for the user's own.
        expand: False for a command with the ``:`` prefix, whose variables stay as they are.
    """
    variables = {"PATH": DEFAULT_PATH, **_user_variables(user)}
    variables.update(_assignments(environment))
    missing = False
    for path, ignore_missing in environment_files:
        texts = list(_environment_texts(path))
        missing = missing or (not texts and not ignore_missing)
        for text in texts:
            variables.update(read_environment_file(text))
    argv = [*exec_start[:1], *_arguments(exec_start[1:], variables, expand=expand)]
    directory = working_directory.lstrip("!-")
    if directory == "~":
        directory = variables.get("HOME", "/")
    optional = working_directory.startswith(("!", "-", "~"))
    found = replace(
        parse_command(argv, directory or "/", variables),
        user=user,
        group=group,
        needed_files=tuple(path for path, ignored in environment_files if not ignored),
        needed_directory="" if optional else directory,
    )
    return replace(found, problem="environment_file_missing") if missing else found


def _user_variables(user: str) -> dict[str, str]:
    """What systemd sets for ``User=``; nothing when the user is not known here."""
    if not user:
        return {}
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, ValueError, OverflowError):
        return {}
    home = entry.pw_dir.rstrip("/") or "/"
    return {"HOME": home, "USER": entry.pw_name, "LOGNAME": entry.pw_name}


def _assignments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def _environment_texts(path: str) -> Iterator[str]:
    paths = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
    for one in paths[:_FILES_LIMIT]:
        try:
            yield files.read_text(one, 256 << 10)
        except (OSError, ValueError):
            continue


def _arguments(
    words: Sequence[str], variables: Mapping[str, str], *, expand: bool
) -> Iterator[str]:
    """Expand as systemd does: ``${X}`` anywhere, ``$X`` only as a word of its own, and split."""
    for word in words:
        if not expand:
            yield word
        elif found := _WHOLE.match(word):
            yield from variables.get(found[1], "").split()
        else:
            yield _BRACED.sub(lambda m: variables.get(m[1], "") if m[1] else "$", word)
