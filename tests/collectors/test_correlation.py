"""One failure once: the lines of one request in several logs."""

from __future__ import annotations

import itertools

import pytest

from badgateway.collectors.proxies import Proxies, ProxyEvent
from badgateway.counters import Counters
from badgateway.events import ClientAbort, Response, Tally, UpstreamFailure
from badgateway.topology.backends import Backend, PathMap, ProxyPath
from badgateway.topology.routes import Route

ONE, TWO = "127.0.0.1:8001", "127.0.0.1:8002"
LINE = "line:10.0.0.1 GET /x"


def paths() -> PathMap:
    routes = [Route("one.test", ":80", address, group="app") for address in (ONE, TWO)]
    backend = Backend(
        "api", listens=(ONE, TWO), paths=tuple(ProxyPath("web", route) for route in routes)
    )
    return PathMap((backend,))


def watching(told_by_errors: bool = True, memory: object = None) -> tuple[Counters, Proxies]:
    counters = Counters()
    read = Proxies(counters, (), memory if isinstance(memory, dict) else None)
    told = frozenset(("web",)) if told_by_errors else frozenset[str]()
    read.watch(paths(), PathMap(), told_by_errors=told)
    return counters, read


def failure(
    connection: int = 1, upstream: str | None = ONE, reason: str = "connect_refused"
) -> UpstreamFailure:
    marks = (f"conn:{connection}", LINE)
    return UpstreamFailure(1.0, reason, None, "one.test", upstream, marks=marks)


def answer(status: int = 502) -> Response:
    """A line of a log in ``combined``: it tells nothing of upstreams."""
    return Response(1.0, status, "one.test", marks=(LINE,))


def told(
    status: int, origin: str | None = None, attempts: tuple[UpstreamFailure, ...] = ()
) -> Response:
    """A line of a JSON log with the upstream variables."""
    return Response(
        1.0, status, "one.test", origin, 0.2, ONE, attempts=attempts, tells=True, marks=("conn:1",)
    )


def failures(counters: Counters, upstream: str = ONE, reason: str = "connect_refused") -> float:
    return counters.value("upstream_failures_total", ("api", "web", upstream, reason))


def masked(counters: Counters, upstream: str = ONE) -> float:
    return counters.value("upstream_failures_masked_total", ("api", "web", upstream))


def errors(counters: Counters, origin: str, code: str = "502") -> float:
    return counters.value("proxy_errors_total", ("api", "web", "one.test", code, origin))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_error_line_and_access_line_are_one_failure_in_any_order(order: tuple[int, ...]) -> None:
    counters, read = watching()
    lines: list[ProxyEvent] = [failure(), failure(upstream=TWO), answer()]
    for number in order:
        read.take("web", lines[number], True)
    assert (failures(counters), failures(counters, TWO)) == (1, 1)
    assert errors(counters, "upstream") == 1
    assert masked(counters) == masked(counters, TWO) == 0


def test_an_attempt_that_a_retry_made_good_for_is_masked() -> None:
    counters, read = watching()
    read.take("web", failure(), True)
    assert read.expects("web")
    read.take("web", answer(200), True)
    assert (failures(counters), masked(counters)) == (1, 1)
    assert not read.expects("web")


def test_half_a_body_is_never_masked() -> None:
    counters, read = watching()
    read.take("web", failure(reason="body_truncated"), True)
    read.take("web", answer(200), True)
    assert masked(counters) == 0


def test_the_same_question_asked_often_is_as_many_requests() -> None:
    counters, read = watching()
    for number in range(3):
        read.take("web", failure(number), True)
    for status in (502, 200, 502):
        read.take("web", answer(status), True)
    assert (failures(counters), errors(counters, "upstream"), masked(counters)) == (3, 2, 1)


def test_an_error_that_no_error_line_explains_is_nobodys_until_told() -> None:
    counters, read = watching()
    read.take("web", answer(), True)
    read.pass_time(60, frozenset({"web"}))  # the error log is not read up to now
    read.take("web", failure(), True)
    read.take("web", answer(), True)
    read.pass_time(60, frozenset())
    assert errors(counters, "upstream") == 1
    assert errors(counters, "application") == errors(counters, "proxy") == 0


@pytest.mark.parametrize("origin", ["application", "proxy"])
def test_an_answer_that_tells_who_made_it_is_counted_at_once(origin: str) -> None:
    counters, read = watching()
    read.take("web", told(502, origin), True)
    assert errors(counters, origin) == 1


def test_attempts_of_an_access_line_are_those_of_the_error_log() -> None:
    counters, read = watching()
    attempt = failure(reason="connect_failed")
    read.take("web", failure(), True)
    read.take("web", told(200, attempts=(attempt,)), True)
    assert (failures(counters), failures(counters, reason="connect_failed")) == (1, 0)
    assert masked(counters) == 1


