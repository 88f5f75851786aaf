"""Which configuration a proxy's command line names (nginx(8), ``caddy run --help``).

Pure but for looking whether a file is there; paths mean this host's files, or a container's
(``packages.files.seen_in``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from badgateway.packages import files
from badgateway.topology.nginx.reading import DEFAULT_CONFIG

NGINX: Final = ("nginx", "nginx-debug", "openresty", "angie", "freenginx", "tengine")
"""Programs that are an nginx."""

_BUILD_CONFIG: Final = "conf/nginx.conf"
_OPTIONS: Final = ("-c", "-p", "-g", "-e")


def nginx_files(words: Sequence[str], folder: str = "") -> tuple[str, str]:
    """Return the configuration of an nginx, and the folder its relative paths begin at.

    Args:
        words: its command line, the program first. Words of ``-g`` may be several, as in the title
            that a master gives itself.
        folder: its working directory; empty where that is not known.

    Returns:
        The configuration's path; the folder is empty where the command line names none.
    """
    program, given = _path(words[0], folder) if words else "", nginx_options(words)
    prefix = _path(given["-p"], folder) if given.get("-p") else ""
    config = given.get("-c", "")
    if config:
        build = _build_folder(program)
        return os.path.join(prefix or build or os.path.dirname(DEFAULT_CONFIG), config), prefix
    own = _build_folder(program)
    tried = [own and f"{own}/{_BUILD_CONFIG}", DEFAULT_CONFIG, os.path.join(prefix, _BUILD_CONFIG)]
    wanted = [path for path in tried if path and (prefix or path != _BUILD_CONFIG)]
    return next((path for path in wanted if files.is_file(path)), DEFAULT_CONFIG), prefix


def nginx_options(words: Sequence[str]) -> dict[str, str]:
    """Return the options of an nginx' command line that have a value."""
    found: dict[str, list[str]] = {}
    last = ""
    for word in words[1:]:
        if word[:2] in _OPTIONS:  # `-cfile` is `-c file`
            last = word[:2]
            found[last] = [word[2:]] if word[2:] else []
        elif last:
            found[last].append(word)
    return {option: " ".join(given) for option, given in found.items()}


def caddy_file(words: Sequence[str], folder: str = "") -> str | None:
    """Return the configuration that a ``caddy run`` was given, or finds by itself; None for none.

    Args:
        words: its command line.
        folder: its working directory; empty where that is not known.
    """
    given = option(words, "--config", "-config", "-c")
    if given:
        return _path(given, folder)
    here = os.path.join(folder, "Caddyfile")
    return here if folder and files.is_file(here) else None


def option(words: Sequence[str], *names: str) -> str | None:
    """Return the value of the last of a command's options of these names."""
    found = None
    for word, value in zip(words, (*words[1:], ""), strict=True):
        name, equals, given = word.partition("=")
        if name in names:
            found = given if equals else value
    return found


def _build_folder(program: str) -> str:
    """The prefix of a build that keeps everything below one (``/usr/local/nginx``); else empty."""
    folder, name = os.path.split(os.path.dirname(program))
    if name == "sbin" and os.path.basename(folder) == "nginx":
        return folder
    if os.path.basename(program) == "openresty":  # a link to its nginx
        return "/usr/local/openresty/nginx"
    return ""


def _path(path: str, folder: str) -> str:
    return os.path.join(folder, path) if folder else path
