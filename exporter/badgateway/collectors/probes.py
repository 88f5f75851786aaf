"""Probes: is the path answering, seen from the edge, at the proxy and at the application.

Each URL has its own timer; results are counted when they happen and a scrape reads memory. A probe
identifies itself in its User-Agent, follows no redirect, reuses no connection and reads no more of
the body than it must.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import httpx

from badgateway import vocabulary
from badgateway.collectors.ownports import OwnPorts
from badgateway.collectors.probeoutcome import Watch, certificate_expiry, failure_reason, judge
from badgateway.collectors.requestheaders import Header, RequestHeaders
from badgateway.config.secretfiles import SecretError
from badgateway.counters import Counters
from badgateway.httperrors import alone
from badgateway.useragent import referer, user_agent

log = logging.getLogger("badgateway.probes")

# httpcore looks for sniffio on every request, through all of sys.path where it is not installed.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Target:
    """One URL to ask.

    Attributes:
        backend: the backend it belongs to.
        name: the ``probe`` label.
        vantage: ``edge``, ``proxy`` or ``origin``.
        url: what to ask for.
        host: Host header and TLS server name, where they are not the URL's.
        socket: path of a unix socket to connect to instead of the URL's host.
        expected: statuses that are right; empty: everything but 502, 503 and 504.
        body: text the body must hold.
        headers: request headers to send along.
        verify: whether the certificate must be valid.
        tolerated: statuses that are no failure although they are a gateway's errors.
    """

    backend: str
    name: str
    vantage: str
    url: str
    host: str | None = None
    socket: str | None = None
    expected: frozenset[int] = frozenset()
    body: str | None = None
    headers: tuple[Header, ...] = ()
    verify: bool = True
    tolerated: frozenset[int] = frozenset()

    @property
    def labels(self) -> tuple[str, str, str]:
        """backend, probe, vantage."""
        return (self.backend, self.name, self.vantage)


@dataclass(frozen=True, slots=True)
class Result:
    """One probe's outcome; durations in seconds, ``reason`` empty when it succeeded."""

    at: float
    status: int
    reason: str
    durations: dict[str, float]
    certificate_expiry: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one target now.

    Attributes:
        target: the target.
        last: the last result of asking.
        failures: failed in a row.
        since: when the present streak, good or bad, began.
        succeeded: when this probe last succeeded, also at another URL; 0 for never.
        silent: why it is not asked now, such as a secret that cannot be read; else empty. What is
            known stays as it was: a streak of failures ends by an answer, not by silence.
    """

    target: Target
    last: Result
    failures: int
    since: float
    succeeded: float = 0.0
    silent: str = ""

    @property
    def failing(self) -> bool:
        """Whether the last probe that asked failed."""
        return self.failures > 0

    @property
    def asked(self) -> bool:
        """Whether the last probe asked at all: without its secret it tells nothing of the path."""
        return not self.silent


class Probes:
    """Runs all probes and keeps their state."""

    def __init__(self, counters: Counters, token: str, interval: float, timeout: float) -> None:
        self._counters = counters
        self._identity = _identity(token)
        self._interval, self._timeout = interval, timeout
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._paused: set[str] = set()
        self._succeeded: dict[tuple[str, str, str], float] = {}
        self.states: dict[Target, State] = {}
        self.ports = OwnPorts()
        """Where its connections came from."""

    def reconfigure(self, interval: float, timeout: float) -> None:
        """Use another interval and time-out, both in seconds, from each target's next probe on."""
        self._interval, self._timeout = interval, timeout

    def watch(self, targets: frozenset[Target]) -> None:
        """Ask exactly these from now on."""
        left: dict[tuple[str, ...], State] = {}
        known = {target.labels for target in targets}
        self._succeeded = {k: at for k, at in self._succeeded.items() if k in known}
        for target in set(self._tasks) - targets:
            self._tasks.pop(target).cancel()
            state = self.states.pop(target, None)
            if state is not None and state.failing:
                left[_order(target)] = state
        for number, target in enumerate(sorted(targets - set(self._tasks), key=_order)):
            delay = self._interval * (number % 10) / 50
            before = left.get(_order(target))
            if (
                before is not None
            ):  # the same URL asked in another way: only an answer ends a streak
                self.states[target] = replace(before, target=target)
            self._tasks[target] = asyncio.create_task(self._repeat(target, delay))

    def identify(self, token: str) -> None:
        """Ask in the name of the exporter whose token this is."""
        self._identity = _identity(token)

    def pause(self, backends: set[str]) -> None:
        """Do not ask these backends' applications directly: it would wake a sleeping unit."""
        self._paused = backends

    async def stop(self) -> None:
        """End all probes."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def once(self, targets: frozenset[Target]) -> None:
        """Ask each target once."""
        results = await asyncio.gather(
            *(self.ask(target) for target in sorted(targets, key=_order))
        )
        for target, result in zip(sorted(targets, key=_order), results, strict=True):
            self._record(target, result)

    async def ask(self, target: Target) -> Result:
        """Ask once; failures are results, never exceptions."""
        async with self._client(target) as client:
            return await self._ask(client, target, _headers(target))

    async def _repeat(self, target: Target, delay: float) -> None:
        await asyncio.sleep(delay)
        headers = _headers(target)
        while True:
            try:
                await self._rounds(target, headers)
            except Exception as error:  # such as no descriptor to read certificates with
                log.error("probe %s of %s is begun anew: %r", target.name, target.backend, error)
            await asyncio.sleep(self._interval)

    async def _rounds(self, target: Target, headers: RequestHeaders) -> None:
        async with self._client(target) as client:
            while True:
                begun = time.monotonic()
                if target.vantage == "origin" and target.backend in self._paused:
                    self.states.pop(target, None)
                else:
                    self._record(target, await self._ask(client, target, headers))
                rest = self._interval - (time.monotonic() - begun)
                await asyncio.sleep(max(rest, self._interval / 10))

    async def _ask(
        self, client: httpx.AsyncClient, target: Target, given: RequestHeaders
    ) -> Result:
        watch = Watch(self.ports.add)
        status, detail, reason, expiry = 0, "", "", None
        headers = httpx.Headers({**self._identity, "Accept": "*/*", "Connection": "close"})
        extensions: dict[str, Any] = {"trace": watch.trace}
        if target.host:
            headers["Host"] = target.host
            extensions["sni_hostname"] = target.host.partition(":")[0]
        try:
            headers.update(await given.read())
            async with asyncio.timeout(self._timeout):
                request = client.build_request(
                    "GET", target.url, headers=headers, extensions=extensions
                )
                response = await client.send(request, stream=True)
                try:
                    status = response.status_code
                    expiry = certificate_expiry(response)
                    reason, detail = await judge(
                        target.expected, target.body, response, target.tolerated
                    )
                finally:
                    await response.aclose()
        except SecretError as error:
            reason, detail = "configuration", str(error)[:200]
        except TimeoutError:
            reason = "response_timeout" if watch.connected else "connect_timeout"
        except Exception as error:  # a proxy's file may name an address that no library foresees
            error = alone(error)
            reason, detail = failure_reason(error), str(error)[:200]
            if isinstance(error, httpx.LocalProtocolError):
                detail = "the request cannot be sent"  # its words would quote a header's value
        return Result(time.time(), status, reason, watch.durations(), expiry, detail)

    def _record(self, target: Target, result: Result) -> None:
        before = self.states.get(target)
        if result.reason == "configuration":
            self._record_silence(target, result)
            return
        failed = bool(result.reason)
        failures = (before.failures if before else 0) + 1 if failed else 0
        same = before is not None and before.failing == failed
        since = before.since if before and same else result.at
        if not failed:
            self._succeeded[target.labels] = result.at
        succeeded = self._succeeded.get(target.labels, 0.0)
        self.states[target] = State(target, result, failures, since, succeeded)
        if before is None:
            self._declare(target)
        if result.status:
            code = vocabulary.http_code(result.status)
            self._counters.add("probe_responses_total", (*target.labels, code))
        if failed:
            self._counters.add("probe_failures_total", (*target.labels, result.reason))

    def _record_silence(self, target: Target, result: Result) -> None:
        """Nothing was asked: what was known stays, and so does the time of the last probe."""
        before = self.states.get(target)
        if before is None:
            self._declare(target)
            before = State(target, result, 0, result.at)
        self.states[target] = replace(before, silent=result.detail)
        self._counters.add("probe_failures_total", (*target.labels, result.reason))

    def _declare(self, target: Target) -> None:
        for code in ("200", "502", "503", "504"):
            self._counters.declare("probe_responses_total", (*target.labels, code))
        for reason in vocabulary.PROBE_FAILURE_REASONS:
            self._counters.declare("probe_failures_total", (*target.labels, reason))

    def _client(self, target: Target) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                verify=target.verify,
                uds=target.socket,
                limits=httpx.Limits(max_keepalive_connections=0),
                trust_env=False,
            ),
            timeout=httpx.Timeout(None),  # the whole request has one, which a reload may change
            follow_redirects=False,
            trust_env=False,
        )


def _identity(token: str) -> dict[str, str]:
    return {"User-Agent": user_agent(token), "Referer": referer(token)}


def _headers(target: Target) -> RequestHeaders:
    return RequestHeaders(target.headers, f"probe {target.name} of {target.backend}")


def _order(target: Target) -> tuple[str, ...]:
    return (*target.labels, target.url)
