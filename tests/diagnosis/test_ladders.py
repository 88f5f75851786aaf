"""The risk that a proxy waits longer than a worker may be silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.collectors.proxies import Proxies
from badgateway.collectors.slowness import Slowness
from badgateway.counters import Counters
from badgateway.diagnosis import risks
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.ladders import timeout_ladder
from badgateway.events import Response, Tally, WorkerEnd
from badgateway.topology.backends import PathMap, ProxyPath
from badgateway.topology.launch.command import Launch
from badgateway.topology.routes import Route
from tests.diagnosis.builders import BACKEND, NOW, healthy

UVICORN = "uvicorn.workers.UvicornWorker"
KILLED = (WorkerEnd(NOW - 3600, "gunicorn", "timeout", 12),)


def evidence(
    worker_class: str = "sync", worker: float = 30, read: float = 60, **changes: object
) -> Evidence:
    launch = Launch(server="gunicorn", worker_class=worker_class, timeouts=(("worker", worker),))
    path = ProxyPath("nginx", Route("*", ":80", "127.0.0.1:8001", timeouts=(("read", read),)))
    backend = replace(BACKEND, launch=launch, paths=(path,))
    return replace(healthy(), backend=backend, **changes)  # type: ignore[arg-type]


def test_defaults_alone_alarm_nobody() -> None:
    assert timeout_ladder(evidence()) is None
    assert timeout_ladder(evidence(UVICORN, read=180)) is None
    assert timeout_ladder(evidence(slowest=20.0)) is None


def test_answers_that_take_nearly_as_long_are_a_risk() -> None:
    found = timeout_ladder(evidence(slowest=24.0))
    assert found is not None
    assert found.risk == "timeout_ladder"
    assert "30 s" in found.summary
    assert "60 s" in found.summary
    assert "24.0 s" in found.evidence[0]
    assert "--timeout" in found.next_steps[0]
    assert risks.find(evidence(slowest=24.0)) == (found,)


def test_a_slow_answer_of_an_event_loop_is_none() -> None:
    assert timeout_ladder(evidence(UVICORN, slowest=29.0, read=180)) is None


@pytest.mark.parametrize("worker_class", ["sync", UVICORN])
def test_a_worker_that_was_killed_for_it_is_a_risk(worker_class: str) -> None:
    found = timeout_ladder(evidence(worker_class, read=180, worker_ends=KILLED))
    assert found is not None
    assert found.since == KILLED[0].at


def test_a_worker_killed_long_ago_or_for_another_reason_is_none() -> None:
    assert timeout_ladder(evidence(worker_ends=(replace(KILLED[0], at=NOW - 30_000),))) is None
    assert timeout_ladder(evidence(worker_ends=(replace(KILLED[0], reason="oom"),))) is None


def test_settings_that_fit_are_none_whatever_happens() -> None:
    assert timeout_ladder(evidence(worker=120, slowest=119.0, worker_ends=KILLED)) is None
    assert timeout_ladder(evidence("gthread", slowest=29.0, worker_ends=KILLED)) is None


def test_the_longest_answer_is_remembered_for_a_quarter_of_an_hour() -> None:
    slowness = Slowness()
    slowness.note("api", NOW - 1200, (50.0,))
    slowness.note("api", NOW - 600, (3.0, 25.0, 1.0))
    slowness.note("api", NOW - 10, (0.1,))
    assert slowness.longest("api", NOW) == 25.0
    assert slowness.longest("api", NOW + 600) == 0.1
    assert slowness.longest("other", NOW) == 0.0
    slowness.forget()
    assert slowness.longest("api", NOW) == 0.0


def test_every_answer_a_proxy_tells_of_is_taken_note_of() -> None:
    read = Proxies(Counters(), ("token",))
    found = evidence()
    read.watch(PathMap((found.backend,)), PathMap())
    read.take("nginx", Response(NOW, 200, None, duration=9.0, upstream="127.0.0.1:8001"), True)
    asked = Response(NOW, 200, None, duration=99.0, upstream="127.0.0.1:8001", probe="token")
    read.take("nginx", asked, True)
    assert read.slowness.longest("api", NOW) == 9.0
    read.take_tally("nginx", Tally({}, {(None, "127.0.0.1:8001"): (1.0, 26.0)}, (), 2), NOW)
    assert read.slowness.longest("api", NOW) == 26.0
