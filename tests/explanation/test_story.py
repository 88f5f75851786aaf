"""Several logs are one story: what is told twice counts once."""

from __future__ import annotations

import time

from tests.explanation.told import brief, told

REFUSED = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 connect() failed (111: Connection refused) while "
    'connecting to upstream, client: 127.0.0.1, server: app.test, request: "GET /a?k=v HTTP/1.1", '
    'upstream: "http://127.0.0.1:18101/a?k=v", host: "app.test"'
)
ACCESS = '127.0.0.1 - - [21/Nov/2026:08:35:14 +0000] "GET /a?k=v HTTP/1.1" 502 157 "-" "curl/8"'
JSON = (
    '{{"time":"2026-11-21T08:35:14+00:00","msec":"1795250114.418","remote_addr":"127.0.0.1",'
    '"server_name":"app.test","host":"app.test","method":"GET","uri":"/a?k=v",'
    '"protocol":"HTTP/1.1","status":"{status}","body_bytes_sent":"157","request_time":"0.000",'
    '"connection":"12","proxy_host":"up","upstream_addr":"{addresses}",'
    '"upstream_status":"{statuses}","upstream_connect_time":"{connects}",'
    '"upstream_header_time":"{headers}","upstream_response_time":"0.000",'
    '"upstream_bytes_received":"0","upstream_bytes_sent":"0"}}'
)
ONE_ATTEMPT = JSON.format(
    status=502, addresses="127.0.0.1:18101", statuses="502", connects="-", headers="-"
)


def test_error_line_and_access_lines_of_one_request_are_one_failure() -> None:
    found = told(REFUSED, ACCESS, ONE_ATTEMPT, names=("error.log", "access.log", "json.log"))
    assert brief(found, "upstream", "status", "file", "line", "request") == [
        ("upstream_failure", "connect_refused", "127.0.0.1:18101", 502, "error.log", 1, "GET /a")
    ]


def test_the_order_of_files_and_lines_does_not_matter() -> None:
    for texts in ((ACCESS, REFUSED), (REFUSED, ACCESS), (f"{ACCESS}\n{REFUSED}\n{ONE_ATTEMPT}",)):
        assert brief(told(*texts), "status") == [("upstream_failure", "connect_refused", 502)]


def test_each_failed_attempt_of_a_retried_request_is_one_and_masked() -> None:
    retried = JSON.format(
        status=200, addresses="127.0.0.1:18101, 127.0.0.1:18100", statuses="502, 200",
        connects="-, 0.000", headers="-, 0.004",
    )  # fmt: skip
    (failure,) = told(REFUSED, retried)
    assert (failure["reason"], failure["status"], failure["masked"]) == (
        "connect_refused", 200, True,
    )  # fmt: skip
    (alone,) = told(retried)
    assert (alone["reason"], alone["upstream"], alone["masked"]) == (
        "connect_failed", "127.0.0.1:18101", True,
    )  # fmt: skip
    both = JSON.format(
        status=502, addresses="127.0.0.1:18101, 127.0.0.1:18102", statuses="502, 502",
        connects="-, -", headers="-, -",
    )  # fmt: skip
    assert brief(told(REFUSED, both), "upstream", "file") == [
        ("upstream_failure", "connect_refused", "127.0.0.1:18101", "0"),
        ("upstream_failure", "connect_failed", "127.0.0.1:18102", "1"),
    ]


def test_the_applications_own_error_and_the_proxys_are_told_apart() -> None:
    application = JSON.format(
        status=502, addresses="127.0.0.1:18101", statuses="502", connects="0.000", headers="0.001"
    )
    local = JSON.format(status=503, addresses="", statuses="", connects="", headers="").replace(
        '"proxy_host":"up"', '"proxy_host":""'
    )
    assert brief(told(application), "status") == [("upstream_failure", "app_5xx", 502)]
    assert brief(told(local), "status") == [("upstream_failure", "proxy_local", 503)]


def test_what_the_proxy_answers_because_of_a_failure_is_no_second_one() -> None:
    local = JSON.format(status=500, addresses="", statuses="", connects="", headers="").replace(
        '"proxy_host":"up"', '"proxy_host":""'
    )
    assert brief(told(REFUSED, local), "status") == [("upstream_failure", "connect_refused", 500)]


