"""nginx' configuration (nginx 1.18 and later, nginx.org/en/docs): sites and upstreams.

Pure: the directives as ``crossplane`` reads them in, with includes put in their places; routes
out. Anything that is not shaped as expected is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from badgateway.topology.nginx_directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    blocks,
    each,
    server_names,
)
from badgateway.topology.nginx_timeouts import Settings, settings, timeouts
from badgateway.topology.routes import Route

_PASSES: Final = {
    "proxy_pass": "http",
    "fastcgi_pass": "fastcgi",
    "uwsgi_pass": "uwsgi",
    "scgi_pass": "scgi",
    "grpc_pass": "grpc",
}
_PORTS: Final = {"http": "80", "https": "443", "grpc": "80", "grpcs": "443"}
_SECURE: Final = ("https", "grpcs")
_LOCATION: Final = re.compile(r"^(?:(\w+)://)?(.*)$", re.S)


@dataclass(frozen=True, slots=True)
class _Passed:
    """Where a location sends its requests."""

    protocol: str
    address: str
    secure: bool
    group: str = ""
    timeouts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class _Site:
    """What a server's locations may refer to: groups by name, variables that have one value."""

    groups: Mapping[str, Directives]
    assigned: Mapping[str, str]


def routes(directives: Directives) -> tuple[Route, ...]:
    """Return every route to an upstream, in the order of the configuration, without repetition."""
    found: dict[Route, None] = {}
    for http in blocks(directives, "http"):
        groups = {
            str(upstream["args"][0]): below(upstream)
            for upstream in each(http, "upstream")
            if upstream.get("args")
        }
        held = settings(http, {})
        for server in blocks(http, "server"):
            listen, tls = _listens(server)
            place = _Site(groups, _assigned(server))
            names = tuple(dict.fromkeys(server_names(server))) or ("*",)
            for passed in _passes(server, place, held, 0):
                for site in names:
                    found[
                        Route(
                            site, listen, passed.address, tls, passed.secure, passed.group,
                            passed.protocol, passed.timeouts,
                        )
                    ] = None  # fmt: skip
    return tuple(found)


def _members(upstream: Directives) -> tuple[str, ...]:
    """The addresses of a group, without those that are switched off."""
    members = [arguments(server) for server in each(upstream, "server")]
    return tuple(_address(words[0], "80") for words in members if words and "down" not in words)


def _listens(server: Directives) -> tuple[str, bool]:
    """The first address a server listens at, ``host:port``, and whether it speaks TLS there."""
    found = []
    for words in map(arguments, each(server, "listen")):
        if words and not words[0].startswith("unix:"):
            host, _, port = words[0].rpartition(":")
            if words[0].isdigit():
                host, port = "", words[0]
            elif not port.isdigit():  # an address alone, perhaps of IPv6
                host, port = words[0], "80"
            found.append((f"{'' if host in ('*', '0.0.0.0', '[::]') else host}:{port}", words))  # noqa: S104
    if not found:
        return ":80", False
    address, words = found[0]
    return address, "ssl" in words


def _assigned(directives: Directives, depth: int = 0) -> dict[str, str]:
    """Variables that are set to a fixed text, name → text; of several, none is known."""
    values: dict[str, set[str]] = {}
    if depth > DEPTH_LIMIT:
        return {}
    for directive in directives:
        words = arguments(directive)
        if directive.get("directive") == "set" and len(words) == 2:
            values.setdefault(words[0].lstrip("$"), set()).add(words[1])
        for name, value in _assigned(below(directive), depth + 1).items():
            values.setdefault(name, set()).add(value)
    return {
        name: next(iter(texts))
        for name, texts in values.items()
        if len(texts) == 1 and "$" not in next(iter(texts))
    }


def _passes(directives: Directives, place: _Site, outer: Settings, depth: int) -> Iterator[_Passed]:
    if depth > DEPTH_LIMIT:
        return
    held = settings(directives, outer)
    for directive in directives:
        protocol, words = _PASSES.get(str(directive.get("directive"))), arguments(directive)
        if protocol and words:
            yield from _passed(protocol, words[0], place, held)
        yield from _passes(below(directive), place, held, depth + 1)


def _passed(protocol: str, target: str, place: _Site, held: Settings) -> Iterator[_Passed]:
    """Where one ``*_pass`` leads: an address, or each member of a group."""
    text = VARIABLE.sub(lambda name: place.assigned.get(name[1] or name[2], name[0]), target)
    scheme, rest = "", text
    if found := _LOCATION.match(text):
        scheme, rest = found[1] or "", found[2]
    port = _PORTS.get(scheme, "80" if protocol in ("http", "grpc") else "")
    secure = scheme in _SECURE
    waits = timeouts(protocol, held)
    if rest.startswith("unix:"):
        path = rest.removeprefix("unix:").partition(":")[0]
        yield _Passed(protocol, f"unix:{path}", secure, "", waits)
        return
    name = rest.partition("/")[0]
    if not name:
        return
    if "$" in name:
        # known only to the proxy; kept, so that it is seen to lead somewhere
        yield _Passed(protocol, "{" + name + "}", secure, "", waits)
        return
    if name in place.groups:
        group = place.groups[name]
        waits = timeouts(protocol, held, group)
        # one without members has them elsewhere, as in a file that is written at run time
        for address in _members(group) or ("{" + name + "}",):
            yield _Passed(protocol, address, secure, name, waits)
        return
    yield _Passed(protocol, _address(name, port), secure, "", waits)


def _address(text: str, port: str) -> str:
    """``host:port`` or ``unix:/path``, with nginx' default port where none is written."""
    if text.startswith("unix:"):
        return text
    host, colon, given = text.rpartition(":")
    if colon and given.isdigit() and not text.endswith("]"):
        return f"{host}:{given}"
    return f"{text}:{port}" if port else text
