from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.collectors.probes import Target
from badgateway.counters import Counters
from badgateway.retention import KEEP_SECONDS, Present, Retention
from badgateway.topology.backends import Backend, PathMap, ProxyPath
from badgateway.topology.routes import Route

OLD = ("api", "web", "127.0.0.1:8001", "connect_refused")
NEW = ("api", "web", "127.0.0.1:8002", "connect_refused")
FAILURES = "upstream_failures_total"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def present(*upstreams: str) -> Present:
    paths = tuple(ProxyPath("web", Route(":80", "example.test", u)) for u in upstreams)
    backends = (Backend("api", "systemd", "api.service", paths=paths),) if upstreams else ()
    target = Target("api", "origin", "origin", "http://127.0.0.1:8001/")
    return Present(
        (PathMap(backends),), frozenset({"web"}), frozenset({target}), frozenset({"web-log"})
    )


def shown(counters: Counters) -> set[tuple[str, tuple[str, ...]]]:
    counters.publish(counters.snapshot())
    return {(name, labels) for name, series in counters.exposed() for labels, _ in series}


@pytest.fixture
def counters() -> Counters:
    made = Counters()
    made.declare(FAILURES, OLD)
    made.declare(FAILURES, NEW)
    return made


def test_the_series_of_a_former_upstream_is_seen_for_a_day(counters: Counters) -> None:
    clock = Clock()
    retention = Retention(counters, clock=clock)
    retention.look(present("127.0.0.1:8002"))
    clock.now += KEEP_SECONDS - 1
    retention.look(present("127.0.0.1:8002"))
    assert shown(counters) == {(FAILURES, OLD), (FAILURES, NEW)}
    clock.now += 2
    retention.look(present("127.0.0.1:8002"))
    assert shown(counters) == {(FAILURES, NEW)}


def test_the_series_of_a_former_backend_are_hidden_at_once_and_kept_for_a_day(
    counters: Counters,
) -> None:
    clock = Clock()
    counters.add(FAILURES, OLD, 7)
    retention = Retention(counters, clock=clock)
    retention.look(present())
    assert shown(counters) == set()
    clock.now += KEEP_SECONDS - 1
    retention.look(present("127.0.0.1:8001"))
    assert (FAILURES, OLD) in shown(counters)
    assert counters.value(FAILURES, OLD) == 7


def test_what_is_hidden_is_hidden_after_a_restart_before_anything_was_looked_at(
    counters: Counters,
) -> None:
    counters.add(FAILURES, OLD, 7)
    first = Retention(counters, clock=Clock())
    first.look(present())
    after = Counters()
    after.restore(counters.snapshot())
    Retention(after, first.memory(), Clock())
    assert not [labels for _, series in after.exposed() for labels, _ in series]


def test_what_is_forgotten_is_not_seen_again_until_that_is_saved(counters: Counters) -> None:
    clock = Clock()
    retention = Retention(counters, clock=clock)
    retention.look(present())
    counters.publish(counters.snapshot())
    clock.now += KEEP_SECONDS
    retention.look(present())
    assert not [labels for _, series in counters.exposed() for labels, _ in series]


def test_the_day_begins_anew_when_it_leaves_again(counters: Counters) -> None:
    clock = Clock()
    retention = Retention(counters, clock=clock)
    for upstream in ("127.0.0.1:8002", "127.0.0.1:8001", "127.0.0.1:8002"):
        retention.look(present(upstream))
        clock.now += KEEP_SECONDS * 0.6
    retention.look(present("127.0.0.1:8002"))
    assert (FAILURES, OLD) in shown(counters)


def test_the_day_goes_on_over_a_restart(counters: Counters) -> None:
    clock = Clock()
    first = Retention(counters, clock=clock)
    first.look(present("127.0.0.1:8002"))
    clock.now += KEEP_SECONDS - 10
    second = Retention(counters, first.memory(), clock)
    second.look(present("127.0.0.1:8002"))
    clock.now += 11
    second.look(present("127.0.0.1:8002"))
    assert shown(counters) == {(FAILURES, NEW)}


def test_a_clock_set_back_neither_ends_nor_prolongs_the_day(counters: Counters) -> None:
    clock = Clock()
    retention = Retention(counters, clock=clock)
    retention.look(present("127.0.0.1:8002"))
    clock.now -= 3600
    retention.look(present("127.0.0.1:8002"))
    assert (FAILURES, OLD) in shown(counters)
    clock.now += KEEP_SECONDS
    retention.look(present("127.0.0.1:8002"))
    assert (FAILURES, OLD) not in shown(counters)


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("probe_responses_total", ("api", "edge", "edge", "200")),
        ("log_lines_total", ("old-log", "event")),
    ],
)
def test_the_series_of_a_former_probe_or_log_are_hidden(
    counters: Counters, metric: str, labels: tuple[str, ...]
) -> None:
    counters.declare(metric, labels)
    Retention(counters).look(present("127.0.0.1:8001"))
    assert (metric, labels) not in shown(counters)


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("probe_responses_total", ("api", "origin", "origin", "200")),
        ("log_lines_total", ("web-log", "event")),
        ("proxy_responses_total", ("api", "web", "other", "200")),
        ("proxy_responses_total", ("other", "web", "other", "404")),
        ("upstream_failures_total", ("api", "web", "unknown", "reset")),
        ("worker_recycles_total", ("api", "uvicorn", "timeout")),
        ("service_restarts_total", ("api", "systemd", "api.service", "manual")),
    ],
)
def test_the_series_of_what_is_there_stay_for_ever(
    counters: Counters, metric: str, labels: tuple[str, ...]
) -> None:
    clock = Clock()
    counters.declare(metric, labels)
    retention = Retention(counters, clock=clock)
    for _ in range(3):
        retention.look(present("127.0.0.1:8001"))
        clock.now += KEEP_SECONDS
    assert (metric, labels) in shown(counters)


def test_the_series_of_a_former_proxy_are_forgotten(counters: Counters) -> None:
    clock = Clock()
    labels = ("other", "web", "other", "404")
    counters.declare("proxy_responses_total", labels)
    retention = Retention(counters, clock=clock)
    without = replace(present("127.0.0.1:8001"), proxies=frozenset())
    retention.look(without)
    clock.now += KEEP_SECONDS
    retention.look(without)
    assert ("proxy_responses_total", labels) not in shown(counters)
