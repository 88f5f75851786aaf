"""Caddy's lines, as recorded from Caddy 2.6.2 and 2.11.7 (tests/corpus/caddy.json)."""

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.dialects import dialect
from badgateway.dialects.caddy import Reader
from badgateway.events import ClientAbort, Event, Line, Response, UpstreamFailure
from tests.dialects.reading import corpus

CORPUS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "corpus" / "caddy.json").read_text()
)

# Recordings whose lines do not tell what happened, and what they tell instead. Each was looked at:
# Caddy retried in silence, tolerated the fault, or Go's words are those of another fault.
TOLD_OTHERWISE: dict[tuple[str, str], set[str]] = {
    ("2.11.7", "all_down"): {"connect_refused", "no_live_upstream"},
    ("2.11.7", "bad_header_space"): set(),
    ("2.11.7", "cl_and_te"): set(),
    ("2.11.7", "close_mid_header"): {"invalid_response"},
    ("2.11.7", "fcgi_mid_body"): set(),
    ("2.11.7", "fcgi_rst"): {"premature_close"},
    ("2.11.7", "hdr_too_big"): set(),
    ("2.11.7", "keepalive_fin_post"): {"send_failed"},
    ("2.11.7", "keepalive_rst_get"): set(),
    ("2.11.7", "keepalive_rst_post"): {"send_failed"},
    ("2.11.7", "one_down"): set(),
    ("2.11.7", "pool_exhausted"): {"no_live_upstream"},
    ("2.11.7", "tls_close"): {"premature_close"},
    ("2.11.7", "tls_rst"): {"reset"},
    ("2.11.7", "upload_early_response"): set(),
    ("2.11.7", "ws_idle"): set(),
    ("2.11.7", "ws_rst"): set(),
    ("2.6.2", "all_down"): {"connect_refused", "no_live_upstream"},
    ("2.6.2", "cl_and_te"): set(),
    ("2.6.2", "excess_body"): set(),
    ("2.6.2", "fcgi_500"): set(),
    ("2.6.2", "fcgi_mid_body"): set(),
    ("2.6.2", "fcgi_rst"): {"premature_close"},
    ("2.6.2", "hdr_too_big"): set(),
    ("2.6.2", "hdr_too_many"): set(),
    ("2.6.2", "keepalive_fin_get"): set(),
    ("2.6.2", "keepalive_rst_get"): set(),
    ("2.6.2", "local_502"): set(),
    ("2.6.2", "local_503"): set(),
    ("2.6.2", "nul_in_header"): set(),
    ("2.6.2", "one_down"): set(),
    ("2.6.2", "pool_exhausted"): {"no_live_upstream"},
    ("2.6.2", "rst_mid_header"): {"invalid_response"},
    ("2.6.2", "tls_rst"): {"reset"},
    ("2.6.2", "upload_early_response"): set(),
    ("2.6.2", "ws_idle"): set(),
    ("2.6.2", "ws_rst"): set(),
}


def read(lines: list[str]) -> list[Event]:
    reader = dialect("caddy")
    return [event for line in lines for event in reader.read(Line(0.0, line, "t")) or ()]


# What the access log alone tells, with ``log_append`` (2.11.7) and without it (2.6.2).
UNTOLD_BY_APPENDED_FIELDS: Final = {
    "auth_down", "bad_status_line", "tls_hang", "refused", "never_answer", "stall_mid_header",
    "dns_nxdomain", "garbage_text", "hdr_huge", "fcgi_refused", "keepalive_rst_post",
}  # fmt: skip


def reasons(case: dict[str, Any]) -> set[str]:
    events = read(case["lines"].get("log", [])) + read(case["lines"].get("access_json", []))
    found = {e.reason for e in events if isinstance(e, UpstreamFailure)}
    found |= {"client_abort" for e in events if isinstance(e, ClientAbort)}
    origins = {"application": "app_5xx", "proxy": "proxy_local"}
    found |= {origins[e.origin] for e in events if isinstance(e, Response) and e.origin in origins}
    return found


