"""Errors that are no failed attempt: what nginx refused, and what the application complained of."""

from __future__ import annotations

import json

from tests.explanation.told import brief, told

WHO = 'client: 10.0.0.7, server: app.test, request: "GET /a HTTP/1.1"'
REFUSED = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 limiting requests, excess: 0.998 by zone "
    f'"one", {WHO}, host: "app.test"'
)
TOO_MANY = REFUSED.replace("requests, excess: 0.998", "connections")
COMPLAINED = (
    '2026/11/21 08:35:14 [error] 9001#9001: *12 FastCGI sent in stderr: "PHP message: PHP Fatal '
    f'error: boom" while reading response header from upstream, {WHO}, upstream: '
    '"fastcgi://127.0.0.1:9000", host: "app.test"'
)
TIMED_OUT = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 upstream timed out (110: Connection timed out) "
    f'while reading response header from upstream, {WHO}, upstream: "fastcgi://127.0.0.1:9000"'
)


def access(status: int, second: int = 14) -> str:
    return (
        f"10.0.0.7 - - [21/Nov/2026:08:35:{second} +0000] "
        f'"GET /a HTTP/1.1" {status} 157 "-" "curl/8"'
    )


def in_json(status: int, connection: int = 12, **fields: str) -> str:
    usual = {
        "time": "2026-11-21T08:35:14+00:00", "conn": str(connection), "remote": "10.0.0.7",
        "method": "GET", "uri": "/a", "status": str(status), "proxy_host": "", "ua": "", "us": "",
        "uct": "", "uht": "", "urt": "",
    }  # fmt: skip
    return json.dumps({**usual, **fields})


def test_a_refusal_is_the_proxys_own_error() -> None:
    for line in (REFUSED, TOO_MANY):
        (found,) = told(line)
        assert (found["type"], found["reason"]) == ("upstream_failure", "proxy_local")
        assert (found["upstream"], found["status"], found["line"]) == (None, None, 1)
        assert found["detail"].startswith("limiting ")


def test_a_refusal_and_its_access_line_are_one() -> None:
    for line in (access(503), in_json(503)):
        (found,) = told(REFUSED, line)
        assert (found["reason"], found["status"], found["file"]) == ("proxy_local", 503, "0")


def test_a_refusal_may_have_any_status_that_was_configured() -> None:
    (found,) = told(REFUSED, access(429))
    assert (found["reason"], found["status"]) == ("proxy_local", 429)


def test_what_was_let_through_is_not_what_was_refused() -> None:
    found = told(REFUSED, f"{access(200)}\n{access(503)}\n{access(503)}")
    assert sorted(brief(found, "status")) == [
        ("upstream_failure", "proxy_local", 503),
        ("upstream_failure", "unknown", 503),
    ]
    assert brief(told(REFUSED, access(200)), "status") == [
        ("upstream_failure", "proxy_local", None)
    ]


def test_many_refusals_at_once_are_each_joined_with_an_answer() -> None:
    lines = [REFUSED.replace("*12", f"*{number}") for number in range(100, 500)]
    answers = [access(503)] * 400 + [access(200)] * 50
    found = told("\n".join(lines), "\n".join(answers))
    assert set(brief(found, "status")) == {("upstream_failure", "proxy_local", 503)}
    assert len(found) == 400


def test_a_5xx_of_which_the_application_complained_is_its_own() -> None:
    (found,) = told(COMPLAINED, access(500))
    assert (found["reason"], found["status"], found["file"]) == ("app_5xx", 500, "1")
    assert "PHP Fatal error: boom" in found["detail"]


def test_a_complaint_without_an_error_is_none() -> None:
    assert told(COMPLAINED) == []
    assert told(COMPLAINED, access(200)) == []


def test_a_failed_attempt_is_not_explained_by_a_complaint() -> None:
    found = told(f"{COMPLAINED}\n{TIMED_OUT}", access(504))
    assert brief(found, "status") == [("upstream_failure", "response_timeout", 504)]


def test_a_complaint_of_long_before_explains_nothing() -> None:
    later = access(500).replace("08:35:14", "08:55:14")
    assert brief(told(COMPLAINED, later)) == [("upstream_failure", "unknown")]


def test_a_refusal_that_was_wrapped_keeps_its_request() -> None:
    for width in (70, 90):
        parts = [REFUSED[at : at + width] for at in range(0, len(REFUSED), width)]
        (found,) = told("\n".join(parts), access(503))
        assert (found["reason"], found["status"]) == ("proxy_local", 503)


def test_a_500_without_an_upstream_may_be_a_subrequests() -> None:
    assert brief(told(in_json(500))) == [("upstream_failure", "unknown")]
    assert brief(told(in_json(503))) == [("upstream_failure", "proxy_local")]
