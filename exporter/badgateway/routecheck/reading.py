"""A proxy's configuration file as it is judged: its routes, and what of it cannot be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from badgateway import regularfile
from badgateway.routecheck import fragments, kinds
from badgateway.routecheck.checkout import Checkout, is_shipped
from badgateway.topology.caddy import files as caddy_files
from badgateway.topology.caddy import routes as caddy
from badgateway.topology.caddy.adapter import AdapterError, adapt_caddyfile, may_be_given
from badgateway.topology.nginx import faults as nginx_faults
from badgateway.topology.nginx import routes as nginx
from badgateway.topology.nginx.directives import each
from badgateway.topology.nginx.includes import Configuration
from badgateway.topology.nginx.parsing import Directive
from badgateway.topology.proxies.templates import template_of
from badgateway.topology.routes import Route, is_name

CADDY_PLACES: Final = ("/usr/bin/caddy", "/usr/local/bin/caddy", "/usr/sbin/caddy")
_CADDY_VARIABLE: Final = re.compile(r"\{\$[A-Za-z_]\w*(?::[^}]*)?\}")
_INCLUDED: Final = re.compile(r", included at (?P<place>\S+:\d+)$")
_CADDY_PLACE: Final = re.compile(r"(?P<file>[^\s,'\"]*Caddyfile[^\s,:'\"]*|/[^\s,:'\"]+):(\d+)")
_REFUSED: Final = re.compile(r"` refused (?P<file>\S+): (?P<text>.*)$", re.S)
_NOISE: Final = re.compile(
    # what stands before Caddy's own words: the place is told beside them
    r"Error: |parsing caddyfile tokens for '[^']*': |\S+:\d+(?::| -) |Error during parsing: "
)
_LINE: Final = re.compile(r"line (\d+), with values")
_OF_A_BUILD: Final = re.compile(r"unrecognized (?:directive|global option)|not (?:a )?registered")
_CANNOT: Final = re.compile(r"permission denied|no such file|operation not permitted", re.I)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something of a file that is not right.

    Attributes:
        where: file and line, or the file alone.
        text: what it is.
        only_here: whether it may be all right on the proxy's host: a file that is not in the
            checkout.
        fix: what to do about it; empty where that is plain.
    """

    where: str
    text: str
    only_here: bool = False
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """What a configuration file says.

    Attributes:
        path: the file, as it was named.
        kind: one of ``kinds``.
        routes: where it leads.
        unread: what of it could not be read.
        refused: what the proxy would refuse, for sure.
        templates: its files that are templates still, path → what kind of.
        unmatched: includes of patterns that no file fits, which nginx takes for nothing.
        is_whole: whether a proxy could be started with it; not with a piece of a configuration.
    """

    path: str
    kind: str
    routes: tuple[Route, ...] = ()
    unread: tuple[Trouble, ...] = ()
    refused: tuple[Trouble, ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    unmatched: tuple[Trouble, ...] = ()
    is_whole: bool = True


class CannotReadError(Exception):
    """A file cannot be judged at all; the text says why and what to do."""


Variables = Callable[[Collection[str]], Mapping[str, str]]
"""Returns the values that environment variables of some names have."""


def own_variables(names: Collection[str]) -> Mapping[str, str]:
    """Return the values that variables have in this process' own environment."""
    return {name: os.environ[name] for name in names if name in os.environ}


async def read(
    path: Path, kind: str, caddy_binary: str = "", variables: Variables = own_variables
) -> ProxyFile:
    """Return what a configuration file says.

    Args:
        path: the file.
        kind: as of ``kinds``.
        caddy_binary: the caddy that translates a Caddyfile; empty to look for one.
        variables: returns the values of the environment variables that a Caddyfile names.

    Raises:
        CannotReadError: nothing of it can be judged.
    """
    try:
        if kind == kinds.NGINX:
            return _nginx(path)
        if kind == kinds.CADDY_JSON:
            return _caddy(path, kind, _json(path))
        return await _caddyfile(path, caddy_binary, variables)
    except OSError as error:
        raise CannotReadError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise CannotReadError(f"{path}: {error}"[:300]) from None


def _text(path: Path) -> str:
    data, _ = regularfile.read(path, kinds.LIMIT)
    return data.decode("utf-8", "replace")


def _json(path: Path) -> object:
    try:
        return msgspec.json.decode(_text(path).removeprefix("\ufeff"))
    except msgspec.DecodeError as error:
        raise CannotReadError(f"{path}: not JSON: {error}"[:300]) from None


def _nginx(path: Path) -> ProxyFile:
    parts = kinds.pieces(path) if path.is_dir() else [path]
    for part in parts:
        _text(part)  # told apart from a file that is only half right
    checkout = Checkout(parts[0])
    read = [Configuration(part, checkout.located) for part in parts]
    templates = tuple(_templates(path for one in read for path in one.stamps))
    unread = [_trouble(*problem, checkout) for one in read for problem in one.problems]
    unmatched = tuple(
        Trouble(str(path), f"`include {name}` fits no file here")
        for name in dict.fromkeys(checkout.unmatched)
    )
    wholes = [one.directives for one in read if fragments.is_whole(one.directives)]
    pieces = [d for one in read if not fragments.is_whole(one.directives) for d in one.directives]
    routes: dict[Route, None] = {}
    faults: list[tuple[str, str]] = []
    for directives in (*wholes, *([pieces] if pieces else ())):
        found, said = _judged(directives, checkout)
        routes.update(dict.fromkeys(found))
        faults += said
    if len(parts) == 1 and not (unread or unmatched):
        faults += _without_events(path, read[0].directives, checkout)
    refused = (
        ()
        if templates
        else tuple(Trouble(where, text) for where, text in dict(reversed(faults)).items())
    )
    return ProxyFile(
        str(path), kinds.NGINX, tuple(routes), tuple(unread), refused, templates, unmatched,
        bool(wholes) or not pieces,
    )  # fmt: skip


def _judged(
    written: Sequence[Directive], checkout: Checkout
) -> tuple[Iterable[Route], list[tuple[str, str]]]:
    """Where a configuration, or pieces of one, lead, and what nginx would refuse of them."""
    directives, context = fragments.whole(written)
    faults = [*nginx_faults.faults(directives), *fragments.refused(written, context)]
    if context == ("http",) and checkout.main is not None:
        main = Configuration(checkout.main, Checkout(checkout.main).located)
        directives, _ = fragments.whole([*written, *fragments.shared(main.directives, written)])
    routes = nginx.routes(directives)
    return (map(_of_piece, routes) if context else routes), faults


def _of_piece(route: Route) -> Route:
    """A route of a piece: what has no port where one is needed is a group of another piece."""
    host = route.upstream
    if route.protocol == "http" or ":" in host or not is_name(host):
        return route
    return replace(route, upstream="{" + host + "}")


def _without_events(
    path: Path, directives: Sequence[Directive], checkout: Checkout
) -> Iterator[tuple[str, str]]:
    """Tell of a configuration, and no part of one, that lacks what nginx does not start without."""
    is_main = checkout.main is None or checkout.main.name == path.name
    if is_main and any(each(directives, "http")) and not any(each(directives, "events")):
        yield str(path), "it has no `events` block"


def _templates(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            kind = template_of(_text(Path(path))) if Path(path).is_file() else ""
        except (OSError, ValueError):
            continue  # told already
        if kind:
            yield path, kind


def _trouble(where: str, text: str, checkout: Checkout) -> Trouble:
    found = _INCLUDED.search(text)
    if found is None:
        return Trouble(where, text)
    elsewhere = is_shipped(where) or not checkout.is_below(where)
    return Trouble(found["place"], f"{where}: {text[: found.start()]}", only_here=elsewhere)


def _caddy(path: Path, kind: str, document: object) -> ProxyFile:
    if not isinstance(document, dict) or not ("apps" in document or "admin" in document):
        raise CannotReadError(f"{path}: not a Caddy configuration")
    return ProxyFile(str(path), kind, caddy.routes(document))


async def _caddyfile(path: Path, binary: str, variables: Variables) -> ProxyFile:
    text = _text(path)
    written = caddy_files.look(str(path))
    unset = dict(written.unset)
    values = {n: v for n, v in variables({*unset, *written.optional}).items() if may_be_given(n)}
    kind = template_of(_CADDY_VARIABLE.sub("x", text))
    if kind or not values.keys() >= unset.keys():
        missing = ", ".join(f"{{${name}}}" for name in unset if name not in values)
        return ProxyFile(str(path), kinds.CADDYFILE, templates=((str(path), kind or missing),))
    program = binary or next((name for name in CADDY_PLACES if Path(name).is_file()), "")
    if not program:
        raise CannotReadError(
            f"{path} is a Caddyfile, which only caddy itself can translate: install caddy, or name "
            "it with --caddy, or check what `caddy adapt` printed"
        )
    try:
        document = await adapt_caddyfile(program, str(path.resolve()), environment=values)
    except AdapterError as error:
        said = _REFUSED.search(str(error))
        if said is None or _CANNOT.search(said["text"]):
            raise CannotReadError(f"{path}: {error}") from None
        trouble = _said(path, said["text"], "" if binary else program)
        return ProxyFile(str(path), kinds.CADDYFILE, refused=(trouble,))
    found = _caddy(path, kinds.CADDYFILE, {"admin": {}, **document})
    return replace(found, routes=tuple(_placed(found.routes, text, str(path))))


def _said(path: Path, text: str, program: str) -> Trouble:
    """What a Caddy refuses.

    Args:
        path: the file.
        text: its words.
        program: the Caddy; empty where it is the one that was asked for.
    """
    place = _CADDY_PLACE.search(text) or _LINE.match(text)
    where = f"{path}:{place[place.lastindex or 0]}" if place else str(path)
    fix = ""
    if program and _OF_A_BUILD.search(text):
        fix = f"name the proxy's own caddy with --caddy, if it is another build than {program}"
    return Trouble(where, _NOISE.sub("", text).rstrip("."), fix=fix)


def _placed(routes: tuple[Route, ...], text: str, path: str) -> Iterator[Route]:
    """Caddy's JSON has no lines: an address that stands on one line only is on that."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    for route in routes:
        for written in _written(route.upstream):
            words = re.compile(rf"(?<![\w.-]){re.escape(written)}(?![\w.-])")
            found = [number for number, line in enumerate(lines, 1) if words.search(line)]
            if found:
                place = f"{path}:{found[0]}" if len(found) == 1 else ""
                yield replace(route, place=place or route.place)
                break
        else:
            yield route


def _written(upstream: str) -> Iterator[str]:
    """How an address may be written in a Caddyfile."""
    yield upstream.removeprefix("unix:")
    host, _, port = upstream.rpartition(":")
    if host == "127.0.0.1":
        yield f":{port}"
    if port in ("80", "443") and host != "unix":
        yield host
