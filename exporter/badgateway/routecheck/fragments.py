"""Pieces of nginx' configuration that stand alone in a checkout, and what nginx would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from crossplane.analyzer import analyze, enter_block_ctx
from crossplane.errors import NgxParserDirectiveError

from badgateway.topology.nginx.directives import DEPTH_LIMIT, arguments, below, each, place

Many = Sequence[Mapping[str, Any]]

_WHOLE: Final = ("http", "events", "stream", "mail")
_OF_HTTP: Final = ("server", "upstream", "map", "limit_req_zone", "log_format", "split_clients")
_OF_SERVER: Final = ("location", "server_name", "listen")
_SHARED: Final = {"upstream": 0, "map": -1, "geo": -1, "split_clients": -1}
"""What the sites of a configuration share → the word that names it."""


def is_whole(directives: Many) -> bool:
    """Tell whether a file is no piece of a configuration."""
    return any(each(directives, *_WHOLE))


def shared(main: Many, piece: Many) -> list[Mapping[str, Any]]:
    """Return the groups and tables of a configuration that one of its pieces does not have.

    Args:
        main: all of the configuration.
        piece: the piece.
    """
    known = {_named(directive) for directive in each(piece, *_SHARED)}
    return [
        directive
        for http in each(main, "http")
        for directive in each(below(http), *_SHARED)
        if _named(directive) not in known
    ]


def _named(directive: Mapping[str, Any]) -> tuple[str, str]:
    name, words = str(directive["directive"]), arguments(directive)
    return name, words[_SHARED[name]].lower() if words else ""


def whole(directives: Many) -> tuple[Many, tuple[str, ...]]:
    """Return directives as if they stood where they belong, and the blocks that this is within.

    A file of ``sites-available`` has no ``http`` around its servers, and a snippet no server.
    Groups that nothing of such a file uses are judged as if something did.
    """
    if not directives or is_whole(directives):
        return directives, ()
    if not any(each(directives, *_OF_HTTP)):
        inside: Many = directives
        if not any(each(directives, *_OF_SERVER)):
            inside = [_block(directives[0], "location", ["/"], directives)]
        server = _block(directives[0], "server", [], inside)
        return [_block(directives[0], "http", [], [server])], ("http", "server")
    servers: list[Mapping[str, Any]] = []
    if not any(each(directives, "server")):
        servers = [_using(upstream) for upstream in each(directives, "upstream")]
    return [_block(directives[0], "http", [], [*directives, *servers])], ("http",)


def refused(directives: Many, context: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield (``file:line``, what) of the directives that nginx refuses for sure.

    Only what stands where nginx does not take it, or with other words than it takes: a directive
    that is not known may be one of a module.

    Args:
        directives: as they are read.
        context: the blocks that they stand within, as of ``whole``.
    """
    # a snippet may be of a server as well as of a location
    yield from _refused(directives, context, context != ("http", "server"), 0)


def _refused(
    directives: Many, context: tuple[str, ...], is_sure: bool, depth: int
) -> Iterator[tuple[str, str]]:
    if depth > DEPTH_LIMIT:
        return
    for directive in directives:
        term = "{" if "block" in directive else ";"
        try:
            analyze("", {"line": 0, **directive}, term, context, check_ctx=is_sure)
        except NgxParserDirectiveError as error:
            yield place(directive), str(error.strerror)
            continue
        inside = enter_block_ctx(directive, context)
        yield from _refused(below(directive), inside, True, depth + 1)


def _using(upstream: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str((upstream.get("args") or ("",))[0])
    used = {**upstream, "directive": "proxy_pass", "args": [f"http://{name}"]}
    used.pop("block", None)
    location = _block(upstream, "location", ["/"], [used])
    return _block(upstream, "server", [], [location])


def _block(
    like: Mapping[str, Any], directive: str, words: Sequence[str], block: Many
) -> Mapping[str, Any]:
    return {**like, "directive": directive, "args": list(words), "block": list(block)}