@pytest.mark.parametrize("case", CORPUS, ids=lambda c: f"{c['version']}-{c['case']}")
def test_a_recorded_fault_gets_its_reason(case: dict[str, Any]) -> None:
    truth = set() if case["expected_reason"] == "none" else {case["expected_reason"]}
    assert reasons(case) == TOLD_OTHERWISE.get((case["version"], case["case"]), truth)


REFUSED = next(c for c in CORPUS if c["case"] == "refused" and c["version"] == "2.11.7")


def test_a_failure_names_its_upstream_and_site() -> None:
    failure = read(REFUSED["lines"]["log"][:1])[0]
    assert isinstance(failure, UpstreamFailure)
    assert failure.upstream == "127.0.0.1:18101"
    assert failure.site == "localhost"
    assert failure.status == 502


def test_a_probe_is_recognised_by_its_token_and_nothing_else() -> None:
    line = REFUSED["lines"]["log"][0]
    token = "0123456789abcdef"
    probe = line.replace("faultlab/1", f"badgateway/0.1.0 (probe {token})")
    (failure,) = read([probe])
    assert isinstance(failure, UpstreamFailure)
    assert failure.probe == token
    (forged,) = read([line.replace("faultlab/1", f"x badgateway/0.1.0 (probe {token})")])
    assert isinstance(forged, UpstreamFailure)
    assert forged.probe is None


@pytest.mark.parametrize(
    "forged",
    [
        "GET /x dial tcp 10.9.9.9:80: connect: connection refused",
        '{"logger":"http.log.error","msg":"dial tcp 10.9.9.9:1: connect: connection refused"}',
        '\\",\\"status\\":502',
    ],
)
def test_what_a_client_sends_forges_nothing(forged: str) -> None:
    entry = json.loads(REFUSED["lines"]["access_json"][0])
    entry["status"] = 404
    for place in ("uri", "host", "method"):
        entry["request"][place] = forged
    entry["request"]["headers"] = {"Referer": [forged], "User-Agent": [forged]}
    (event,) = read([json.dumps(entry)])
    assert isinstance(event, Response)
    assert event.origin is None
    assert event.probe is None


def test_a_line_behind_a_prefix_is_read() -> None:
    (event,) = read(["caddy-1  | " + REFUSED["lines"]["log"][0]])
    assert isinstance(event, UpstreamFailure)


def test_a_cut_line_is_not_understood() -> None:
    assert dialect("caddy").read(Line(0.0, REFUSED["lines"]["log"][0][:200], "t")) is None


@given(st.text())
def test_no_line_breaks_it(text: str) -> None:
    dialect("caddy").read(Line(0.0, text, "t"))


@given(
    st.dictionaries(
        st.sampled_from(
            ["logger", "msg", "status", "ts", "err_trace", "request", "resp_headers", "upstream",
             "upstream_status", "upstream_retries", "duration", "error"]
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(), st.just("http.log.error"),
            st.just("http.log.access"), st.just("reverseproxy.statusError"),
            st.dictionaries(st.sampled_from(["host", "headers", "Server", "uri"]), st.text()),
        ),
    )
)  # fmt: skip
def test_no_entry_breaks_it_and_reasons_stay_closed(entry: dict[str, Any]) -> None:
    for event in dialect("caddy").read(Line(0.0, json.dumps(entry), "t")) or ():
        if isinstance(event, UpstreamFailure):
            assert event.reason in vocabulary.UPSTREAM_FAILURE_REASONS


def appended(case: str) -> list[Event]:
    found = next(c for c in CORPUS if c["case"] == case and c["version"] == "2.11.7")
    return read(found["lines"]["access_json"])


@pytest.mark.parametrize("case", sorted(UNTOLD_BY_APPENDED_FIELDS))
def test_appended_fields_tell_that_an_upstream_failed_and_not_why(case: str) -> None:
    answer = appended(case)[-1]
    assert isinstance(answer, Response)
    assert (answer.origin, answer.tells) == ("upstream", True)
    assert [attempt.reason for attempt in answer.attempts] == ["unknown"]


