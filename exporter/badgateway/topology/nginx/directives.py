"""Walking nginx' directives as ``nginx_parsing`` reads them in, includes put in their places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Directives = Sequence[Mapping[str, Any]]

VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
DEPTH_LIMIT: Final = 30
"""Blocks within blocks that are looked into."""


def each(directives: Directives, *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield the directives of these names."""
    return (d for d in directives if d.get("directive") in names)


def below(directive: Mapping[str, Any]) -> Directives:
    """Return what stands in a directive's block; nothing for one without."""
    block = directive.get("block")
    return block if isinstance(block, list) else ()


def blocks(directives: Directives, name: str) -> Iterator[Directives]:
    """Yield what stands in each block of a name."""
    return (below(directive) for directive in each(directives, name))


def arguments(directive: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a directive's words after its name."""
    return tuple(map(str, directive.get("args") or ()))


def place(directive: Mapping[str, Any]) -> str:
    """Return where a directive stands, ``/etc/nginx/nginx.conf:12``; empty if that is not known."""
    file, line = directive.get("file"), directive.get("line")
    return f"{file}:{line}" if file and line else ""


def server_names(server: Directives) -> Iterator[str]:
    """Yield the names a server answers to; ``*`` for every one that no other server has."""
    for words in map(arguments, each(server, "server_name")):
        for name in words:
            if name in ("_", "", "localhost") or name.startswith("~") or "$" in name:
                yield "*"
            elif name.startswith("."):
                yield name[1:].lower()
                yield f"*{name.lower()}"
            else:
                yield name.lower()
