"""Caddy's JSON configuration (Caddy 2.6 and later, caddyserver.com/docs/json): sites and upstreams.

Pure: the document in, routes out. The document comes from the admin API, from a JSON file, or from
``caddy adapt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from badgateway.topology.routes import Route, WrittenLog

_DEPTH_LIMIT: Final = 40
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{0,9})?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_DURATION: Final = re.compile(f"(?:{_PART.pattern})+", re.ASCII)
_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip


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
        hosts = any(site != "*" for site, *_ in handled)
        tls = _speaks_tls(server, listen, hosts, str(http.get("http_port", 80)))
        for site, upstream, upstream_tls, waits in handled:
            found[
                Route(site, listen, upstream, tls, upstream_tls, timeouts=waits)
            ] = None  # fmt: skip
    return tuple(found)


def logs(document: Mapping[str, Any]) -> tuple[WrittenLog, ...]:
    """Return where Caddy writes what, in JSON (caddyserver.com/docs/json/logging)."""
    loggers = dict(_mapping(_mapping(document.get("logging")).get("logs")))
    loggers.setdefault("default", {})
    names = _access_loggers(document)
    found: dict[str, WrittenLog] = {}
    for logger in map(_mapping, loggers.values()):
        writer = _mapping(logger.get("writer"))
        output = writer.get("output", "stderr")
        if not _is_json(logger) or output not in ("stderr", "stdout", "file"):
            continue
        path = str(writer.get("filename", "")) if output == "file" else ""
        known = found.get(path, WrittenLog(path, "caddy", errors=False, access=False))
        found[path] = replace(
            known,
            errors=known.errors or _takes(logger, "http.log.error"),
            access=known.access or any(_takes(logger, name) for name in names),
        )
    return tuple(found.values())


def admin_address(document: Mapping[str, Any]) -> str | None:
    """Return the admin API's address that a configuration sets.

    Returns:
        ``http://host:port`` or ``unix:/path``; empty when it is switched off, None when the
        default holds.
    """
    admin = _mapping(document.get("admin"))
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


def _access_loggers(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the loggers that take answered requests."""
    names: dict[str, None] = {}
    http = _mapping(_mapping(document.get("apps")).get("http"))
    for server in _mapping(http.get("servers")).values():
        logs = _mapping(server).get("logs")
        if not isinstance(logs, Mapping):
            continue
        given: list[Any] = [logs.get("default_logger_name")]
        for value in _mapping(logs.get("logger_names")).values():
            given += value if isinstance(value, list) else [value]  # several since 2.8
        for name in given:
            if isinstance(name, str) and name:
                names[f"http.log.access.{name}"] = None
        if not logs.get("default_logger_name") and not logs.get("skip_unmapped_hosts"):
            names["http.log.access"] = None
    return tuple(names)


def _takes(logger: Mapping[str, Any], name: str) -> bool:
    """Whether a log takes what a logger writes: the longer of its rules that fit decides."""
    included, excluded = _list(logger.get("include")), _list(logger.get("exclude"))
    inside = max((len(str(rule)) for rule in included if _below(name, rule)), default=-1)
    outside = max((len(str(rule)) for rule in excluded if _below(name, rule)), default=-1)
    return (inside >= 0 or not included) and inside >= outside


def _below(name: str, rule: object) -> bool:
    return isinstance(rule, str) and (name == rule or name.startswith(f"{rule}."))


def _is_json(logger: object) -> bool:
    encoder = _mapping(_mapping(logger).get("encoder"))
    while encoder.get("format") in ("filter", "append"):
        encoder = _mapping(encoder.get("wrap"))
    return bool(encoder.get("format", "json") == "json")


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
) -> Iterator[tuple[str, str, bool, tuple[tuple[str, float], ...]]]:
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
                            yield host.lower(), address(dial), tls, _timeouts(transport)
            elif handler.get("handler") == "subroute":
                yield from _handlers(handler.get("routes"), matched or hosts, depth + 1)


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
    if dial.startswith("unix/"):
        return "unix:/" + dial.removeprefix("unix/").lstrip("/")
    dial = dial.removeprefix("tcp/")
    return f"127.0.0.1{dial}" if dial.startswith(":") else dial


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
