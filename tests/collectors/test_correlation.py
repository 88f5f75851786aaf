"""One failure once: the lines of one request in several logs."""

from __future__ import annotations

import itertools

import pytest

from badgateway.collectors.proxies import Proxies, ProxyEvent
from badgateway.counters import Counters
from badgateway.events import AnswerOrigin, ClientAbort, Response, Tally, UpstreamFailure
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
    assert not read.expects("web")
    read.pass_time(3, frozenset())
    assert (failures(counters), masked(counters)) == (1, 1)


def test_an_ordinary_answer_of_the_same_second_takes_no_failure_from_an_error() -> None:
    counters, read = watching()
    read.take("web", failure(), True)
    for status in (200, 502):  # two requests of one client for the same thing
        read.take("web", answer(status), True)
    read.pass_time(10, frozenset())
    assert (errors(counters, "upstream"), masked(counters)) == (1, 0)


def test_what_may_be_masked_survives_a_kill() -> None:
    counters, read = watching()
    read.take("web", failure(), True)
    read.take("web", answer(200), True)
    counters, read = watching(memory=read.memory())
    read.pass_time(10, frozenset())
    assert masked(counters) == 1


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
    read.pass_time(3, frozenset())
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
    read.take_tally("web", tally, 1.0)
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


def asked(number: int) -> str:
    return f"line:10.0.0.1 GET /{number}"


def failed(number: int, connection: int = 1, at: float = 100.0, upstream: str = ONE) -> ProxyEvent:
    marks = (f"conn:{connection}", asked(number))
    return UpstreamFailure(at, "reset", None, "one.test", upstream, marks=marks)


def answered(number: int, status: int = 502, at: float = 100.0) -> Response:
    return Response(at, status, "one.test", marks=(asked(number),))


def test_failing_requests_of_one_connection_are_as_many_failures() -> None:
    for order in itertools.permutations(range(4)):
        counters, read = watching()
        lines = [failed(1), failed(2), answered(1), answered(2)]
        for number in order:
            read.take("web", lines[number], True)
        assert errors(counters, "upstream") == 2, order


def test_the_same_failing_request_again_in_one_connection_is_another() -> None:
    for order in ((0, 1, 2, 3), (0, 2, 1, 3), (2, 3, 0, 1), (0, 2, 3, 1)):
        counters, read = watching()
        lines = [failed(1), failed(1), answered(1), answered(1)]
        for number in order:
            read.take("web", lines[number], True)
        assert errors(counters, "upstream") == 2, order


def test_attempts_of_one_request_and_of_the_next_in_one_connection_are_kept_apart() -> None:
    counters, read = watching()
    for number in (1, 2):
        for upstream in (ONE, TWO):
            read.take("web", failed(number, upstream=upstream), True)
    read.take("web", answered(1), True)
    read.take("web", answered(2, 200), True)
    read.pass_time(3, frozenset())
    assert errors(counters, "upstream") == 1
    assert (masked(counters), masked(counters, TWO)) == (1, 1)


def test_answers_that_tell_their_connection_only_end_one_request_each() -> None:
    lines = [
        failed(number, upstream=upstream)
        for number, upstream in ((1, ONE), (1, ONE), (2, TWO), (3, ONE))
    ]
    answers = [Response(100.0, 502, "one.test", marks=("conn:1",))] * 4
    for order in (lines + answers, answers + lines, lines[:2] + answers + lines[2:]):
        counters, read = watching()
        for line in order:
            read.take("web", line, True)
        assert errors(counters, "upstream") == 4


def test_the_applications_own_error_is_explained_by_no_failure_in_its_connection() -> None:
    counters, read = watching()
    read.take("web", failed(2, at=1.0), True)
    own = Response(1, 503, "one.test", "application", upstream=TWO, tells=True, marks=("conn:1",))
    read.take("web", own, True)
    read.take("web", told(502, "upstream", (failure(reason="connect_failed"),)), True)
    assert errors(counters, "application", "503") == errors(counters, "upstream") == 1
    assert read.memory()["answered"] == read.memory()["failed"] == []


