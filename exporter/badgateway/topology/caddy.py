"""Caddy's JSON configuration (Caddy 2.6 and later, caddyserver.com/docs/json): sites and upstreams.

Pure: the document in, routes out. The document comes from the admin API, from a JSON file, or from
``caddy adapt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_DEPTH_LIMIT: Final = 40


@dataclass(frozen=True, slots=True)
class Route:
    """A site of a proxy and one address it sends requests to.

    Attributes:
        site: the host name served, or ``*`` when every host is.
        listen: ``host:port`` at which the proxy takes requests for it; host may be empty.
        upstream: ``host:port`` or ``unix:/path``; with placeholders left as they are.
        tls: whether clients speak TLS there.
        upstream_tls: whether the proxy speaks TLS to the upstream.
    """

    site: str
    listen: str
    upstream: str
    tls: bool = False
    upstream_tls: bool = False


def routes(document: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return every route to an upstream, in the order of the document, without repetition.

    Anything that is not shaped like Caddy's configuration is passed over.
    """
    found: dict[Route, None] = {}
    http = _mapping(_mapping(document.get("apps")).get("http"))
    for server in _mapping(http.get("servers")).values():
        server = _mapping(server)
        listen = next((str(address) for address in _list(server.get("listen"))), ":443")
        listen = listen.removeprefix("tcp/")
        handled = list(_handlers(server.get("routes"), ("*",), 0))
        hosts = any(site != "*" for site, _, _ in handled)
        tls = _speaks_tls(server, listen, hosts, str(http.get("http_port", 80)))
        for site, upstream, upstream_tls in handled:
            found[Route(site, listen, upstream, tls, upstream_tls)] = None
    return tuple(found)


def log_files(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files Caddy writes JSON logs to."""
    files: dict[str, None] = {}
    for logger in _mapping(_mapping(document.get("logging")).get("logs")).values():
        logger = _mapping(logger)
        writer = _mapping(logger.get("writer"))
        encoding = _mapping(logger.get("encoder")).get("format", "json")
        if writer.get("output") == "file" and encoding == "json" and writer.get("filename"):
            files[str(writer["filename"])] = None
    return tuple(files)


def _speaks_tls(server: Mapping[str, Any], listen: str, hosts: bool, http_port: str) -> bool:
    """Whether clients speak TLS to a server: told so, or by automatic HTTPS.

    Automatic HTTPS takes every server that has a host name to get a certificate for and does not
    listen at the HTTP port alone (caddyserver.com/docs/automatic-https).
    """
    if server.get("tls_connection_policies"):
        return True
    if listen.rpartition(":")[2] == http_port:
        return False
    automatic = _mapping(server.get("automatic_https"))
    return hosts and not automatic.get("disable")


def _handlers(
    routes: object, hosts: tuple[str, ...], depth: int
) -> Iterator[tuple[str, str, bool]]:
    if depth > _DEPTH_LIMIT:
        return
    for route in _list(routes):
        route = _mapping(route)
        matched = tuple(
            str(host)
            for matcher in _list(route.get("match"))
            for host in _list(_mapping(matcher).get("host"))
        )
        for handler in _list(route.get("handle")):
            handler = _mapping(handler)
            if handler.get("handler") == "reverse_proxy":
                transport = _mapping(handler.get("transport"))
                tls = transport.get("tls") is not None
                for upstream in _list(handler.get("upstreams")):
                    dial = _mapping(upstream).get("dial")
                    if isinstance(dial, str) and dial:
                        for host in matched or hosts:
                            yield host.lower(), address(dial), tls
            elif handler.get("handler") == "subroute":
                yield from _handlers(handler.get("routes"), matched or hosts, depth + 1)


def address(dial: str) -> str:
    """Return a Caddy network address in this project's form: ``host:port`` or ``unix:/path``."""
    if dial.startswith("unix/"):
        return "unix:/" + dial.removeprefix("unix/").lstrip("/")
    dial = dial.removeprefix("tcp/")
    return f"127.0.0.1{dial}" if dial.startswith(":") else dial


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
