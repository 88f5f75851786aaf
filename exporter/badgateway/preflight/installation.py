"""Where the server that a start would run is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from badgateway.packages import files
from badgateway.packages.findings import Target
from badgateway.preflight.options import Server

_LIBRARY: Final = re.compile(r"python(3(?:\.\d+)?)t?\Z")
_VERSION: Final = re.compile(r"\d[\w.!+-]{0,40}")


def find(target: Target) -> Server | None:
    """Return the installed server; None where it is not found, or several may be it."""
    for directory in target.search:
        package = os.path.join(directory, target.server)
        if files.exists(os.path.join(package, "__init__.py")):
            return Server(target.server, package)
    found = [
        (site, os.path.join(site, target.server))
        for site in _sites(target)
        if files.exists(os.path.join(site, target.server, "__init__.py"))
    ]
    if len({os.path.basename(os.path.dirname(site)) for site, _ in found}) != 1:
        return None
    site, package = found[0]
    return Server(target.server, package, _version(site, target.server))


def minor(server: Server) -> tuple[int, int] | None:
    """Return major and minor version of the Python it is installed for; None when unknown."""
    name = os.path.basename(os.path.dirname(os.path.dirname(server.directory)))
    number = _LIBRARY.match(name)
    if number is None or "." not in number[1]:
        return None
    major, _, rest = number[1].partition(".")
    return int(major), int(rest)


def _sites(target: Target) -> Iterator[str]:
    """Directories that hold packages for its interpreter, as imports look through them."""
    if target.virtualenv:
        prefixes = [target.virtualenv]
    elif target.interpreter.startswith("/"):
        prefix = os.path.dirname(os.path.dirname(target.interpreter))
        home = [os.path.join(target.home, ".local")] if target.home else []
        prefixes = [*home, *(["/usr/local", "/usr"] if prefix == "/usr" else [prefix])]
    else:
        return
    wanted = _LIBRARY.match(os.path.basename(target.interpreter))
    named = wanted[1] if wanted and "." in wanted[1] else ""
    for prefix in prefixes:
        libraries = os.path.join(prefix, "lib")
        try:
            names = files.listdir(libraries)
        except OSError:
            continue
        for name in names:
            version = _LIBRARY.match(name)
            if version is None or (named and version[1] not in (named, "3")):
                continue
            for kind in ("site-packages", "dist-packages"):
                yield os.path.join(libraries, name, kind)


def _version(site: str, name: str) -> str:
    try:
        entries = files.listdir(site)
    except OSError:
        return ""
    for entry in entries:
        stem, dash, rest = entry.removesuffix(".dist-info").partition("-")
        if entry.endswith(".dist-info") and dash and stem.lower() == name:
            found = _VERSION.match(rest)
            return found[0] if found else ""
    return ""
