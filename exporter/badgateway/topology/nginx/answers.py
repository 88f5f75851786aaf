"""Sites that nginx answers by itself with an error (``return 503``).

Pure: directives in, answers out. What holds for a part of a site alone is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from badgateway.topology.nginx.directives import (
    DEPTH_LIMIT,
    Directives,
    arguments,
    below,
    blocks,
    each,
    place,
    server_names,
)
from badgateway.topology.nginx.listens import first
from badgateway.topology.nginx.routes import PASSES
from badgateway.topology.routes import LocalAnswer

_LEAVES: Final = ("break", "return", "rewrite")
"""Directives that may end the ones after them (ngx_http_rewrite_module)."""


def answers(directives: Directives) -> tuple[LocalAnswer, ...]:
    """Return the sites whose every request, or every one below ``/``, is refused by nginx."""
    found: dict[LocalAnswer, None] = {}
    for http in blocks(directives, "http"):
        for server in blocks(http, "server"):
            whole = [location for location in each(server, "location") if _is_root(location)]
            for inside in (server, *map(below, whole)):
                always = False
                for status, where, conditional in _returned(inside):
                    always = always or not conditional
                    if not 500 <= status <= 599 or _is_replaced(status, inside, server, http):
                        continue
                    listen, _ = first(server)
                    for site in dict.fromkeys(server_names(server)) or ("*",):
                        found.setdefault(LocalAnswer(site, listen, status, conditional, where))
                if always:
                    break  # a server's own `return` comes before every location
    return tuple(found)


def _is_root(location: Mapping[str, Any]) -> bool:
    return arguments(location) in (("/",), ("^~", "/"), ("^~/",))


def _returned(directives: Directives, depth: int = 0) -> Iterator[tuple[int, str, bool]]:
    """Yield the statuses that a block answers with, where, and whether only at times."""
    if depth > DEPTH_LIMIT:
        return
    conditional = False
    for directive in directives:
        name = directive.get("directive")
        if name == "return":
            words = arguments(directive)
            if words and _is_status(words[0]):
                yield int(words[0]), place(directive), conditional
            return
        if name == "if":
            inner = below(directive)
            yield from ((status, where, True) for status, where, _ in _returned(inner, depth + 1))
            conditional = conditional or _leaves(inner)
        elif name == "rewrite":
            conditional = True
        elif name == "break":
            return


def _leaves(block: Directives) -> bool:
    return any(directive.get("directive") in _LEAVES for directive in block)


def _is_status(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


def _is_replaced(status: int, inside: Directives, server: Directives, http: Directives) -> bool:
    """Whether ``error_page`` gives the client something else than this status."""
    for block in (inside, server, http):
        pages = [arguments(directive) for directive in each(block, "error_page")]
        for words in pages:
            if str(status) not in words[:-1]:
                continue
            if any(word.startswith("=") and word != f"={status}" for word in words):
                return True
            target = words[-1]
            return any(
                _passes(below(location), 0)
                for location in each(server, "location")
                if target in arguments(location)
            )
        if pages:
            return False  # it takes the place of all outside
    return False


def _passes(directives: Directives, depth: int) -> bool:
    return depth <= DEPTH_LIMIT and any(
        directive.get("directive") in PASSES or _passes(below(directive), depth + 1)
        for directive in directives
    )
