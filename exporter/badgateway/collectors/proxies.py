"""What the proxies' logs say: failed attempts, answers by code, errors by who made them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from badgateway import vocabulary
from badgateway.collectors.correlation import Half, Shelf
from badgateway.counters import Counters
from badgateway.events import AnswerOrigin, ClientAbort, Response, Tally, UpstreamFailure
from badgateway.topology.backends import UNKNOWN, PathMap, Place, ProxyPath

_KEPT: Final = 200
"""Failures kept as evidence for each backend."""
_PENDING_KEPT: Final = 5000
"""Lines remembered that another log of the same proxy may tell again."""
_GATEWAY_ERRORS: Final = ("502", "503", "504")
_ANSWER_SECONDS: Final = 130.0
"""How long the answer to a request may take of which an attempt failed: longer than proxies'
usual timeouts."""
_ERROR_LINE_SECONDS: Final = 5.0
"""How long an error waits for the line that says why: it was written first, and may be read later
because it stands in another file."""
_ORIGIN_SECONDS: Final = 10.0
"""How long a line that says who makes an answer waits for that answer."""
_HALF_SENT: Final = ("body_truncated", "body_timeout")
"""Failures that no later answer makes good: the client has half of this one."""

_NOWHERE: Final = Place(UNKNOWN, UNKNOWN, UNKNOWN)
_COUNTED, _SPOILT = "counted", "spoilt"

ProxyEvent = UpstreamFailure | Response | ClientAbort | AnswerOrigin


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
        known = learnt or {}
        self._counters = counters
        self._tokens = frozenset(tokens)
        self._maps: tuple[PathMap, ...] = ()
        self._doubled: frozenset[str] = frozenset()
        self._told_by_errors: frozenset[str] = frozenset()
        self._pending: OrderedDict[tuple[str, str], str] = OrderedDict(
            ((proxy, identity), source) for proxy, identity, source in known.get("pending", ())
        )
        self._failed = Shelf(known.get("failed", ()))
        self._answered = Shelf(known.get("answered", ()))
        self._settled: deque[tuple[str, str]] = deque(maxlen=_KEPT)
        self.failures: dict[str, deque[UpstreamFailure]] = {}

    def watch(
        self,
        paths: PathMap,
        on_disk: PathMap,
        doubled: frozenset[str] = frozenset(),
        told_by_errors: frozenset[str] = frozenset(),
    ) -> None:
        """Use these path maps from now on.

        Args:
            paths: the path map as loaded.
            on_disk: the path map after a reload, which may have happened just now.
            doubled: proxies that may write the same line to several logs.
            told_by_errors: proxies whose error log tells of every failed attempt; what the access
                log says of attempts is then the same once more.
        """
        self._maps, self._doubled = (paths, on_disk), doubled
        self._told_by_errors = told_by_errors

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
        for upstream in filter(None, (route.upstream, route.group)):
            for reason in vocabulary.UPSTREAM_FAILURE_REASONS:
                labels = (backend, proxy, upstream, reason)
                self._counters.declare("upstream_failures_total", labels)
            self._counters.declare("upstream_failures_masked_total", (backend, proxy, upstream))
        for code in _GATEWAY_ERRORS:
            self._counters.declare(
                "proxy_errors_total", (backend, proxy, route.site, code, "upstream")
            )

    def _declare_answers(self, backend: str, path: ProxyPath) -> None:
        proxy, site = path.proxy, path.route.site
        self._counters.declare("client_aborts_total", (backend, proxy, site))
        self._counters.declare("upstream_response_duration_seconds", (backend, proxy))
        for code in _GATEWAY_ERRORS:
            for origin in ("application", "proxy"):
                self._counters.declare("proxy_errors_total", (backend, proxy, site, code, origin))

    def memory(self) -> dict[str, Any]:
        """What must be saved with the counters: lines that another may yet belong to."""
        return {
            "pending": [[*key, source] for key, source in self._pending.items()],
            "failed": self._failed.memory(),
            "answered": self._answered.memory(),
        }

    def knows(self, proxy: str, event: ProxyEvent) -> bool:
        """Whether the upstream that an event names is in a configuration of the proxy."""
        upstream = event.upstream if isinstance(event, UpstreamFailure | Response) else None
        return upstream is None or any(
            paths.behind(proxy, event.site, upstream) is not None for paths in self._maps
        )

    def expects(self, proxy: str) -> bool:
        """Whether an ordinary answer may belong to an attempt that failed, so each is looked at."""
        return self._failed.is_open(proxy)

    def pass_time(self, seconds: float, behind: frozenset[str]) -> None:
        """Let time go by for lines whose other half has not come.

        Args:
            seconds: since the last call.
            behind: proxies of whose logs something is still unread.
        """
        if self._failed.pass_time(seconds, behind):
            self._counters.touch()
        for answer in self._answered.pass_time(seconds, behind):
            self._counters.touch()
            if answer.said:
                self._counters.add("proxy_errors_total", (*answer.labels, answer.said))

    def take_tally(self, proxy: str, tally: Tally) -> None:
        """Count what many ordinary lines told at once."""
        for (site, upstream, status), number in tally.answers.items():
            place = self._behind(proxy, site, upstream)
            labels = (place.backend, proxy, place.site, vocabulary.http_code(status))
            self._counters.add("proxy_responses_total", labels, number)
        for (site, upstream), seconds in tally.durations.items():
            backend = self._behind(proxy, site, upstream).backend
            self._counters.observe("upstream_response_duration_seconds", (backend, proxy), seconds)

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
        if isinstance(event, UpstreamFailure):
            self._failure(proxy, event, counted)
        elif isinstance(event, Response):
            self._response(proxy, event, counted)
        elif isinstance(event, AnswerOrigin):
            if counted and event.marks:
                self._origin(proxy, event)
        elif counted and event.probe not in self._tokens:
            place = self._behind(proxy, event.site, None)
            self._failed.take(proxy, event.marks)
            self._counters.add("client_aborts_total", (place.backend, proxy, place.site))

    def _failure(self, proxy: str, event: UpstreamFailure, counted: bool) -> None:
        """A line that says why an attempt failed."""
        labels = self._attempt(proxy, event, counted)
        if labels is None:
            return
        if event.status is not None:
            # its client's answer is told too; the access log tells it once more
            self._answered.take(proxy, event.marks)
            if event.status >= 500:
                place = self._behind(proxy, event.site, event.upstream)
                code = vocabulary.http_code(event.status)
                labels_of_error = (place.backend, proxy, place.site, code, "upstream")
                self._counters.add("proxy_errors_total", labels_of_error)
        else:
            answers = self._answered.take(proxy, event.marks)
            for answer in answers[1:]:
                self._answered.put(answer)
            if answers:
                self._counters.add("proxy_errors_total", (*answers[0].labels, "upstream"))
                self._settled.extend((proxy, m) for m in event.marks if m.startswith("conn:"))
                return
            if any((proxy, mark) in self._settled for mark in event.marks):
                return  # another attempt of a request whose answer was read before
        if event.marks:
            said = _COUNTED if event.status is not None else ""
            if event.reason in _HALF_SENT:
                said = said or _SPOILT
            half = Half(proxy, list(event.marks), list(labels), said, _ANSWER_SECONDS)
            self._failed.put(half)

    def _origin(self, proxy: str, event: AnswerOrigin) -> None:
        """A line that says who makes an answer, which is an error if the access log says so."""
        answers = self._answered.take(proxy, event.marks)
        for answer in answers[1:]:
            self._answered.put(answer)
        if answers:
            self._counters.add("proxy_errors_total", (*answers[0].labels, event.origin))
        else:
            half = Half(proxy, list(event.marks), [], event.origin, _ORIGIN_SECONDS)
            self._failed.put(half)

    def _attempt(
        self, proxy: str, event: UpstreamFailure, counted: bool
    ) -> tuple[str, str, str] | None:
        """Keep a failed attempt as evidence and count it; None when it is not to be counted."""
        place = self._behind(proxy, event.site, event.upstream)
        kept = self.failures.setdefault(place.backend, deque(maxlen=_KEPT))
        if event not in kept:
            kept.append(event)
        if not counted or event.probe in self._tokens:
            return None
        labels = (place.backend, proxy, place.upstream)
        self._counters.add("upstream_failures_total", (*labels, event.reason))
        return labels

    def _response(self, proxy: str, event: Response, counted: bool) -> None:
        """A line that says what a client got."""
        if proxy not in self._told_by_errors:
            for attempt in event.attempts:
                self._attempt(proxy, attempt, counted)
        if not counted or event.probe in self._tokens:
            return
        place = self._behind(proxy, event.site, event.upstream)
        labels = (place.backend, proxy, place.site, vocabulary.http_code(event.status))
        self._counters.add("proxy_responses_total", labels)
        if event.duration is not None:
            self._counters.observe(
                "upstream_response_duration_seconds", (place.backend, proxy), (event.duration,)
            )
        failed = self._failed.take(proxy, event.marks)
        if event.status < 500:
            self._masked(proxy, event, failed)
            return
        if any(half.said == _COUNTED for half in failed):
            return
        said = next((half.said for half in failed if not half.labels), "")
        failed = [half for half in failed if half.labels]
        origin = event.origin or ("upstream" if failed else said)
        if origin == "upstream" and not failed and proxy in self._told_by_errors:
            origin = ""  # the error line is still to come
        if origin:
            self._counters.add("proxy_errors_total", (*labels, origin))
        elif event.marks:
            half = Half(
                proxy, list(event.marks), list(labels), event.origin or "", _ERROR_LINE_SECONDS
            )
            self._answered.put(half)

    def _masked(self, proxy: str, event: Response, failed: Iterable[Half]) -> None:
        """Count the attempts whose failure a client did not get to see."""
        masked = [tuple(half.labels) for half in failed if half.labels and half.said != _SPOILT]
        if event.tells:
            masked = []
            for attempt in event.attempts:
                if attempt.reason not in _HALF_SENT:
                    place = self._behind(proxy, event.site, attempt.upstream)
                    masked.append((place.backend, proxy, place.upstream))
        for labels in masked:
            self._counters.add("upstream_failures_masked_total", labels)

    def _behind(self, proxy: str, site: str | None, upstream: str | None) -> Place:
        """Where what an event names belongs."""
        behind = (paths.behind(proxy, site, upstream) for paths in self._maps)
        return next((place for place in behind if place is not None), _NOWHERE)

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
