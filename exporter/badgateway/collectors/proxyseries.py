"""Which series of proxies exist at 0, before anything happened."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from badgateway import vocabulary
from badgateway.counters import Counters
from badgateway.topology.backends import PathMap, ProxyPath

_GATEWAY_ERRORS: Final = ("502", "503", "504")


def declare(
    counters: Counters, paths: PathMap, errors: Container[str], access: Container[str]
) -> None:
    """Let series exist at 0.

    Args:
        counters: where.
        paths: the path map, as loaded or as it will be after a reload.
        errors: proxies whose failures are being read.
        access: proxies whose answered requests are being read.
    """
    for backend in paths.backends:
        for path in backend.paths:
            if path.proxy in errors:
                _declare_failures(counters, backend.name, path)
            if path.proxy in access:
                _declare_answers(counters, backend.name, path)


def _declare_failures(counters: Counters, backend: str, path: ProxyPath) -> None:
    proxy, route = path.proxy, path.route
    for upstream in filter(None, (route.upstream, route.group)):
        for reason in vocabulary.UPSTREAM_FAILURE_REASONS:
            counters.declare("upstream_failures_total", (backend, proxy, upstream, reason))
        counters.declare("upstream_failures_masked_total", (backend, proxy, upstream))
    for code in _GATEWAY_ERRORS:
        counters.declare("proxy_errors_total", (backend, proxy, route.site, code, "upstream"))


def _declare_answers(counters: Counters, backend: str, path: ProxyPath) -> None:
    proxy, site = path.proxy, path.route.site
    counters.declare("client_aborts_total", (backend, proxy, site))
    counters.declare("upstream_response_duration_seconds", (backend, proxy))
    for code in _GATEWAY_ERRORS:
        for origin in ("application", "proxy"):
            counters.declare("proxy_errors_total", (backend, proxy, site, code, origin))
