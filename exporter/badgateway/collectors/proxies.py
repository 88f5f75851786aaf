"""What the proxies' logs say: failed attempts, answers by code, errors by who made them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from badgateway import vocabulary
from badgateway.counters import Counters
from badgateway.events import ClientAbort, Response, UpstreamFailure
from badgateway.topology.backends import UNKNOWN_SITE, PathMap, ProxyPath

_KEPT: Final = 200
"""Failures kept as evidence for each backend."""
_PENDING_KEPT: Final = 5000
"""Lines remembered that another log of the same proxy may tell again."""
_GATEWAY_ERRORS: Final = ("502", "503", "504")

ProxyEvent = UpstreamFailure | Response | ClientAbort


class Proxies:
    """Counts proxies' events and keeps the failures as evidence."""

    def __init__(
        self,
        counters: Counters,
        tokens: Iterable[str],
        learnt: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin.

        Args:
            counters: where to count.
            tokens: probes that carry one of these are left out.
            learnt: what ``memory`` returned in an earlier life.
        """
        self._counters = counters
        self._tokens = frozenset(tokens)
        self._maps: tuple[PathMap, ...] = ()
        self._doubled: frozenset[str] = frozenset()
        self._pending: OrderedDict[tuple[str, str], str] = OrderedDict(
            ((proxy, identity), source)
            for proxy, identity, source in (learnt or {}).get("pending", ())
        )
        self.failures: dict[str, deque[UpstreamFailure]] = {}

    def watch(
        self, paths: PathMap, on_disk: PathMap, doubled: frozenset[str] = frozenset()
    ) -> None:
        """Use these path maps from now on.

        Args:
            paths: the path map as loaded.
            on_disk: the path map after a reload, which may have happened just now.
            doubled: proxies that may write the same line to several logs.
        """
        self._maps, self._doubled = (paths, on_disk), doubled

    def declare(self, paths: PathMap, errors: Container[str], access: Container[str]) -> None:
        """Let series exist at 0.

        Args:
            paths: the path map, as loaded or as it will be after a reload.
            errors: proxies whose failures are being read.
            access: proxies whose answered requests are being read.
        """
        for backend in paths.backends:
            for path in backend.paths:
                if path.proxy in errors:
                    self._declare_failures(backend.name, path)
                if path.proxy in access:
                    self._declare_answers(backend.name, path)

    def _declare_failures(self, backend: str, path: ProxyPath) -> None:
        proxy, route = path.proxy, path.route
        for reason in vocabulary.UPSTREAM_FAILURE_REASONS:
            labels = (backend, proxy, route.upstream, reason)
            self._counters.declare("upstream_failures_total", labels)
        for code in _GATEWAY_ERRORS:
            self._counters.declare(
                "proxy_errors_total", (backend, proxy, route.site, code, "upstream")
            )

    def _declare_answers(self, backend: str, path: ProxyPath) -> None:
        proxy, site = path.proxy, path.route.site
        self._counters.declare("client_aborts_total", (backend, proxy, site))
        for code in _GATEWAY_ERRORS:
            for origin in ("application", "proxy"):
                self._counters.declare("proxy_errors_total", (backend, proxy, site, code, origin))

    def memory(self) -> dict[str, Any]:
        """What must be saved with the counters: lines that another log may tell again."""
        return {"pending": [[*key, source] for key, source in self._pending.items()]}

    def take(self, proxy: str, event: ProxyEvent, counted: bool, source: str = "") -> None:
        """Take what happened at a proxy.

        Args:
            proxy: its name.
            event: what happened.
            counted: False makes it evidence only.
            source: the log that told.
        """
        if counted and proxy in self._doubled and self._told(proxy, event.identity, source):
            return
        upstream = event.upstream if not isinstance(event, ClientAbort) else None
        behind = (paths.behind(proxy, event.site, upstream) for paths in self._maps)
        found = next((place for place in behind if place is not None), None)
        if found is None:
            backend, site, address = UNKNOWN_SITE, UNKNOWN_SITE, UNKNOWN_SITE
        else:
            backend, site, address = found[0].name, found[1], found[2]
        if isinstance(event, UpstreamFailure):
            kept = self.failures.setdefault(backend, deque(maxlen=_KEPT))
            if event not in kept:
                kept.append(event)
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

    def _told(self, proxy: str, identity: str, source: str) -> bool:
        """Whether another log of the proxy has told the same; if not, it may do so later."""
        if not identity:
            return False
        key = (proxy, identity)
        teller = self._pending.get(key)
        if teller is not None and teller != source:
            del self._pending[key]
            return True
        self._pending[key] = source
        while len(self._pending) > _PENDING_KEPT:
            self._pending.popitem(last=False)
        return False
