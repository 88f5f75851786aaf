"""What the proxies' logs say: failed attempts, answers by code, errors by who made them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from badgateway import vocabulary
from badgateway.collectors import proxyseries
from badgateway.collectors.correlation import Half, Shelf, belongs
from badgateway.collectors.repeats import Repeats
from badgateway.collectors.slowness import Slowness
from badgateway.counters import Counters
from badgateway.events import AnswerOrigin, ClientAbort, Response, Tally, UpstreamFailure
from badgateway.topology.backends import UNKNOWN, PathMap, Place

_PLACES_KEPT: Final = 4096
_KEPT: Final = 200
"""Failures kept as evidence for each backend."""
_REFUSALS_KEPT: Final = 20
_ANSWER_SECONDS: Final = 130.0
"""How long the answer to a request may take of which an attempt failed: longer than proxies'
usual timeouts."""
_ERROR_LINE_SECONDS: Final = 5.0
"""How long an error waits for the line that says why: it was written first, and may be read later
because it stands in another file."""
_ORIGIN_SECONDS: Final = 10.0
"""How long a line that says who makes an answer waits for that answer."""
_HALF_SENT: Final = ("body_truncated", "body_timeout")
"""Failures that no later answer makes good, and that no status tells of: half was sent."""
_LATE_SECONDS: Final = 2.0
"""An error line's time is a whole second, and its request may have begun within it."""
_COVER_SECONDS: Final = 2.0
"""How long a failure that an ordinary answer may have made good for waits for a worse one: an
access log that names no connection tells two requests of one client for the same thing apart only
by what they were answered."""
_SETTLED_KEPT: Final = 500
"""Requests kept of which a further line may come within moments."""

_NOWHERE: Final = Place(UNKNOWN, UNKNOWN, UNKNOWN)
_COUNTED, _MASKED = "counted", "masked"

