"""Sites that Caddy answers by itself with an error (``respond 503``, ``error 503``).

Pure: the JSON document in, answers out. What holds for a part of a site alone is not told, unless
the part is known by something else than its path, as while a maintenance file exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from badgateway.topology.caddy.document import as_list, mapping
from badgateway.topology.caddy.routes import first_listen, matched_hosts
from badgateway.topology.routes import LocalAnswer

_DEPTH_LIMIT: Final = 40
_OF_A_PART: Final = (
    "path",
    "path_regexp",
    "method",
    "header",
    "header_regexp",
    "query",
    "protocol",
)
"""Matchers that single out some of a site's requests, always."""

Answered = tuple[tuple[str, ...], int, bool]
"""Hosts, the status, and whether it is given only at times."""


def answers(document: Mapping[str, Any]) -> tuple[LocalAnswer, ...]:
    """Return the sites whose every request, or every one that no path is for, is refused."""
    found: dict[LocalAnswer, None] = {}
    http = mapping(mapping(document.get("apps")).get("http"))
    for server in map(mapping, mapping(http.get("servers")).values()):
        replaced = bool(as_list(mapping(server.get("errors")).get("routes")))
        listen = first_listen(server)
        for hosts, status, at_times in _answered(server.get("routes"), ("*",), replaced, False, 0):
            if 500 <= status <= 599:
                for site in hosts:
                    found.setdefault(LocalAnswer(site.lower(), listen, status, at_times))
    return tuple(found)


def _answered(
    routes: object, hosts: tuple[str, ...], replaced: bool, at_times: bool, depth: int
) -> Iterator[Answered]:
    """The statuses that a list of routes answers with by itself, up to one that always answers."""
    for route in map(mapping, as_list(routes) if depth <= _DEPTH_LIMIT else ()):
        matchers = [_narrowing(mapping(matcher)) for matcher in as_list(route.get("match"))]
        if any(name in matcher for matcher in matchers for name in _OF_A_PART):
            continue
        sometimes = at_times or any(set(matcher) - {"host"} for matcher in matchers)
        here = matched_hosts(route) or hosts
        for handler in map(mapping, as_list(route.get("handle"))):
            yield from _of_handler(handler, here, replaced, sometimes, depth)
            if _ends(handler, depth):
                if not any(matchers):
                    return
                break


def _narrowing(matcher: Mapping[str, Any]) -> dict[str, Any]:
    """A matcher without what is true of every request."""
    return {
        name: value
        for name, value in matcher.items()
        if not (name == "path" and set(map(str, as_list(value))) & {"*", "/*"})
    }


def _of_handler(
    handler: Mapping[str, Any], hosts: tuple[str, ...], replaced: bool, at_times: bool, depth: int
) -> Iterator[Answered]:
    kind = handler.get("handler")
    if kind == "subroute":
        replaced = replaced or bool(as_list(mapping(handler.get("errors")).get("routes")))
        yield from _answered(handler.get("routes"), hosts, replaced, at_times, depth + 1)
    elif kind == "static_response" or (kind == "error" and not replaced):
        status = str(handler.get("status_code") or (200 if kind == "static_response" else 500))
        if status.isascii() and status.isdigit() and len(status) == 3:
            yield hosts, int(status), at_times


def _ends(handler: Mapping[str, Any], depth: int) -> bool:
    """Whether a handler answers every request that comes to it."""
    kind = handler.get("handler")
    if kind == "subroute" and depth <= _DEPTH_LIMIT:
        return any(
            not as_list(route.get("match"))
            and any(_ends(mapping(h), depth + 1) for h in as_list(route.get("handle")))
            for route in map(mapping, as_list(handler.get("routes")))
        )
    if kind == "reverse_proxy":
        return not as_list(handler.get("handle_response"))  # else it may only ask whether one may
    return kind in ("static_response", "error", "file_server")
