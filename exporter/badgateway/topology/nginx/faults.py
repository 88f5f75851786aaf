"""Faults of nginx' configuration that show only once its files are brought together.

Each is one for which nginx refuses the whole configuration (``[emerg]``). Pure. Only what this
project reads, and what is often in a wrong place, is looked at: modules that it does not know may
have directives of any name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from badgateway.topology.nginx import listens as nginx_listens
from badgateway.topology.nginx.directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    blocks,
    each,
    place,
)
from badgateway.topology.nginx.routes import PASSES

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
_NAME: Final = re.compile(r"\w+", re.ASCII)
_NO_URI: Final = ("if", "limit_except")
_OF_HTTP: Final = ("http://", "https://")


def faults(directives: Directives) -> tuple[Fault, ...]:
    """Return what nginx would refuse, in the order of the configuration."""
    found = [*_inside(directives, ("",))]
    for http in blocks(directives, "http"):
        found += [*_with_port(http), *_defaults(http)]
        for server in blocks(http, "server"):
            found += _of_proxy_pass(server, False, 0)
    return tuple(found)


def _with_port(http: Directives) -> Iterator[Fault]:
    """Tell of groups that are passed to with a port, which only their members have."""
    groups = {arguments(group)[0].lower() for group in each(http, "upstream") if arguments(group)}
    for directive in _passes(http, 0):
        target = arguments(directive)[0].partition("://")
        name = (target[2] or target[0]).partition("/")[0]
        host, colon, port = name.rpartition(":")
        if colon and host.lower() in groups:
            yield place(directive), f"the group `{host[:80]}` has no port `{port[:20]}`"


def _defaults(http: Directives) -> Iterator[Fault]:
    """Tell of addresses for which a second server would be the default one."""
    seen: set[str] = set()
    for server in blocks(http, "server"):
        own: set[str] = set()
        for directive in each(server, "listen"):
            words = arguments(directive)
            if not words or any(word in ("udp", "quic") for word in words):
                continue
            addresses = set(nginx_listens.addresses(words[0]))
            if double := sorted(addresses & own):
                yield place(directive), f"`{double[0][:80]}` is listened at twice"
            own |= addresses
            if "default_server" in words[1:] or "default" in words[1:]:
                if taken := sorted(addresses & seen):
                    yield place(directive), f"`{taken[0][:80]}` has a default server already"
                seen |= addresses


def _of_proxy_pass(directives: Directives, without_uri: bool, depth: int) -> Iterator[Fault]:
    """Tell of a ``proxy_pass`` without a protocol, or with a path where none may be.

    Args:
        directives: what stands in a block.
        without_uri: whether no path may follow the address there.
        depth: of the block.
    """
    for directive in directives if depth <= DEPTH_LIMIT else ():
        name, words = str(directive.get("directive")), arguments(directive)
        if name == "proxy_pass" and words and "$" not in words[0]:
            scheme, slashes, rest = words[0].partition("://")
            if f"{scheme.lower()}{slashes}" not in _OF_HTTP:
                yield place(directive), "`proxy_pass` needs `http://` or `https://` in front"
            elif without_uri and _has_uri(rest):
                yield (
                    place(directive),
                    "`proxy_pass` may have no path behind the address in a location of a regular "
                    "expression or of a name, in `if` and in `limit_except`",
                )
        inner = name in _NO_URI or (name == "location" and _takes_no_uri(words))
        outer = without_uri and name != "location"
        yield from _of_proxy_pass(below(directive), inner or outer, depth + 1)


def _has_uri(rest: str) -> bool:
    if rest.startswith("unix:"):
        return rest.count(":") > 1
    return "/" in rest or "?" in rest


def _takes_no_uri(location: tuple[str, ...]) -> bool:
    return bool(location) and location[0].startswith(("~", "@"))


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
    if parent in _KNOWN and not _NAME.fullmatch(name):
        return f"`{name[:60]}` is no directive"
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
    for directive in each(directives, "location", "upstream", *PASSES):
        words = arguments(directive)
        key = _key(str(directive["directive"]), words)
        if key is None:
            continue
        if key in seen:
            told = () if key[0] in PASSES else words  # an address may hold a password
            said = " ".join((str(directive["directive"]), *told))
            yield place(directive), f"`{said[:100]}` stands twice"
        seen.add(key)


def _key(name: str, words: tuple[str, ...]) -> tuple[str, str] | None:
    """What must not stand twice; None where it may."""
    if not words:
        return None
    if name in PASSES:
        return name, ""
    if name == "upstream":
        return name, words[0].lower()
    sign, path = (words[0], words[1]) if len(words) > 1 else ("", words[0])
    if not sign:  # `=/x` in one word
        sign = next((s for s in ("^~", "~*", "~", "=") if path.startswith(s)), "")
        path = path.removeprefix(sign)
    if sign.startswith("~"):
        return None  # the first that fits is taken
    return ("=" if sign == "=" else "prefix"), path