def test_attempts_of_an_access_line_count_where_no_error_log_tells() -> None:
    counters, read = watching(told_by_errors=False)
    attempt = failure(reason="connect_failed")
    read.take("web", told(502, "upstream", (attempt,)), True)
    assert failures(counters, reason="connect_failed") == 1
    assert errors(counters, "upstream") == 1
    assert [f.reason for f in read.failures["api"]] == ["connect_failed"]


def test_a_line_that_tells_the_status_too_is_not_counted_again_by_the_access_log() -> None:
    counters, read = watching(told_by_errors=False)
    marks = ("caddy:10.0.0.1:7 /x 0.1",)
    error = UpstreamFailure(1.0, "reset", 502, "one.test", ONE, marks=marks)
    access = Response(1.0, 502, "one.test", "upstream", tells=True, marks=marks)
    for lines in ((error, access), (access, error)):
        counters, read = watching()
        for line in lines:
            read.take("web", line, True)
        read.pass_time(10, frozenset())
        assert errors(counters, "upstream") == 1


def test_what_an_error_log_hides_is_told_by_the_access_log() -> None:
    counters, read = watching()
    read.take("web", told(502, "upstream"), True)
    assert errors(counters, "upstream") == 0
    read.pass_time(10, frozenset())
    assert errors(counters, "upstream") == 1


def test_a_client_that_left_ends_the_wait() -> None:
    counters, read = watching()
    read.take("web", failure(), True)
    read.take("web", ClientAbort(1.0, "one.test", marks=(LINE,)), True)
    assert not read.expects("web")
    assert counters.value("client_aborts_total", ("api", "web", "one.test")) == 1


def test_what_waits_survives_a_kill() -> None:
    counters, read = watching()
    read.take("web", failure(), True)
    read.take("web", Response(1.0, 502, "one.test", marks=("line:10.0.0.2 GET /y",)), True)
    counters, read = watching(memory=read.memory())
    read.take("web", answer(), True)
    other = UpstreamFailure(1, "reset", None, "one.test", ONE, marks=("line:10.0.0.2 GET /y",))
    read.take("web", other, True)
    assert errors(counters, "upstream") == 2


def test_what_waits_is_bounded() -> None:
    _, read = watching()
    for number in range(12_000):
        mark = (f"line:10.0.0.1 GET /{number}",)
        read.take("web", UpstreamFailure(1.0, "reset", None, "one.test", ONE, marks=mark), True)
        read.take("web", Response(1.0, 502, "one.test", marks=(mark[0] + "x",)), True)
    assert len(read.memory()["failed"]) == len(read.memory()["answered"]) == 5000
    read.pass_time(1000, frozenset())
    assert read.memory()["failed"] == read.memory()["answered"] == []
    assert not read.expects("web")


def test_ordinary_lines_are_counted_together() -> None:
    counters, read = watching()
    tally = Tally(
        {("one.test", ONE, 200): 7, (None, TWO, 404): 2, ("evil.test", None, 200): 1},
        {("one.test", ONE): (0.001, 0.2, 61.0)},
        (),
        10,
    )
    read.take_tally("web", tally)
    value = counters.value
    assert value("proxy_responses_total", ("api", "web", "one.test", "200")) == 7
    assert value("proxy_responses_total", ("api", "web", "one.test", "404")) == 2
    assert value("proxy_responses_total", ("other", "web", "other", "200")) == 1
    name = "upstream_response_duration_seconds"
    buckets = {le: value(name, ("api", "web", le)) for le in ("0.005", "0.25", "60", "120", "+Inf")}
    assert buckets == {"0.005": 1, "0.25": 1, "60": 0, "120": 1, "+Inf": 0}
    assert value(name, ("api", "web", "sum")) == pytest.approx(61.201)


def test_a_group_without_a_live_member_is_named_by_its_name() -> None:
    counters, read = watching()
    read.take("web", failure(upstream="app", reason="no_live_upstream"), True)
    assert failures(counters, "app", "no_live_upstream") == 1


def test_what_two_applications_may_have_failed_at_is_neithers() -> None:
    counters = Counters()
    read = Proxies(counters, ())
    both = PathMap(
        tuple(
            Backend(name, listens=(at,), paths=(ProxyPath("web", Route("one.test", ":80", at)),))
            for name, at in (("api", ONE), ("web", TWO))
        )
    )
    read.watch(both, PathMap())
    read.take("web", failure(upstream=None), True)
    labels = ("other", "web", "unknown", "connect_refused")
    assert counters.value("upstream_failures_total", labels) == 1
