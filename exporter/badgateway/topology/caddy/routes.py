"""Caddy's JSON configuration (Caddy 2.6 and later, caddyserver.com/docs/json): sites and upstreams.

Pure: the document in, routes out. The document comes from the admin API, from a JSON file, or from
``caddy adapt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from badgateway.topology.caddy.document import as_list, mapping
from badgateway.topology.routes import Route, is_name

_DEPTH_LIMIT: Final = 40
_HIGHEST_PORT: Final = 65535
_DIRECTIVES: Final = frozenset(
    (
        "basicauth", "encode", "file_server", "handle", "handle_path", "header", "php_fastcgi",
        "redir", "respond", "reverse_proxy", "rewrite", "root", "route", "templates", "tls",
        "try_files", "uri",
    )
)  # fmt: skip
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{0,9})?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_DURATION: Final = re.compile(f"(?:{_PART.pattern})+", re.ASCII)
_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Led:
    """One upstream of a handler, for the hosts that come to it."""

    hosts: tuple[str, ...]
    upstream: str
    tls: bool
    protocol: str
    timeouts: tuple[tuple[str, float], ...]
    dynamic: bool


def routes(document: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return every route to an upstream, in the order of the document, without repetition.

    Routes for errors (``handle_errors``) and those that others invoke are among them. Anything
    that is not shaped like Caddy's configuration is passed over.
    """
    found: dict[Route, None] = {}
    http = mapping(mapping(document.get("apps")).get("http"))
    for server in mapping(http.get("servers")).values():
        server = mapping(server)
        listen = first_listen(server)
        named = mapping(server.get("named_routes"))
        handled = list(_handlers(server.get("routes"), ("*",), named, 0))
        handled += _handlers(mapping(server.get("errors")).get("routes"), ("*",), named, 0)
        hosts = frozenset(host for led in handled for host in led.hosts if host != "*")
        tls = speaks_tls(server, listen, hosts, str(http.get("http_port", 80)))
        for led in handled:
            for site in led.hosts:
                route = Route(
                    site.lower(), listen, led.upstream, tls, led.tls, "", led.protocol,
                    led.timeouts, False, led.dynamic,
                )  # fmt: skip
                found.setdefault(route)
    return tuple(found)