def test_appended_fields_tell_who_made_an_error() -> None:
    (application,) = appended("app_502")
    assert isinstance(application, Response)
    assert (application.origin, application.tells, application.attempts) == (
        "application",
        True,
        (),
    )
    gone = [e for e in appended("pool_exhausted") if isinstance(e, Response) and e.status == 503]
    assert {a.reason for e in gone for a in e.attempts} == {"no_live_upstream"}


@pytest.mark.parametrize("case", [c for c in CORPUS if len(c["lines"]) == 2],
                         ids=lambda c: f"{c['version']}-{c['case']}")  # fmt: skip
def test_an_error_line_has_the_mark_of_one_access_line(case: dict[str, Any]) -> None:
    answers = [e for e in read(case["lines"]["access_json"]) if isinstance(e, Response)]
    for answer in answers:
        told = [e for e in read(case["lines"]["log"])
                if isinstance(e, UpstreamFailure) and set(e.marks) & set(answer.marks)]  # fmt: skip
        assert len(told) <= 1
        if answer.status >= 500 and answer.origin == "upstream":
            assert len(told) == 1


def test_an_upload_that_its_client_gave_up_is_an_abort_in_both_lines() -> None:
    case = next(c for c in CORPUS if (c["version"], c["case"]) == ("2.11.7", "client_abort_upload"))
    (error, access) = case["lines"]["log"][0], case["lines"]["access_json"][0]
    (event,) = read([error, access])
    assert isinstance(event, ClientAbort)
    (answer,) = read([access])  # read first, or alone: the line does not say who broke off
    assert isinstance(answer, Response)
    assert (answer.origin, answer.tells, answer.attempts) == (None, False, ())


def test_a_cut_body_shares_a_mark_with_its_access_line() -> None:
    case = next(c for c in CORPUS if (c["version"], c["case"]) == ("2.11.7", "close_mid_body_cl"))
    (failure,) = read(case["lines"]["log"][:1])
    (answer,) = read(case["lines"]["access_json"][:1])
    assert set(failure.marks) & set(answer.marks)  # type: ignore[union-attr]


SPECIAL = {case["case"]: case["lines"] for case in corpus("special") if case["proxy"] == "caddy"}


def test_handle_errors_hides_the_cause_and_a_debug_log_brings_it_back() -> None:
    (hidden,) = read(SPECIAL["caddy_handle_errors"]["caddy"])
    assert isinstance(hidden, Response)
    assert (hidden.status, hidden.origin, hidden.tells) == (502, None, False)
    (failure,) = read(SPECIAL["caddy_handle_errors"]["log_errs_debug"])
    assert isinstance(failure, UpstreamFailure)
    assert (failure.reason, failure.upstream) == ("connect_refused", "127.0.0.1:18101")
    assert set(failure.marks) & set(hidden.marks)


def test_an_appended_error_message_tells_the_cause() -> None:
    (answer,) = read(SPECIAL["caddy_handle_errors_append"]["caddy"])
    assert isinstance(answer, Response)
    assert (answer.origin, answer.tells) == ("upstream", True)
    assert [(a.reason, a.upstream) for a in answer.attempts] == [
        ("connect_refused", "127.0.0.1:18101")
    ]


def test_a_lack_of_descriptors_is_the_proxys() -> None:
    events = read(SPECIAL["caddy_emfile"]["caddy"])
    assert {e.reason for e in events if isinstance(e, UpstreamFailure)} == {
        "proxy_resources", "response_timeout",
    }  # fmt: skip


def changed(case: str, version: str = "2.11.7", **fields: Any) -> str:
    found = next(c for c in CORPUS if (c["case"], c["version"]) == (case, version))
    return json.dumps({**json.loads(found["lines"]["access_json"][0]), **fields})


def test_retried_attempts_are_failures_of_which_nothing_else_is_known() -> None:
    (answer,) = read([changed("ok", upstream_retries=2)])
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert [(a.reason, a.upstream) for a in answer.attempts] == [("unknown", None)] * 2


