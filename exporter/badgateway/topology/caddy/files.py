"""The files of a Caddyfile: itself and what it imports (caddyserver.com/docs/caddyfile/concepts).

What it means is for Caddy's own adapter to say. Everything here may block.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway import regularfile
from badgateway.topology.nginx.includes import Stamp, stamp

_FILE_BYTES: Final = 4 * 1024 * 1024
_FILES: Final = 1000
_IMPORT: Final = re.compile(r"^\s*import\s+(\"[^\"]*\"|`[^`]*`|\S+)")
_SNIPPET: Final = re.compile(r"^\s*\(([^()\s]+)\)\s*\{", re.M)
_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_VARIABLE: Final = re.compile(r"\{\$([A-Za-z_]\w*)(:[^}]*)?\}")
_NANO: Final = 1e9


@dataclass(frozen=True, slots=True)
class CaddyFiles:
    """What a configuration is read from.

    Attributes:
        stamps: the files, and the folders whose files are imported, as they are.
        unset: (name, ``file:line``) of the environment variables that it needs, without a default.
        optional: names of those that it has a default for.
    """

    stamps: tuple[Stamp, ...] = ()
    unset: tuple[tuple[str, str], ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def changed(self) -> float:
        """When one of them was last changed, seconds since the epoch; 0 if that cannot be seen."""
        times = (max(state[3], state[4]) for _, state in self.stamps if state)
        return max(times, default=0) / _NANO


def look(path: str) -> CaddyFiles:
    """Return the files of a configuration; of one in JSON only itself."""
    stamps: dict[str, Stamp] = {}
    unset: dict[str, str] = {}
    optional: dict[str, None] = {}
    waiting = [path]
    while waiting and len(stamps) < _FILES:
        file = waiting.pop(0)
        if file in stamps:
            continue
        stamps[file] = stamp(file)
        try:
            content, _ = regularfile.read(Path(file), _FILE_BYTES)
        except (OSError, ValueError):
            continue  # who reads it for what it means says why
        if file.endswith(".json"):
            continue
        text = content.decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            bare = _COMMENT.sub("", line)
            for name, default in _VARIABLE.findall(bare):
                if default:
                    optional.setdefault(name)
                else:
                    unset.setdefault(name, f"{file}:{number}")
            for name in _imported(bare, text):
                pattern = str(Path(file).parent / name)
                if glob.has_magic(pattern):
                    folder = str(Path(pattern).parent)
                    stamps.setdefault(folder, stamp(folder))
                waiting += sorted(glob.glob(pattern))
    return CaddyFiles(tuple(stamps.values()), tuple(unset.items()), tuple(optional))


def _imported(line: str, text: str) -> Iterator[str]:
    found = _IMPORT.match(line)
    name = found[1].strip('"`') if found else ""
    if name and "{" not in name and name not in _SNIPPET.findall(text):
        yield name
