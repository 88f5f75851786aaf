"""nginx' configuration (nginx 1.18 and later, nginx.org/en/docs): sites and upstreams.

Pure: the directives as ``nginx_parsing`` reads them in, with includes put in their places; routes
out. Anything that is not shaped as expected is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from badgateway.topology.nginx import listens as nginx_listens
from badgateway.topology.nginx import values as nginx_values
from badgateway.topology.nginx.directives import (
    DEPTH_LIMIT,
    VARIABLE,
    Directives,
    arguments,
    below,
    blocks,
    each,
    place,
    server_names,
)
from badgateway.topology.nginx.timeouts import Settings, settings, timeouts
from badgateway.topology.nginx.values import Value, Values
from badgateway.topology.routes import Route, is_name

PASSES: Final = {
    "proxy_pass": "http",
    "fastcgi_pass": "fastcgi",
    "uwsgi_pass": "uwsgi",
    "scgi_pass": "scgi",
    "grpc_pass": "grpc",
}
"""Directive that sends requests to an upstream → the protocol it speaks."""

_PORTS: Final = {"http": "80", "https": "443"}
"""What ``proxy_pass`` takes where no port is written; every other ``*_pass`` wants one."""
_SECURE: Final = ("https", "grpcs")
_LOCATION: Final = re.compile(r"^(?:(?!unix:)(\w+|\$\w+|\$\{\w+\})://)?(.*)$", re.S)
_PATH: Final = re.compile(
    # what begins the path: a slash, or a variable that holds nothing else
    r"[/?]|\$\{?(?:request_uri|uri|document_uri|is_args|args|query_string)\b"
)


@dataclass(frozen=True, slots=True)
class _Member:
    """One ``server`` of a group."""

    address: str
    place: str
    backup: bool = False
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """What holds at a place by its own directives and those around it: waits and name servers."""

    waits: Settings
    resolvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Passed:
    """Where a location sends its requests."""

    protocol: str
    address: str
    secure: bool
    place: str
    group: str = ""
    timeouts: tuple[tuple[str, float], ...] = ()
    backup: bool = False
    dynamic: bool = False
    resolvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Site:
    """What a server's locations may refer to.

    Attributes:
        groups: what stands in each group, by its name.
        values: what variables may hold.
        pinned: addresses written out anywhere, whose names are therefore looked up only once.
        most: how many values of variables each ``*_pass`` is followed to.
    """

    groups: Mapping[str, Directives]
    values: Values
    pinned: frozenset[str]
    most: int


def routes(directives: Directives) -> tuple[Route, ...]:
    """Return every route to an upstream, in the order of the configuration, without repetition."""
    found: dict[Route, None] = {}
    for http in blocks(directives, "http"):
        groups = {
            str(upstream["args"][0]).lower(): below(upstream)
            for upstream in each(http, "upstream")
            if upstream.get("args")
        }
        held = _held(http, _Held({}))
        tables = nginx_values.tables(http)
        targets = list(_targets(http, 0))
        pinned = frozenset(_target(*pair)[0].lower() for pair in targets if "$" not in pair[1])
        most = nginx_values.limit(sum("$" in text for _, text in targets))
        for server in blocks(http, "server"):
            listen, tls = nginx_listens.first(server)
            values = nginx_values.together(tables, nginx_values.assigned(server))
            site = _Site(groups, values, pinned, most)
            names = tuple(dict.fromkeys(server_names(server))) or ("*",)
            for passed in _passes(server, site, held, 0):
                for name in names:
                    route = Route(
                        name, listen, passed.address, tls, passed.secure, passed.group,
                        passed.protocol, passed.timeouts, passed.backup, passed.dynamic,
                        passed.resolvers, passed.place,
                    )  # fmt: skip
                    found.setdefault(route)
    return tuple(found)


def _members(upstream: Directives) -> tuple[_Member, ...]:
    """The members of a group, without those that are switched off."""
    if any(str(directive.get("directive")).startswith("balancer_by_lua") for directive in upstream):
        return ()  # a program chooses; the members written there are for show
    found = []
    for server in each(upstream, "server"):
        words = arguments(server)
        if not words or "down" in words:
            continue
        dynamic = "resolve" in words and is_name(_host(words[0]))
        address = _address(words[0], "80")
        if any(word.startswith("service=") for word in words):
            address = "{" + words[0] + "}"  # its SRV records name the ports
        found.append(_Member(address, place(server), "backup" in words, dynamic))
    return tuple(found)


def _targets(directives: Directives, depth: int) -> Iterator[tuple[str, str]]:
    """What each ``*_pass`` names, with its protocol."""
    for directive in directives if depth <= DEPTH_LIMIT else ():
        protocol, words = PASSES.get(str(directive.get("directive"))), arguments(directive)
        if protocol and words:
            yield protocol, words[0]
        yield from _targets(below(directive), depth + 1)


def _held(block: Directives, outer: _Held) -> _Held:
    named = [arguments(directive) for directive in each(block, "resolver")]
    servers = [word for words in named for word in words if "=" not in word]
    return _Held(settings(block, outer.waits), tuple(servers) or outer.resolvers)


def _passes(directives: Directives, site: _Site, outer: _Held, depth: int) -> Iterator[_Passed]:
    if depth > DEPTH_LIMIT:
        return
    held = _held(directives, outer)
    for directive in directives:
        protocol, words = PASSES.get(str(directive.get("directive"))), arguments(directive)
        if protocol and words:
            for value in nginx_values.expanded(words[0], place(directive), site.values, site.most):
                yield from _passed(protocol, directive, value, site, held)
        yield from _passes(below(directive), site, held, depth + 1)


def _passed(
    protocol: str, directive: Mapping[str, Any], value: Value, site: _Site, held: _Held
) -> Iterator[_Passed]:
    """Where one ``*_pass`` leads: an address, or each member of a group."""
    address, name, secure = _target(protocol, value.text)
    waits = timeouts(protocol, held.waits)
    if not address:
        return
    if name.lower() in site.groups:
        group = site.groups[name.lower()]
        waits = timeouts(protocol, held.waits, group)
        asked = _held(group, held).resolvers
        # one without members has them elsewhere, as in a file that is written at run time
        for member in _members(group) or (_Member("{" + name + "}", value.place),):
            yield _Passed(
                protocol, member.address, secure, member.place, name, waits, member.backup,
                member.dynamic, asked if member.dynamic else (),
            )  # fmt: skip
        return
    varies = VARIABLE.search(arguments(directive)[0]) is not None
    dynamic = varies and is_name(_host(address)) and address.lower() not in site.pinned
    asked = held.resolvers if dynamic else ()
    yield _Passed(protocol, address, secure, value.place, "", waits, False, dynamic, asked)


def _target(protocol: str, text: str) -> tuple[str, str, bool]:
    """Return an address, what it is written as, and whether TLS is spoken there.

    Both are empty where the text names none. One with variables stands in braces: it is known only
    to the proxy, and kept so that it is seen to lead somewhere.
    """
    scheme, rest = "", text
    if found := _LOCATION.match(text):
        scheme, rest = found[1] or "", found[2]
    port = _PORTS.get(scheme.lower() or "http", "") if protocol == "http" else ""
    secure = scheme.lower() in _SECURE
    if rest.startswith("unix:"):
        path = rest.removeprefix("unix:").partition(":")[0]
        return _address(f"unix:{path}", ""), "", secure
    # nginx takes no user and password, and nobody is shown them
    name = _PATH.split(rest, maxsplit=1)[0]
    name = "…@" + name.rpartition("@")[2] if "@" in name else name
    if not name:
        return "", "", secure
    is_open = "$" in name or ("$" in scheme and not _has_port(name))
    return ("{" + name + "}" if is_open else _address(name, port)), name, secure


def _address(text: str, port: str) -> str:
    """``host:port`` or ``unix:/path``, with nginx' default port where none is written."""
    if text.startswith("unix:"):
        return re.sub("^unix:/+", "unix:/", text)
    return f"{text}:{port}" if port and not _has_port(text) else text


def _has_port(text: str) -> bool:
    _, colon, given = text.rpartition(":")
    return bool(colon) and given.isdigit()


def _host(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return (host if colon and (port.isdigit() or not host) else address).strip("[]")
