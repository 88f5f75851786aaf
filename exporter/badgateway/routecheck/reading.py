"""A proxy's configuration file as it is judged: its routes, and what of it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from badgateway import regularfile
from badgateway.routecheck import fragments, kinds
from badgateway.routecheck.checkout import Checkout, is_shipped
from badgateway.topology import caddy, nginx, nginx_faults
from badgateway.topology.adapter import AdapterError, adapt_caddyfile
from badgateway.topology.nginx_includes import Configuration
from badgateway.topology.routes import Route
from badgateway.topology.templates import template_of

CADDY_PLACES: Final = ("/usr/bin/caddy", "/usr/local/bin/caddy", "/usr/sbin/caddy")
_INCLUDED: Final = re.compile(r", included at (?P<place>\S+:\d+)$")
_CADDY_PLACE: Final = re.compile(r"(?P<file>[^\s,'\"]*Caddyfile[^\s,:'\"]*|/[^\s,:'\"]+):(\d+)")
_REFUSED: Final = re.compile(r"` refused (?P<file>\S+): (?P<text>.*)$", re.S)
_CANNOT: Final = re.compile(r"permission denied|no such file|operation not permitted", re.I)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something of a file that is not right.

    Attributes:
        where: file and line, or the file alone.
        text: what it is.
        only_here: whether it may be all right on the proxy's host: a file that is not in the
            checkout.
    """

    where: str
    text: str
    only_here: bool = False


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


async def read(path: Path, kind: str, caddy_binary: str = "") -> ProxyFile:
    """Return what a configuration file says.

    Args:
        path: the file.
        kind: as of ``kinds``.
        caddy_binary: the caddy that translates a Caddyfile; empty to look for one.

    Raises:
        CannotReadError: nothing of it can be judged.
    """
    try:
        if kind == kinds.NGINX:
            return _nginx(path)
        if kind == kinds.CADDY_JSON:
            return _caddy(path, kind, msgspec.json.decode(_text(path)))
        return await _caddyfile(path, caddy_binary)
    except OSError as error:
        raise CannotReadError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise CannotReadError(f"{path}: {error}"[:300]) from None


def _text(path: Path) -> str:
    data, _ = regularfile.read(path, kinds.LIMIT)
    return data.decode("utf-8", "replace")


def _nginx(path: Path) -> ProxyFile:
    parts = kinds.pieces(path) if path.is_dir() else [path]
    for part in parts:
        _text(part)  # told apart from a file that is only half right
    checkout = Checkout(parts[0])
    read = [Configuration(part, checkout.located) for part in parts]
    written = [directive for each in read for directive in each.directives]
    directives, context = fragments.whole(written)
    templates = tuple(_templates(path for each in read for path in each.stamps))
    refused: tuple[Trouble, ...] = ()
    if not templates:
        faults = [*nginx_faults.faults(directives)]
        faults += fragments.refused(written, context)
        refused = tuple(Trouble(where, text) for where, text in dict(reversed(faults)).items())
    unread = [_trouble(*problem, checkout) for each in read for problem in each.problems]
    unmatched = tuple(
        Trouble(str(path), f"`include {name}` fits no file here")
        for name in dict.fromkeys(checkout.unmatched)
    )
    return ProxyFile(
        str(path), kinds.NGINX, nginx.routes(directives), tuple(unread), refused, templates,
        unmatched, not context,
    )  # fmt: skip


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


async def _caddyfile(path: Path, binary: str) -> ProxyFile:
    text = _text(path)
    template = template_of(text)
    if template:
        return ProxyFile(str(path), kinds.CADDYFILE, templates=((str(path), template),))
    program = binary or next((name for name in CADDY_PLACES if Path(name).is_file()), "")
    if not program:
        raise CannotReadError(
            f"{path} is a Caddyfile, which only caddy itself can translate: install caddy, or name "
            "it with --caddy, or check what `caddy adapt` printed"
        )
    try:
        document = await adapt_caddyfile(program, str(path.resolve()))
    except AdapterError as error:
        said = _REFUSED.search(str(error))
        if said is None or _CANNOT.search(said["text"]):
            raise CannotReadError(f"{path}: {error}") from None
        place = _CADDY_PLACE.search(said["text"])
        where = f"{path}:{place[2]}" if place else str(path)
        return ProxyFile(str(path), kinds.CADDYFILE, refused=(Trouble(where, said["text"]),))
    found = _caddy(path, kinds.CADDYFILE, {"admin": {}, **document})
    return replace(found, routes=tuple(_placed(found.routes, text, str(path))))


def _placed(routes: tuple[Route, ...], text: str, path: str) -> Iterator[Route]:
    """Caddy's JSON has no lines: an address that stands on one line only is on that."""
    lines = text.splitlines()
    for route in routes:
        words = re.compile(rf"(?<![\w.-]){re.escape(_written(route.upstream))}(?![\w.-])")
        found = [n for n, line in enumerate(lines, 1) if words.search(line.partition("#")[0])]
        yield replace(route, place=f"{path}:{found[0]}") if len(found) == 1 else route


def _written(upstream: str) -> str:
    return upstream.removeprefix("unix:") if upstream.startswith("unix:") else upstream