log = logging.getLogger("badgateway")

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
        self._repeats = Repeats(known.get("pending", ()))
        self._failed = Shelf(known.get("failed", ()))
        self._answered = Shelf(known.get("answered", ()))
        self._settled = Shelf(known.get("settled", ()), _SETTLED_KEPT)
        self._covered = Shelf(known.get("covered", ()))
        self._left = Shelf(known.get("left", ()), _SETTLED_KEPT)
        self._made = Shelf(known.get("made", ()), _SETTLED_KEPT)
        self._dropped: set[tuple[str, str]] = set()
        self.failures: dict[str, dict[UpstreamFailure, None]] = {}
        self.refusals: dict[str, deque[AnswerOrigin]] = {}
        """Backend → answers that a proxy made by itself, as its error log tells."""
        self._places: dict[tuple[str, str | None, str | None], Place] = {}
        self.slowness = Slowness()

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
        self._places.clear()
        self._told_by_errors = told_by_errors

    def declare(self, paths: PathMap, errors: Container[str], access: Container[str]) -> None:
        """Let series exist at 0; see ``proxyseries``."""
        proxyseries.declare(self._counters, paths, errors, access)

    def memory(self) -> dict[str, Any]:
        """What must be saved with the counters: lines that another may yet belong to."""
        return {
            "pending": self._repeats.memory(),
            "failed": self._failed.memory(),
            "answered": self._answered.memory(),
            "settled": self._settled.memory(),
            "covered": self._covered.memory(),
            "left": self._left.memory(),
            "made": self._made.memory(),
        }

    def knows(self, proxy: str, event: ProxyEvent) -> bool:
        """Whether the upstream that an event names is in a configuration of the proxy."""
        upstream = event.upstream if isinstance(event, UpstreamFailure | Response) else None
        return upstream is None or self._behind(proxy, event.site, upstream) is not _NOWHERE

    def asked_for(self, backend: str, since: float) -> bool:
        """Whether a client's request failed at a backend's upstream since a time."""
        return any(
            failure.at > since and failure.probe not in self._tokens
            for failure in self.failures.get(backend, ())
        )

    def expects(self, proxy: str) -> bool:
        """Whether an ordinary answer may belong to an attempt that failed, so each is looked at."""
        return self._failed.is_open(proxy)

    def crowded(self, *, answers: bool) -> bool:
        """Whether too many answers, or failed attempts, wait for what other lines tell."""
        return (self._answered if answers else self._failed).is_crowded

    def pass_time(self, seconds: float, behind: frozenset[str]) -> None:
        """Let time go by for lines whose other half has not come.

        Args:
            seconds: since the last call.
            behind: proxies of whose logs something is still unread.
        """
        for source in {source for proxy, source in self._dropped if proxy in behind}:
            log.warning("%s: more failures than can wait for their answers", source)
            self._counters.add("source_gaps_total", (source,))
        self._dropped.clear()
        for shelf in (self._failed, self._settled, self._left, self._made):
            if shelf.pass_time(seconds, behind):
                self._counters.touch()
        for half in self._covered.pass_time(seconds, behind):
            self._mask(half)
        for answer in self._answered.pass_time(seconds, behind):
            self._counters.touch()
            if answer.said:
                self._counters.add("proxy_errors_total", (*answer.labels, answer.said))

    def take_tally(self, proxy: str, tally: Tally, at: float) -> None:
        """Count what many ordinary lines told at once, read at ``at``."""
        for (site, upstream, status), number in tally.answers.items():
            place = self._behind(proxy, site, upstream)
            labels = (place.backend, proxy, place.site, vocabulary.http_code(status))
            self._counters.add("proxy_responses_total", labels, number)
        for (site, upstream), seconds in tally.durations.items():
            backend = self._behind(proxy, site, upstream).backend
            self._counters.observe("upstream_response_duration_seconds", (backend, proxy), seconds)
            self.slowness.note(backend, at, seconds)

    def take(self, proxy: str, event: ProxyEvent, counted: bool, source: str = "") -> None:
        """Take what happened at a proxy.

        Args:
            proxy: its name.
            event: what happened.
            counted: False makes it evidence only.
            source: the log that told.
        """
        if counted and proxy in self._doubled and self._repeats.told(proxy, event.identity, source):
            return
        if isinstance(event, AnswerOrigin) and event.origin == "proxy":
            backend = self._behind(proxy, event.site, None).backend
            self.refusals.setdefault(backend, deque(maxlen=_REFUSALS_KEPT)).append(event)
        if isinstance(event, UpstreamFailure):
            self._failure(proxy, event, counted, source)
        elif isinstance(event, Response):
            self._response(proxy, event, counted, source)
        elif not counted or event.probe in self._tokens:
            return
        elif isinstance(event, AnswerOrigin):
            if event.marks:
                self._origin(proxy, event)
        else:
            self._abort(proxy, event, source)

    def _abort(self, proxy: str, event: ClientAbort, source: str) -> None:
        """A client left; an error log at its finer levels tells so once more."""
        end = Half(
            proxy, list(event.marks), [], _COUNTED, _ERROR_LINE_SECONDS, event.at,
            _ANSWER_SECONDS, tried=[source],
        )  # fmt: skip
        self._failed.take_attempts(end)
        end.within = _LATE_SECONDS

        def is_other(half: Half) -> bool:
            return half.tried != end.tried and (belongs(half, end) or belongs(end, half))

        if self._left.take(end, is_other) is not None:
            return
        if event.marks and proxy in self._told_by_errors:
            self._left.put(end)
        place = self._behind(proxy, event.site, None)
        self._counters.add("client_aborts_total", (place.backend, proxy, place.site))

    def _failure(self, proxy: str, event: UpstreamFailure, counted: bool, source: str) -> None:
        """A line that says why an attempt failed."""
        labels = self._attempt(proxy, event, counted)
        if labels is None:
            return
        half = Half(
            proxy, list(event.marks), list(labels), "", _ANSWER_SECONDS, event.at,
            owner=labels[0] if labels[0] != UNKNOWN else "",
            tried=[event.upstream or labels[2]],
        )  # fmt: skip
        if event.status is not None:
            # its client's answer is told too; the access log tells it once more
            half.said = _COUNTED
            self._answered.take(half, lambda answer: belongs(half, answer))
            if event.status >= 500:
                place = self._behind(proxy, event.site, event.upstream)
                code = vocabulary.http_code(event.status)
                labels_of_error = (place.backend, proxy, place.site, code, "upstream")
                self._counters.add("proxy_errors_total", labels_of_error)
        elif event.reason in _HALF_SENT or self._is_settled(half):
            return
        elif answer := self._answered.take(half, lambda answer: belongs(half, answer)):
            self._counters.add("proxy_errors_total", (*answer.labels, "upstream"))
            self._settle(answer, [half], _COUNTED)
            return
        if event.marks and (dropped := self._failed.put(half)) and not dropped.said:
            self._dropped.add((dropped.proxy, source))

    def _is_settled(self, half: Half) -> bool:
        """Whether a failed attempt is of a request whose answer was read before."""
        request = self._settled.find(
            half, lambda each: half.tried[0] not in each.tried and belongs(half, each)
        )
        if request is None:
            return False
        request.tried += half.tried
        if request.said == _MASKED:
            self._cover(half)
        return True

    def _settle(self, answer: Half, attempts: list[Half], said: str) -> None:
        """Remember an answer for other attempts of its request, whose lines are still to come."""
        named = [mark for half in attempts for mark in half.marks]
        answer.marks = list(dict.fromkeys((*answer.marks, *named)))
        answer.tried = [place for half in attempts for place in half.tried]
        answer.said, answer.left = said, _ERROR_LINE_SECONDS
        self._settled.put(answer)

    def _origin(self, proxy: str, event: AnswerOrigin) -> None:
        """A line that says who makes an answer, which is an error if the access log says so."""
        half = Half(
            proxy, list(event.marks), [], event.origin, _ORIGIN_SECONDS, event.at
        )  # fmt: skip
        if answer := self._answered.take(half, lambda answer: belongs(half, answer)):
            self._counters.add("proxy_errors_total", (*answer.labels, event.origin))
        else:
            self._made.put(half)

    def _attempt(
        self, proxy: str, event: UpstreamFailure, counted: bool
    ) -> tuple[str, str, str] | None:
        """Keep a failed attempt as evidence and count it; None when it is not to be counted."""
        place = self._behind(proxy, event.site, event.upstream)
        kept = self.failures.setdefault(place.backend, {})
        kept.setdefault(event)  # what was read as evidence may be counted now
        if len(kept) > _KEPT:
            del kept[next(iter(kept))]
        if not counted or event.probe in self._tokens:
            return None
        labels = (place.backend, proxy, place.upstream)
        self._counters.add("upstream_failures_total", (*labels, event.reason))
        return labels

    def _response(self, proxy: str, event: Response, counted: bool, source: str) -> None:
        """A line that says what a client got."""
        if proxy not in self._told_by_errors:
            for attempt in event.attempts:
                self._attempt(proxy, attempt, counted)
        if not counted or event.probe in self._tokens:
            return
        place = self._behind(proxy, event.site, event.upstream)
        code = vocabulary.http_code(event.status)
        within = _ANSWER_SECONDS if event.spent is None else event.spent
        answer = Half(
            proxy, list(event.marks), [], event.origin or "", _ERROR_LINE_SECONDS,
            event.at if event.timed else 0.0, within + _LATE_SECONDS,
            "" if event.upstream or place.backend == UNKNOWN else place.backend,
        )  # fmt: skip
        failed: list[Half] = []
        if event.attempts or event.origin == "upstream" or not event.tells:
            answer.tried = [attempt.upstream or "" for attempt in event.attempts]
            failed = self._failed.take_attempts(answer)
            if event.status >= 500 and not failed:
                failed = self._covered.take_attempts(answer)
        backend = place.backend
        if backend == UNKNOWN:  # a log without host names; the attempt that failed had one
            backend = next((half.owner for half in failed if half.owner), UNKNOWN)
        labels = (backend, proxy, place.site, code)
        answer.labels = list(labels)
        self._counters.add("proxy_responses_total", labels)
        if event.duration is not None:
            self._counters.observe(
                "upstream_response_duration_seconds", (backend, proxy), (event.duration,)
            )
            self.slowness.note(backend, event.at, (event.duration,))
        made = self._made.take(answer, lambda half: belongs(half, answer))
        if event.status < 500:
            self._masked(proxy, event, answer, failed)
            return
        if any(half.said == _COUNTED for half in failed):
            return
        origin = event.origin or ("upstream" if failed else made.said if made else "")
        if origin == "upstream" and not failed and proxy in self._told_by_errors:
            origin = ""  # the error line is still to come
        if origin:
            self._counters.add("proxy_errors_total", (*labels, origin))
            if failed:
                self._settle(answer, failed, _COUNTED)
        elif event.marks and (dropped := self._answered.put(answer)):
            self._dropped.add((dropped.proxy, source))

    def _masked(self, proxy: str, event: Response, answer: Half, failed: list[Half]) -> None:
        """Count the attempts whose failure a client did not get to see."""
        if not event.tells:
            for half in failed:
                self._cover(half)
            if failed:
                self._settle(answer, failed, _MASKED)
            return
        masked = [each for each in event.attempts if each.reason not in _HALF_SENT]
        for attempt in masked:
            place = self._behind(proxy, event.site, attempt.upstream)
            labels = (place.backend, proxy, place.upstream)
            self._counters.add("upstream_failures_masked_total", labels)
        if masked:
            self._settle(answer, failed, "")

    def _cover(self, half: Half) -> None:
        """Let a failed attempt be masked, unless a worse answer is its request's."""
        if half.said:  # its client's answer is known
            self._mask(half)
            return
        half.said, half.left = _MASKED, _COVER_SECONDS
        if dropped := self._covered.put(half):
            self._mask(dropped)
        self._counters.touch()

    def _mask(self, half: Half) -> None:
        self._counters.add("upstream_failures_masked_total", tuple(half.labels))

    def _behind(self, proxy: str, site: str | None, upstream: str | None) -> Place:
        """Where what an event names belongs."""
        known = self._places.get((proxy, site, upstream))
        if known is None:
            behind = (paths.behind(proxy, site, upstream) for paths in self._maps)
            known = next((place for place in behind if place is not None), _NOWHERE)
            if len(self._places) >= _PLACES_KEPT:  # clients make sites up
                self._places.clear()
            self._places[proxy, site, upstream] = known
        return known
