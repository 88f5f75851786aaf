"""systemd's unit files and drop-ins, for units that cannot be asked for over D-Bus."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch.command import Launch
from badgateway.topology.launch.unit import unit_launch

_BLANK: Final = " \t\n\r"
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "s": " ", "\\": "\\", '"': '"', "'": "'", ";": ";",
}  # fmt: skip
_NUMERIC: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3})")
_FIXED_SPECIFIERS: Final = {
    "%": "%", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log",
    "E": "/etc", "T": "/tmp", "V": "/var/tmp", "h": "/root", "u": "root", "U": "0",  # noqa: S108
    "g": "root", "G": "0", "s": "/bin/sh",
}  # fmt: skip


class SpecifierError(ValueError):
    """A unit file holds a specifier whose value only systemd knows."""


@dataclass(slots=True)
class _Service:
    command: str = ""
    directory: str = ""
    user: str = ""
    group: str = ""
    dynamic: bool = False
    root: str = ""
    environment: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    environment_files: tuple[tuple[str, bool], ...] = ()


def read_unit_file(paths: Sequence[str]) -> Launch:
    """Say what a unit would run, from its file and drop-ins in the order systemd reads them.

    For units that cannot be asked for over D-Bus. ``problem`` is ``unit_unreadable`` when the
    first file cannot be read, ``specifier`` when the command depends on a specifier that only
    systemd can resolve, ``no_command`` when there is no ``ExecStart=``.
    """
    service = _Service()
    name = os.path.basename(paths[0]) if paths else ""
    try:
        for number, path in enumerate(paths):
            try:
                text = files.read_text(path)
            except (OSError, ValueError):
                if not number:
                    return Launch(problem="unit_unreadable")
                continue
            for section, key, value in _settings(text):
                if section == "Service":
                    _apply(service, key, value, name)
        return _launch(service, name)
    except SpecifierError:
        return Launch(problem="specifier")


def _launch(service: _Service, name: str) -> Launch:
    command = service.command
    prefixes = ""
    while command[:1] in tuple("@-:+!|"):
        prefixes += command[0]
        command = command[1:].lstrip()
    words: list[str] = []
    for word, quoted in _words(command):
        if word == ";" and not quoted:
            break  # the next command of a oneshot
        words.append(_specifiers(word, name))
    if not words:
        return Launch(problem="no_command")
    if "@" in prefixes:
        del words[1:2]  # what the program sees as its own name
    kept = [w for w in service.environment if w.partition("=")[0] not in service.unset]
    found = unit_launch(
        words,
        service.directory,
        kept,
        service.environment_files,
        user=service.user,
        group=service.group,
        expand=":" not in prefixes,
    )
    if service.dynamic:
        found = replace(found, user="", group="")  # made when it starts
    # With a root of its own the paths are not this host's.
    return replace(found, problem="container") if service.root else found


def _apply(service: _Service, key: str, value: str, name: str) -> None:
    if key == "ExecStart":
        service.command = value
    elif key == "Environment":
        added = tuple(_specifiers(word, name) for word, _ in _words(value))
        service.environment = (*service.environment, *added) if value else ()
    elif key == "UnsetEnvironment":
        service.unset = (*service.unset, *value.split()) if value else ()
    elif key == "EnvironmentFile":
        optional = value.startswith("-")
        path = _specifiers(value.lstrip("-"), name)
        service.environment_files = (*service.environment_files, (path, optional)) if value else ()
    elif key == "WorkingDirectory":
        service.directory = _specifiers(value, name)
    elif key == "User":
        service.user = _specifiers(value, name)
    elif key == "Group":
        service.group = _specifiers(value, name)
    elif key == "DynamicUser":
        service.dynamic = value.lower() in ("1", "yes", "true", "on", "y", "t")
    elif key in ("RootDirectory", "RootImage"):
        service.root = value


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value; a backslash at a line's end joins the next as a blank."""
    section = ""
    pending = ""
    for line in [*text.splitlines(), ""]:
        if line.lstrip()[:1] in ("#", ";"):
            continue  # also amid a continued value
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole = (pending + line).strip()
        pending = ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if equals:
            yield section, key.rstrip(), value.lstrip()


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield words, unquoted and with C escapes resolved, and whether any of it was quoted."""
    word = ""
    quote = ""
    quoted = begun = False
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and position < len(text):
            found = _NUMERIC.match(text, position)
            if found:
                digits = next(group for group in found.groups() if group)
                value = int(digits, 8 if found[4] else 16)
                word += chr(value) if 0 < value < 0x110000 else ""
                position = found.end()
            else:
                word += _ESCAPES.get(text[position], "\\" + text[position])
                position += 1
            begun = quoted = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote = char
            begun = quoted = True
        elif char in _BLANK:
            if begun:
                yield word, quoted
            word, begun, quoted = "", False, False
        else:
            word += char
            begun = True
    if begun:
        yield word, quoted


def _specifiers(text: str, name: str) -> str:
    """Replace ``%…`` by what it stands for in a system unit of this file name.

    Raises:
        SpecifierError: only systemd knows what it stands for.
    """
    stem = name.rpartition(".")[0] or name
    prefix, at, instance = stem.partition("@")
    own = {"n": name, "N": stem, "p": prefix, "P": _unescape(prefix)}
    if instance or not at:
        own |= {"i": instance, "I": _unescape(instance)}
        own |= {"j": prefix.rpartition("-")[2], "J": _unescape(prefix.rpartition("-")[2])}

    def value(found: re.Match[str]) -> str:
        known = {**_FIXED_SPECIFIERS, **own}
        if found[1] not in known:
            raise SpecifierError(found[1])
        return known[found[1]]

    return re.sub(r"%(.?)", value, text)


def _unescape(text: str) -> str:
    plain = text.replace("-", "/")
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), plain)