def test_an_answer_that_no_line_explains_stays_unknown() -> None:
    assert brief(told(ACCESS), "status") == [("upstream_failure", "unknown", 502)]
    other = ACCESS.replace("/a?k=v", "/b")
    assert brief(told(REFUSED, f"{ACCESS}\n{other}"), "request") == [
        ("upstream_failure", "connect_refused", "GET /a"),
        ("upstream_failure", "unknown", "GET /b"),
    ]


def test_the_same_request_again_and_again_is_counted_each_time() -> None:
    moments = [f"08:35:{second:02}" for second in range(0, 60, 2)]
    errors = [
        REFUSED.replace("08:35:14", moment).replace("*12", f"*{number}")
        for number, moment in enumerate(moments)
    ]
    answers = [ACCESS.replace("08:35:14", moment) for moment in moments]
    found = told("\n".join(errors), "\n".join(answers))
    assert brief(found, "status") == [("upstream_failure", "connect_refused", 502)] * 30
    within = [f"{REFUSED.replace('*12', f'*{n}')}" for n in range(5)]
    found = told("\n".join(within), "\n".join([ACCESS] * 5))
    assert brief(found, "status") == [("upstream_failure", "connect_refused", 502)] * 5


def test_requests_on_one_connection_are_kept_apart_by_their_times() -> None:
    later = REFUSED.replace("08:35:14", "08:35:44")
    answers = f"{ACCESS}\n{ACCESS.replace('08:35:14', '08:35:44').replace(' 502 ', ' 504 ')}"
    found = told(f"{REFUSED}\n{later}", answers)
    assert [r["status"] for r in found] == [502, 504]


def test_the_same_line_in_two_logs_counts_once_and_in_one_log_twice() -> None:
    assert len(told(REFUSED, REFUSED)) == 1
    assert len(told(REFUSED, f"web-1  | {REFUSED}")) == 1
    assert len(told(ACCESS, ACCESS)) == 1
    assert len(told(f"{ACCESS}\n{ACCESS}")) == 2
    assert len(told(f"{ACCESS}\n{ACCESS}", f"{ACCESS}\n{ACCESS}\n{ACCESS}")) == 3


def test_a_client_that_left_counts_once() -> None:
    told_by_error = REFUSED.replace("[error]", "[info]").replace(
        "connect() failed (111: Connection refused) while connecting to upstream",
        "epoll_wait() reported that client prematurely closed connection, so upstream connection "
        "is closed too while sending request to upstream",
    )
    answered = ACCESS.replace(" 502 ", " 499 ")
    assert brief(told(told_by_error, answered)) == [("client_abort", None)]
    assert len(told(f"{answered}\n{answered}")) == 2


def test_logs_of_machines_in_another_time_zone_still_belong_together() -> None:
    elsewhere = ACCESS.replace("08:35:14 +0000", "05:35:14 +0000")
    found = told(REFUSED, elsewhere)
    assert brief(found, "status") == [("upstream_failure", "connect_refused", 502)]


def test_many_failures_are_told_in_bounded_time() -> None:
    lines = [REFUSED.replace("*12", f"*{n}") for n in range(6000)]
    begun = time.process_time()
    found = told("\n".join(lines), "\n".join([ACCESS] * 6000))
    assert time.process_time() - begun < 20
    assert len(found) == 6000
    assert {r["status"] for r in found} == {502}


def test_a_second_complaint_about_one_attempt_is_not_counted() -> None:
    sending = REFUSED.replace(
        "connect() failed (111: Connection refused) while connecting to upstream",
        "writev() failed (32: Broken pipe) while sending request to upstream",
    )
    reading = REFUSED.replace(
        "connect() failed (111: Connection refused) while connecting to upstream",
        "upstream prematurely closed connection while reading response header from upstream",
    )
    assert brief(told(f"{sending}\n{reading}", ACCESS), "status", "line") == [
        ("upstream_failure", "send_failed", 502, 1)
    ]