def test_what_caddy_was_told_to_answer_is_its_own() -> None:
    (answer,) = read(
        [changed("app_502", upstream=None, upstream_retries=None, upstream_status=None)]
    )
    assert isinstance(answer, Response)
    assert answer.origin == "proxy"
    entry = json.loads(REFUSED["lines"]["log"][0])
    # `error "maintenance" 503` in a Caddyfile: modules/caddyhttp/staticerror.go
    entry |= {"msg": "maintenance", "status": 503,
              "err_trace": "caddyhttp.StaticError.ServeHTTP (staticerror.go:109)"}  # fmt: skip
    assert read([json.dumps(entry)]) == []


def test_an_upgrade_that_2_6_writes_as_status_0_is_no_abort() -> None:
    request = {"host": "a.test", "headers": {"Upgrade": ["websocket"], "Connection": ["Upgrade"]}}
    (answer,) = read([changed("ok", "2.6.2", status=0, request=request)])
    assert isinstance(answer, Response)
    assert answer.status == 101


def test_what_caddy_prints_on_a_terminal_is_read() -> None:
    entry = json.loads(REFUSED["lines"]["log"][0])
    fields = json.dumps({k: entry[k] for k in ("request", "duration", "status", "err_trace")})
    for level in ("ERROR", "\x1b[31mERROR\x1b[0m"):
        line = f"2026/11/21 08:35:13.123\t{level}\thttp.log.error.log0\t{entry['msg']}\t{fields}"
        assert Reader.SIGNATURE.match(line)
        (failure,) = read([line])
        assert isinstance(failure, UpstreamFailure)
        assert (failure.reason, failure.status) == ("connect_refused", 502)
        assert failure.at == time.mktime((2026, 11, 21, 8, 35, 13, 0, 0, -1))


# Source of the form: mholt/caddy v1, caddyhttp/errors.
def test_caddy_1s_error_log_is_read() -> None:
    front = "27/Apr/2018:10:15:03 +0200 [ERROR 502 /api] "
    lines = [
        front + "dial tcp 127.0.0.1:8080: connect: connection refused",
        front + "no hosts available upstream",
        front.replace("502", "404") + "open /srv/x: no such file or directory",
        front.replace("/api", "/x] dial tcp 6.6.6.6:80: connect: connection refused") + "EOF",
    ]
    assert [e.reason for e in read(lines) if isinstance(e, UpstreamFailure)] == [
        "connect_refused", "no_live_upstream", "premature_close",
    ]  # fmt: skip


# Source of the form: mholt/caddy-l4, layer4/server.go.
def test_layer4_that_cannot_connect_is_a_failure() -> None:
    entry = {
        "level": "error", "ts": 1795250324.9, "logger": "layer4", "msg": "handling connection",
        "remote": "1.2.3.4:5", "error": "dial tcp 10.0.0.1:5432: connect: connection refused",
    }  # fmt: skip
    (failure,) = read([json.dumps(entry)])
    assert isinstance(failure, UpstreamFailure)
    assert (failure.reason, failure.upstream) == ("connect_refused", "10.0.0.1:5432")
    assert read([json.dumps({**entry, "error": "EOF"})]) == []


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("HTTP request failed", {"host": "10.0.0.1:80", "error": "dial tcp 10.0.0.1:80: connect: "
                                 "connection refused"}),
        ("status code out of tolerances", {"status_code": 500, "host": "10.0.0.1:80"}),
        ("host is up", {"host": "10.0.0.1:80"}),
    ],
)  # fmt: skip
def test_a_health_check_is_no_request(message: str, fields: dict[str, Any]) -> None:
    logger = "http.handlers.reverse_proxy.health_checker.active"
    entry = {"level": "info", "ts": 1.5, "logger": logger, "msg": message, **fields}
    assert read([json.dumps(entry)]) == []


@pytest.mark.parametrize(
    ("stamp", "at"),
    [(1795250324.5, 1795250324.5), (1795250324500, 1795250324.5),
     (1795250324500000000, 1795250324.5),
     ("2026-11-21T08:38:44.5Z", 1795250324.5), ("yesterday", 7.0), (None, 7.0)],
)  # fmt: skip
def test_every_time_format_is_read(stamp: Any, at: float) -> None:
    (answer,) = dialect("caddy").read(Line(7.0, changed("ok", ts=stamp), "t")) or ()
    assert isinstance(answer, Response)
    assert answer.at == at
