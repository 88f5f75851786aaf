"""What servers' command lines have in common: options, addresses, the name of an application."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Timeouts: TypeAlias = tuple[tuple[str, float], ...]

_NO_SHORT: Final[Mapping[str, str]] = {}
ENTRY: Final = re.compile(r"[^\W\d]\w*(?:\.\w+)*(?::[^\W\d][\w.]*(?:\(.*\))?)?\Z")
_DECIMAL: Final = re.compile(r"\d{1,9}(?:\.\d{0,9})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Served:
    """What a server would serve; paths are absolute.

    Attributes:
        entry: ``pkg.mod:attr``; empty when not named.
        listen: ``127.0.0.1:8001``, ``[::1]:8001`` or ``unix:/run/x.sock``.
        workers: as asked for; None when nothing says a number.
        search: import paths the server adds, first first.
        max_requests: after which a worker is replaced; None when never.
        preload: whether workers are forked with the application already loaded.
        loads: modules the options make the server load by name.
        worker_class: gunicorn's, as it comes out; empty for others.
        timeouts: (setting of ``vocabulary.TIMEOUT_SETTINGS``, seconds), defaults among them; 0
            means no limit.
    """

    entry: str = ""
    listen: tuple[str, ...] = ()
    workers: int | None = None
    search: tuple[str, ...] = ()
    max_requests: int | None = None
    preload: bool = False
    loads: tuple[str, ...] = ()
    worker_class: str = ""
    timeouts: Timeouts = ()


def options(
    arguments: Sequence[str], flags: frozenset[str], short: Mapping[str, str] = _NO_SHORT
) -> tuple[dict[str, list[str]], list[str]]:
    """Split into options (long name with underscores → values) and positional words.

    ``flags`` take no value; ``short`` maps letters such as ``-b`` to long names.
    """
    found: dict[str, list[str]] = {}
    positional: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            positional += rest
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        if word.startswith("--"):
            name, equals, value = word.partition("=")
        else:
            name, value = word[:2], word[2:]
            equals, value = ("=", value.removeprefix("=")) if value else ("", "")
        if not equals and name not in flags and rest:
            value = rest.pop(0)
        long = short.get(name, name.lstrip("-")).replace("-", "_")
        found.setdefault(long, []).append(value)
    return found, positional


def address(host: str, port: str) -> str:
    """Return ``host:port``, an IPv6 address in brackets; empty for a port that is no number.

    A host ``0`` is every address, as inet_aton(3) reads it.
    """
    if not port.isdigit():
        return ""
    host = "0.0.0.0" if host == "0" else host.strip("[]")  # noqa: S104 - read, never bound
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unix(path: str, directory: str) -> str:
    """Return a socket's path as an address."""
    return "unix:" + absolute(path, directory)


def absolute(path: str, directory: str) -> str:
    """Return a path as seen from a directory."""
    return os.path.normpath(os.path.join(directory, path))


def number(text: str) -> int | None:
    """Return a plain whole number; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def seconds(text: str) -> float | None:
    """Return a time in seconds as options give it; None for anything that is none."""
    return float(text) if _DECIMAL.match(text) else None


def timeouts(**settings: float | None) -> Timeouts:
    """Return the settings that are known, as ``Served`` holds them."""
    return tuple((name, value) for name, value in settings.items() if value is not None)


def entry_of(text: str, attribute: str) -> str:
    """Return ``pkg.mod:attr`` as a server would understand ``text``; empty when it would not."""
    if not ENTRY.match(text):
        return ""
    module, colon, name = text.partition(":")
    name = name.partition("(")[0] if colon else attribute
    return f"{module}:{name}" if name else module