def listens(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every address at which connections are taken, ``host:port`` or ``unix:/path``.

    Those with placeholders, which are known to Caddy alone, are left out.
    """
    found: dict[str, None] = {}
    http = mapping(mapping(document.get("apps")).get("http"))
    for server in map(mapping, mapping(http.get("servers")).values()):
        for given in as_list(server.get("listen")) or [":443"]:
            text = str(given).partition("|")[0]
            if text.startswith(("udp", "fd", "unixgram", "ip")) or "{" in text:
                continue
            found.update(dict.fromkeys(_listened(text)))
    return tuple(found)


def faults(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what was surely meant otherwise: directives that stand outside of every site.

    Until Caddy 2.7 each of their words is taken for the name of a site.
    """
    http = mapping(mapping(document.get("apps")).get("http"))
    names = {
        str(host)
        for server in map(mapping, mapping(http.get("servers")).values())
        for route in map(mapping, as_list(server.get("routes")))
        for matcher in as_list(route.get("match"))
        for host in as_list(mapping(matcher).get("host"))
    }
    return tuple(
        f"`{name}` is taken for a host name: a directive outside of every site"
        for name in sorted(names & _DIRECTIVES)
    )


def admin_address(document: Mapping[str, Any]) -> str | None:
    """Return the admin API's address that a configuration sets.

    Returns:
        ``http://host:port`` or ``unix:/path``; empty when it is switched off, None when the
        default holds.
    """
    admin = mapping(document.get("admin"))
    if admin.get("disabled"):
        return ""
    listen = admin.get("listen")
    if not isinstance(listen, str) or not listen:
        return None
    listen = address(listen.partition("|")[0])
    if listen.startswith("unix:"):
        return listen
    host, _, port = listen.rpartition(":")
    return f"http://{'localhost' if host in ('', '0.0.0.0', '[::]') else host}:{port}"  # noqa: S104


def first_listen(server: Mapping[str, Any]) -> str:
    """Return the first address at which a server takes requests, as ``Route.listen``."""
    listen = next((str(address) for address in as_list(server.get("listen"))), ":443")
    return listen.removeprefix("tcp/")


def speaks_tls(
    server: Mapping[str, Any], listen: str, hosts: frozenset[str], http_port: str
) -> bool:
    """Tell whether clients speak TLS to a server: told so, or by automatic HTTPS.

    Automatic HTTPS takes every server that has a host name to get a certificate for and does not
    listen at the HTTP port alone (caddyserver.com/docs/automatic-https). A Caddyfile's
    ``http://name:8080`` is a name that it is told to skip.
    """
    if server.get("tls_connection_policies"):
        return True
    if listen.rpartition(":")[2] == http_port:
        return False
    automatic = mapping(server.get("automatic_https"))
    skipped = map(str, as_list(automatic.get("skip")))
    return bool(hosts.difference(skipped)) and not automatic.get("disable")


def matched_hosts(route: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts a route is for; none where it is for each that comes to it."""
    found: list[str] = []
    for matcher in as_list(route.get("match")):
        hosts = [str(host) for host in as_list(mapping(matcher).get("host"))]
        if not hosts:
            return ()  # one of several conditions, and this one asks for no host
        found += hosts
    return tuple(dict.fromkeys(found))


def _handlers(
    routes: object, hosts: tuple[str, ...], named: Mapping[str, Any], depth: int
) -> Iterator[_Led]:
    if depth > _DEPTH_LIMIT:
        return
    for route in map(mapping, as_list(routes)):
        here = matched_hosts(route) or hosts
        for handler in map(mapping, as_list(route.get("handle"))):
            if handler.get("handler") == "reverse_proxy":
                yield from _proxied(handler, here)
            if handler.get("handler") == "invoke":
                invoked = named.get(str(handler.get("name")))
                yield from _handlers([invoked], here, named, depth + 1)
            inner = [handler.get("routes"), mapping(handler.get("errors")).get("routes")]
            inner += [mapping(r).get("routes") for r in as_list(handler.get("handle_response"))]
            for below in inner:
                yield from _handlers(below, here, named, depth + 1)


def _proxied(handler: Mapping[str, Any], hosts: tuple[str, ...]) -> Iterator[_Led]:
    transport = mapping(handler.get("transport"))
    tls = transport.get("tls") is not None
    protocol = "fastcgi" if transport.get("protocol") == "fastcgi" else "http"
    upstreams = [str(mapping(u).get("dial") or "") for u in as_list(handler.get("upstreams"))]
    found = [address(dial) for dial in upstreams if dial]
    found += _looked_up(handler.get("dynamic_upstreams"), 0)
    for upstream in found:
        dynamic = not upstream.startswith("unix:") and is_name(upstream.rpartition(":")[0])
        yield _Led(hosts, upstream, tls, protocol, _timeouts(transport), dynamic)


def _looked_up(source: object, depth: int) -> Iterator[str]:
    """The names whose records are upstreams (caddyserver.com/docs/json, ``dynamic_upstreams``)."""
    source = mapping(source)
    kind, name = source.get("source"), str(source.get("name") or "")
    if kind == "a" and name:
        yield f"{name}:{source.get('port') or 80}"
    elif kind == "multi" and depth < _DEPTH_LIMIT:
        for each in as_list(source.get("sources")):
            yield from _looked_up(each, depth + 1)
    elif kind:
        # the records name the ports: known only to the proxy
        yield "{" + (name or str(kind)) + "}"


def _listened(text: str) -> Iterator[str]:
    if text.startswith("unix"):
        yield address(text)
        return
    host, colon, port = text.rpartition("/")[2].rpartition(":")
    if not colon:
        host, port = port, "443"
    lowest, _, highest = port.partition("-")
    if lowest.isdigit() and (highest or lowest).isdigit():
        last = min(int(highest or lowest), _HIGHEST_PORT)
        for number in range(int(lowest), last + 1):
            yield f"{host or '0.0.0.0'}:{number}"  # noqa: S104  compared with, never bound


def _timeouts(transport: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """How long it waits for an upstream, where it says so: durations are nanoseconds or text."""
    if transport.get("protocol", "http") != "http":
        return ()
    reads = [_seconds(transport.get(name)) for name in ("response_header_timeout", "read_timeout")]
    found = {
        "connect": _seconds(transport.get("dial_timeout")),
        "send": _seconds(transport.get("write_timeout")),
        "read": min((value for value in reads if value), default=None),
    }
    return tuple((name, value) for name, value in found.items() if value)


def _seconds(duration: object) -> float | None:
    """A duration as Caddy writes it: nanoseconds, or Go's text such as ``1m30s``."""
    if isinstance(duration, int | float):
        return duration / 1e9
    if not isinstance(duration, str) or not _DURATION.fullmatch(duration):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def address(dial: str) -> str:
    """Return a Caddy network address in this project's form: ``host:port`` or ``unix:/path``."""
    network, slash, rest = dial.partition("/")
    if slash and network.partition("+")[0] == "unix":  # `unix+h2c` too
        return "unix:/" + rest.lstrip("/").partition("|")[0]
    if slash and network in ("tcp", "tcp4", "tcp6"):
        dial = rest
    if "@" in dial:
        dial = "…@" + dial.rpartition("@")[2]  # Caddy takes no user and password either
    return f"127.0.0.1{dial}" if dial.startswith(":") else dial
