"""Faults of nginx' configuration that show only once its files are brought together.

Each is one for which nginx refuses the whole configuration (``[emerg]``). Pure. Only what this
project reads, and what is often in a wrong place, is looked at: modules that it does not know may
have directives of any name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from badgateway.topology.nginx import PASSES
from badgateway.topology.nginx_directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    blocks,
    each,
    place,
)

Fault = tuple[str, str]
"""``file:line``, and what is wrong there."""

_KNOWN: Final = frozenset(
    ("", "events", "http", "if", "limit_except", "location", "server", "stream", "upstream")
)
_PARENTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "http": ("",),
        "events": ("",),
        "stream": ("",),
        "server": ("http", "stream", "upstream"),
        "upstream": ("http", "stream"),
        "map": ("http", "stream"),
        "geo": ("http", "stream"),
        "split_clients": ("http", "stream"),
        "log_format": ("http", "stream"),
        "limit_req_zone": ("http",),
        "limit_conn_zone": ("http", "stream"),
        "proxy_cache_path": ("http",),
        "location": ("server", "location"),
        "server_name": ("server",),
        "listen": ("server",),
        **dict.fromkeys(PASSES, ("location", "if", "limit_except")),
    }
)
_WORDS: Final = MappingProxyType(
    {
        **dict.fromkeys(PASSES, (1, 1)),
        "upstream": (1, 1),
        "set": (2, 2),
        "return": (1, 2),
        "location": (1, 2),
        "listen": (1, 99),
        "server_name": (1, 999_999),
        "log_format": (2, 999_999),
    }
)
_FREE: Final = ("map", "geo", "split_clients", "types", "charset_map", "match")
"""Blocks whose rows are no directives."""


def faults(directives: Directives) -> tuple[Fault, ...]:
    """Return what nginx would refuse, in the order of the configuration."""
    ports = (fault for http in blocks(directives, "http") for fault in _with_port(http))
    return (*_inside(directives, ("",)), *ports)


def _with_port(http: Directives) -> Iterator[Fault]:
    """Tell of groups that are passed to with a port, which only their members have."""
    groups = {arguments(group)[0].lower() for group in each(http, "upstream") if arguments(group)}
    for directive in _passes(http, 0):
        target = arguments(directive)[0].partition("://")
        name = (target[2] or target[0]).partition("/")[0]
        host, colon, port = name.rpartition(":")
        if colon and host.lower() in groups:
            yield place(directive), f"the group `{host[:80]}` has no port `{port[:20]}`"


def _passes(directives: Directives, depth: int) -> Iterator[Mapping[str, Any]]:
    for directive in directives if depth <= DEPTH_LIMIT else ():
        if directive.get("directive") in PASSES and arguments(directive):
            yield directive
        yield from _passes(below(directive), depth + 1)


def _inside(directives: Directives, around: tuple[str, ...]) -> Iterator[Fault]:
    yield from _twice(directives)
    for directive in directives if len(around) <= DEPTH_LIMIT else ():
        name = str(directive.get("directive"))
        if fault := _fault(directive, name, around):
            yield place(directive), fault
        if name not in _FREE and "mail" not in around:
            yield from _inside(below(directive), (*around, name))


def _fault(directive: Mapping[str, Any], name: str, around: tuple[str, ...]) -> str:
    words, parent = arguments(directive), around[-1]
    if VARIABLE.fullmatch(name) and parent in _KNOWN:
        return f"`{name[:60]}` is no directive: a template that was not filled in?"
    parents = _PARENTS.get(name)
    if name == "proxy_pass" and "stream" in around:
        parents = ("server",)
    if parents is not None and parent in _KNOWN and parent not in parents:
        here = f"in `{parent}`" if parent else "outside of every block"
        return f"`{name}` is not allowed {here}"
    if name in _WORDS and parent in _KNOWN and not (name == "server" and parent == "upstream"):
        fewest, most = _WORDS[name]
        if not fewest <= len(words) <= most:
            return f"`{name}` has {len(words)} words"
    return ""


def _twice(directives: Directives) -> Iterator[Fault]:
    """Tell of what stands twice in one block."""
    seen: set[tuple[str, str]] = set()
    for directive in each(directives, "location", "upstream"):
        words = arguments(directive)
        key = _key(str(directive["directive"]), words)
        if key is None:
            continue
        if key in seen:
            yield (
                place(directive),
                f"`{directive['directive']} {' '.join(words)[:80]}` stands twice",
            )
        seen.add(key)


def _key(name: str, words: tuple[str, ...]) -> tuple[str, str] | None:
    """What must not stand twice; None where it may."""
    if not words:
        return None
    if name == "upstream":
        return name, words[0].lower()
    sign, path = (words[0], words[1]) if len(words) > 1 else ("", words[0])
    if not sign:  # `=/x` in one word
        sign = next((s for s in ("^~", "~*", "~", "=") if path.startswith(s)), "")
        path = path.removeprefix(sign)
    if sign.startswith("~"):
        return None  # the first that fits is taken
    return ("=" if sign == "=" else "prefix"), path
