"""What the proxies' logs say: failed attempts, answers by code, errors by who made them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from badgateway import vocabulary
from badgateway.counters import Counters
from badgateway.events import ClientAbort, Response, UpstreamFailure
from badgateway.topology.backends import UNKNOWN_SITE, PathMap

_KEPT: Final = 200
"""Failures kept as evidence for each backend."""

ProxyEvent = UpstreamFailure | Response | ClientAbort


class Proxies:
    """Counts proxies' events and keeps the failures as evidence."""

    def __init__(self, counters: Counters, tokens: Iterable[str]) -> None:
        """Count everything but the probes that carry one of ``tokens``."""
        self._counters = counters
        self._tokens = frozenset(tokens)
        self._map = PathMap()
        self.failures: dict[str, deque[UpstreamFailure]] = {}

    def watch(self, paths: PathMap) -> None:
        """Use this path map from now on, and let its series exist at 0."""
        self._map = paths
        for backend in paths.backends:
            for path in backend.paths:
                route = path.route
                for reason in vocabulary.UPSTREAM_FAILURE_REASONS:
                    self._counters.declare(
                        "upstream_failures_total",
                        (backend.name, path.proxy, route.upstream, reason),
                    )
                for code in ("502", "503", "504"):
                    for origin in vocabulary.ERROR_ORIGINS:
                        self._counters.declare(
                            "proxy_errors_total",
                            (backend.name, path.proxy, route.site, code, origin),
                        )
                self._counters.declare(
                    "client_aborts_total", (backend.name, path.proxy, route.site)
                )

    def take(self, proxy: str, event: ProxyEvent, counted: bool) -> None:
        """Take what happened at a proxy; ``counted`` False makes it evidence only."""
        upstream = event.upstream if not isinstance(event, ClientAbort) else None
        found = self._map.behind(proxy, event.site, upstream)
        if found is None:
            backend, site, address = UNKNOWN_SITE, UNKNOWN_SITE, UNKNOWN_SITE
        else:
            backend, site, address = found[0].name, found[1], found[2]
        if isinstance(event, UpstreamFailure):
            self.failures.setdefault(backend, deque(maxlen=_KEPT)).append(event)
        if not counted or event.probe in self._tokens:
            return
        if isinstance(event, ClientAbort):
            self._counters.add("client_aborts_total", (backend, proxy, site))
        elif isinstance(event, UpstreamFailure):
            self._counters.add("upstream_failures_total", (backend, proxy, address, event.reason))
            if event.status is not None and event.status >= 500:
                code = vocabulary.http_code(event.status)
                self._counters.add("proxy_errors_total", (backend, proxy, site, code, "upstream"))
        else:
            code = vocabulary.http_code(event.status)
            self._counters.add("proxy_responses_total", (backend, proxy, site, code))
            # what an upstream failed to answer was counted at its error line
            if event.origin in ("application", "proxy"):
                self._counters.add("proxy_errors_total", (backend, proxy, site, code, event.origin))
