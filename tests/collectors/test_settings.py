"""Which settings of two hops do not fit each other."""

from __future__ import annotations

import pytest

from badgateway.collectors.settings import Bound, bound, mismatches, timeouts
from badgateway.topology.backends import Backend, ProxyPath
from badgateway.topology.launch.command import Launch
from badgateway.topology.routes import Route

UVICORN = "uvicorn.workers.UvicornWorker"


def backend(
    worker_class: str, server: dict[str, float], *proxies: dict[str, float], name: str = "gunicorn"
) -> Backend:
    launch = Launch(server=name, worker_class=worker_class, timeouts=tuple(server.items()))
    paths = [
        ProxyPath("nginx", Route(f"s{number}", ":80", "127.0.0.1:8000", timeouts=tuple(p.items())))
        for number, p in enumerate(proxies)
    ]
    return Backend("api", launch=launch, paths=tuple(paths))


@pytest.mark.parametrize(
    ("worker_class", "worker", "read", "mismatch"),
    [
        ("sync", 30, 180, True),
        ("sync", 30, 30, False),
        ("sync", 120, 60, False),
        ("sync", 0, 60, False),
        ("gthread", 30, 180, False),
        (UVICORN, 30, 180, True),
        ("gevent", 30, 180, True),
        ("", 30, 180, False),
    ],
)
def test_the_proxy_waits_longer_than_a_worker_may_be_silent(
    worker_class: str, worker: float, read: float, mismatch: bool
) -> None:
    found = backend(worker_class, {"worker": worker}, {"read": read})
    assert mismatches(found) == {"timeout_ladder": mismatch}


@pytest.mark.parametrize(
    ("worker_class", "cuts"),
    [("sync", Bound.REQUEST), ("gthread", Bound.NOTHING), (UVICORN, Bound.EVENT_LOOP)],
)
def test_what_a_worker_timeout_cuts_off_depends_on_the_worker_class(
    worker_class: str, cuts: Bound
) -> None:
    assert bound(backend(worker_class, {"worker": 30})) is cuts


def test_uwsgis_harakiri_cuts_off_every_request() -> None:
    assert bound(backend("", {"worker": 30}, name="uwsgi")) is Bound.REQUEST


@pytest.mark.parametrize(("keepalive", "mismatch"), [(5, True), (60, True), (75, False)])
def test_the_server_closes_what_the_proxy_still_uses(keepalive: float, mismatch: bool) -> None:
    found = backend(UVICORN, {"keepalive": keepalive}, {"upstream_keepalive": 60})
    assert mismatches(found) == {"keepalive_ladder": mismatch}


def test_what_is_not_known_is_not_compared() -> None:
    assert mismatches(backend("sync", {}, {"read": 60})) == {}
    assert mismatches(backend("sync", {"worker": 30})) == {}
    assert mismatches(Backend("elsewhere")) == {}


def test_of_several_routes_the_shortest_is_shown_and_the_longest_compared() -> None:
    found = backend("sync", {"worker": 60, "graceful": 30}, {"read": 30}, {"read": 180})
    assert timeouts(found) == (
        ("proxy", "read", 30), ("server", "worker", 60), ("server", "graceful", 30),
    )  # fmt: skip
    assert mismatches(found) == {"timeout_ladder": True}