def test_an_attempt_read_after_the_answer_that_made_good_for_it_is_masked() -> None:
    counters, read = watching()
    read.take("web", failed(1), True)
    read.take("web", answered(1, 200), True)
    read.take("web", failed(1, upstream=TWO), True)
    read.pass_time(3, frozenset())
    assert (masked(counters), masked(counters, TWO)) == (1, 1)
    assert not read.expects("web")


def test_a_failure_explains_no_error_that_was_answered_before_it() -> None:
    counters, read = watching()
    read.take("web", answered(1, 503, at=100.0), True)  # the application's own
    read.take("web", failed(1, at=103.0), True)
    read.take("web", answered(1, 502, at=103.0), True)
    assert errors(counters, "upstream") == 1
    assert errors(counters, "upstream", "503") == 0


def test_a_failure_of_long_ago_explains_nothing() -> None:
    counters, read = watching()
    read.take("web", failed(1, at=100.0), True)
    slow = Response(190.0, 503, "one.test", spent=0.1, marks=(asked(1),))
    read.take("web", slow, True)
    read.pass_time(10, frozenset())
    assert errors(counters, "upstream", "503") == 0


@pytest.mark.parametrize("hours", [-5.75, -1, 1, 2, 9.5])
def test_an_error_log_in_another_time_zone_explains_all_the_same(hours: float) -> None:
    counters, read = watching()
    read.take("web", failed(1, at=100_000.0 + hours * 3600), True)
    read.take("web", answered(1, at=100_000.0), True)
    assert errors(counters, "upstream") == 1


def test_an_access_log_without_times_is_explained_all_the_same() -> None:
    counters, read = watching()
    read.take("web", failed(1, at=100.0), True)
    read.take("web", Response(9e5, 502, "one.test", marks=(asked(1),), timed=False), True)
    assert errors(counters, "upstream") == 1


def test_half_a_body_explains_no_status() -> None:
    for order in (1, -1):
        counters, read = watching()
        cut = UpstreamFailure(100, "body_truncated", None, "one.test", ONE, marks=(asked(1),))
        lines: list[ProxyEvent] = [cut, answered(1, 503)]
        for line in lines[::order]:
            read.take("web", line, True)
        assert failures(counters, reason="body_truncated") == 1
        assert errors(counters, "upstream", "503") == 0


def test_a_client_that_left_is_one_abort_in_both_logs() -> None:
    for order in itertools.permutations(range(4)):
        counters, read = watching()
        error = ClientAbort(100, "one.test", marks=("conn:1", asked(1)))
        access = ClientAbort(100.4, "one.test", marks=(asked(1),))
        lines = [("error", error), ("access", access), ("error", error), ("access", access)]
        for number in order:
            read.take("web", lines[number][1], True, lines[number][0])
        assert counters.value("client_aborts_total", ("api", "web", "one.test")) == 2


def test_what_a_probe_is_told_counts_nowhere() -> None:
    counters = Counters()
    read = Proxies(counters, ("token",))
    read.watch(paths(), PathMap(), told_by_errors=frozenset(("web",)))
    marks = ("conn:1", LINE)
    read.take("web", UpstreamFailure(1.0, "reset", None, None, ONE, "", "token", "", marks), True)
    read.take("web", AnswerOrigin(1.0, "proxy", None, marks=marks, probe="token"), True)
    read.take("web", ClientAbort(1.0, None, "token", marks=marks), True)
    assert counters.series() == []
    assert not read.expects("web")
    read.take("web", answer(503), True)
    assert errors(counters, "proxy", "503") == 0


def test_failures_that_cannot_wait_while_logs_are_caught_up_are_a_gap() -> None:
    counters, read = watching()
    for number in range(5001):
        read.take("web", failed(number), True, "web-log")
    read.pass_time(1, frozenset({"web"}))
    read.pass_time(1, frozenset({"web"}))
    assert counters.value("source_gaps_total", ("web-log",)) == 1


def test_what_another_version_kept_is_left_aside() -> None:
    _, read = watching(memory={"failed": [["web"], 7, None], "answered": ["x"]})
    assert not read.expects("web")
