"""HAProxy's traffic log: recordings of 2.6.12, lines of 3.x, hostile captures."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from badgateway.dialects import dialect
from badgateway.events import ClientAbort, Line, Response, UpstreamFailure
from tests.dialects.reading import corpus, read, told, truth

RECORDED = corpus("haproxy")


def _all(cases: set[str], reason: str) -> dict[str, set[str]]:
    return {case: {reason} for case in cases}


# What httplog does not tell, and what it tells instead. Each was looked at: a termination state is
# who broke off and when; why stands nowhere.
_CONNECT = {
    "refused", "refused_again", "reject_tcp_reset", "host_unreach", "net_unreach",
    "admin_prohibited", "addr_not_avail", "unix_missing", "unix_dead", "unix_perm", "unix_full",
    "tls_to_plain", "tls_selfsigned", "tls_expired", "tls_wrongname", "tls_old_version",
    "tls_client_cert", "tls_close", "all_down", "one_down", "masked_502", "fcgi_refused",
}  # fmt: skip
_CLOSED = {
    "plain_to_tls", "rst_on_accept", "fin_on_accept", "rst_after_request", "rst_unread",
    "close_before_response", "close_before_response_post", "close_mid_header", "rst_mid_header",
    "keepalive_fin_get", "keepalive_rst_get", "keepalive_fin_post", "fcgi_close", "fcgi_rst",
    "fcgi_empty", "fcgi_http",
}  # fmt: skip
_RESOLVED = {"dns_nxdomain", "dns_servfail", "dns_refused", "dns_nodata", "dns_timeout"}
TOLD_OTHERWISE: dict[str, set[str]] = {
    **_all(_CONNECT, "connect_failed"),
    **_all(_CLOSED, "upstream_closed"),
    **_all(_RESOLVED, "no_live_upstream"),
    "tls_hang": {"connect_timeout"},
    "hdr_too_many": {"invalid_response"},
    "keepalive_rst_post": {"send_failed"},
    "client_abort_wait": {"response_timeout"},  # without `option abortonclose`
    "excess_body": set(), "fcgi_badver": set(), "nul_in_header": set(),  # tolerated
    "fcgi_mid_header": set(),  # HAProxy itself died
}  # fmt: skip
# What 2.6's bc_err and ssl_bc_err add: errors of TLS and of its own host.
TOLD_BY_ERRORS = {
    "addr_not_avail": {"proxy_resources"}, "unix_full": {"backlog_full"},
    **_all({"tls_selfsigned", "tls_expired", "tls_wrongname"}, "tls_certificate"),
    **_all({"tls_to_plain", "tls_old_version", "tls_client_cert", "tls_close"}, "tls_handshake"),
    "keepalive_rst_post": {"upstream_closed"},
}  # fmt: skip


def peeled(lines: list[str]) -> list[str]:
    """Lines without what syslog put before them."""
    return [re.sub(r"^\w{3} +\d+ [\d:]+ \S+ ", "", line) for line in lines]


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_a_recorded_fault_in_httplog_gets_its_reason(case: dict[str, Any]) -> None:
    found = told(read("haproxy", peeled(case["lines"].get("httplog", []))))
    assert found == TOLD_OTHERWISE.get(case["case"], truth(case))


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_a_recorded_fault_with_its_errors_gets_its_reason(case: dict[str, Any]) -> None:
    found = told(read("haproxy", case["lines"].get("json", [])))
    usual = TOLD_OTHERWISE.get(case["case"], truth(case))
    assert found == TOLD_BY_ERRORS.get(case["case"], usual)


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_every_line_is_understood(case: dict[str, Any]) -> None:
    reader = dialect("haproxy")
    for lines in case["lines"].values():
        for line in peeled(lines):
            assert reader.read(Line(0.0, line, "t")) is not None


@pytest.mark.parametrize(
    ("case", "reasons"),
    [("haproxy_disabled", {"no_live_upstream"}), ("haproxy_empty_backend", {"no_live_upstream"}),
     ("haproxy_abortonclose", {"client_abort"}),
     ("haproxy_retry_on", {"upstream_closed", "unknown"})],
)  # fmt: skip
def test_a_special_recording(case: str, reasons: set[str]) -> None:
    found = next(c for c in corpus("special") if c["case"] == case)
    assert told(read("haproxy", peeled(found["lines"]["haproxy"]))) == reasons


def line_of(
    state: str = "----", status: str = "200", timers: str = "0/0/0/1/1", server: str = "be/s1",
    retries: str = "0", tail: str = "",
) -> str:  # fmt: skip
    return (
        f"127.0.0.1:49542 [21/Nov/2026:08:53:42.779] fe~ {server} {timers} {status} 88 - - {state} "
        f'1/1/0/0/{retries} 0/0 "GET /c/ok HTTP/1.1"{tail}'
    )


def one(line: str) -> Response:
    (event,) = read("haproxy", [line])
    assert isinstance(event, Response)
    return event


# The table of HAProxy's manual, "Session state at disconnection", as far as reasons go.
@pytest.mark.parametrize(
    ("state", "status", "server", "origin", "reason"),
    [
        ("SC--", "503", "be/s1", "upstream", "connect_failed"),
        ("SC--", "503", "be/<NOSRV>", "upstream", "no_live_upstream"),
        ("sC--", "503", "be/s1", "upstream", "connect_timeout"),
        ("sQ--", "503", "be/<NOSRV>", "upstream", "saturated"),
        ("PC--", "503", "be/<NOSRV>", "upstream", "proxy_resources"),
        ("RC--", "503", "be/s1", "upstream", "proxy_resources"),
        ("SH--", "502", "be/s1", "upstream", "upstream_closed"),
        ("sH--", "504", "be/s1", "upstream", "response_timeout"),
        ("PH--", "502", "be/s1", "upstream", "invalid_response"),
        ("SD--", "200", "be/s1", None, "body_truncated"),
        ("SD--", "413", "be/s1", None, "send_failed"),
        ("SL--", "413", "be/s1", None, "send_failed"),
        ("sD--", "200", "be/s1", None, "body_timeout"),
        ("PR--", "503", "be/<NOSRV>", "proxy", None),
        ("PT--", "500", "be/<NOSRV>", "proxy", None),
        ("LR--", "503", "be/<NOSRV>", "proxy", None),
        ("LH--", "503", "be/<NOSRV>", "proxy", None),
        ("LC--", "503", "be/<NOSRV>", "proxy", None),
        ("----", "503", "be/s1", "application", None),
        ("IH--", "500", "be/s1", "upstream", "unknown"),
        ("DH--", "502", "be/s1", "upstream", "upstream_closed"),
    ],
)  # fmt: skip
def test_a_termination_state_tells_who_and_when(
    state: str, status: str, server: str, origin: str | None, reason: str | None
) -> None:
    answer = one(line_of(state, status, server=server))
    assert answer.origin == origin
    assert [a.reason for a in answer.attempts] == ([reason] if reason else [])
    assert answer.tells


@pytest.mark.parametrize("state", ["CC--", "CH--", "CQ--", "CR--", "CT--", "cH--", "cR--"])
def test_a_client_that_left_before_its_answer_is_an_abort_only(state: str) -> None:
    (event,) = read("haproxy", [line_of(state, "400")])
    assert isinstance(event, ClientAbort)


@pytest.mark.parametrize("state", ["CD--", "cD--"])
def test_a_client_that_left_in_the_middle_got_an_answer(state: str) -> None:
    first, second = read("haproxy", [line_of(state)])
    assert isinstance(first, Response)
    assert isinstance(second, ClientAbort)
    assert first.attempts == ()


@pytest.mark.parametrize(("state", "reason"), [("SD--", "send_failed"), ("sD--", "send_failed")])
def test_no_answer_at_all_is_a_failure_alone(state: str, reason: str) -> None:
    (event,) = read("haproxy", [line_of(state, "-1", "0/0/0/-1/103")])
    assert isinstance(event, UpstreamFailure)
    assert event.reason == reason


def test_each_retry_was_an_attempt() -> None:
    answer = one(line_of("SC--", "503", "0/0/-1/-1/3003", retries="3"))
    assert [(a.reason, a.upstream) for a in answer.attempts] == [("connect_failed", "be/s1")] * 4
    moved = one(line_of(retries="+1"))
    assert [(a.reason, a.upstream) for a in moved.attempts] == [("connect_failed", None)]
    assert moved.status == 200


@pytest.mark.parametrize("retries", ["3/", "-1", "", "+", "9" * 400, 3, None, [1]])
def test_retries_that_are_no_number_are_none(retries: object) -> None:
    entry = {"tsc": "SC--", "backend": "be", "server": "s1", "status": 503, "retries": retries}
    answer = one(json.dumps(entry))
    assert [a.reason for a in answer.attempts] == ["connect_failed"]


def test_a_line_says_when_and_how_long() -> None:
    answer = one(line_of(timers="10/0/30/101/1500"))
    assert (answer.duration, answer.spent) == (0.101, 1.5)
    began = one(line_of(timers="0/0/0/0/0"))
    assert answer.at == pytest.approx(began.at + 1.5)
    assert answer.marks == ("line:127.0.0.1 GET /c/ok",)


# 3.1 and later, recorded from 3.4.0: `... bc_err=EREFUSED last="" wait=""`
@pytest.mark.parametrize(
    ("state", "error", "reason"),
    [
        ("SC--", "bc_err=EREFUSED ssl_bc_err=\"\"", "connect_refused"),
        ("SC--", "bc_err=EUNREACH", "connect_unreachable"),
        ("SH--", "bc_err=ERESET", "reset"),
        ("SH--", "bc_err=NONE", "upstream_closed"),
        ("SH--", "bc_err=-", "upstream_closed"),
        ("SC--", "bc_err=SSL_HANDSHAKE ssl_bc_err=\"error:0A00010B:SSL routines::wrong version\"",
         "tls_handshake"),
        ("SC--", 'bc_err=SSL_HANDSHAKE ssl_bc_err="error:0A000086:SSL routines::certificate verify '
         'failed"', "tls_certificate"),
        ("SC--", "bc_err=SSL_MISMATCH", "tls_certificate"),
        ("SC--", "bc_err=FREE_PORTS srv=127.0.0.1:80", "proxy_resources"),
        ("SC--", "bc_err=FREE_PORTS srv=unix:0", "backlog_full"),
        ("SC--", "bc_err=SOCK_ERR srv=unix:0", "connect_failed"),
        ("SC--", 'bc_err=9 bc_err_str="Out of local source ports on the system"',
         "proxy_resources"),
        ("sH--", "bc_err=ERESET", "response_timeout"),
        ("SD--", "bc_err=ERESET", "body_truncated"),
    ],
)  # fmt: skip
def test_the_connections_error_refines_the_reason(state: str, error: str, reason: str) -> None:
    status = "200" if state == "SD--" else "503"
    answer = one(line_of(state, status, tail=f' {error} last="" wait=""'))
    assert [a.reason for a in answer.attempts] == [reason]


def test_an_address_that_is_logged_is_the_upstream() -> None:
    assert one(line_of(tail=" bc_err=NONE srv=10.0.0.1:8000")).upstream == "10.0.0.1:8000"
    assert one(line_of()).upstream == "be/s1"


def test_a_line_without_an_answer_but_an_error_is_a_failure() -> None:
    (event,) = read("haproxy", [line_of("----", "-1", "0/0/0/-1/1", tail=" bc_err=ERESET")])
    assert isinstance(event, UpstreamFailure)
    assert event.reason == "reset"


def test_a_cut_line_is_read_as_far_as_it_goes() -> None:
    answer = one(line_of("SC--", "503")[: -len(' HTTP/1.1"')])
    assert [a.reason for a in answer.attempts] == ["connect_failed"]


# Source of the form: HAProxy's manual, "TCP log format".
def test_tcplog_is_read() -> None:
    line = "127.0.0.1:4 [21/Nov/2026:08:53:42.779] fe be/s1 0/-1/3000 0 SC 1/1/0/0/3 0/0"
    events = read("haproxy", [line])
    assert [e.reason for e in events if isinstance(e, UpstreamFailure)] == ["connect_failed"] * 4
    assert read("haproxy", [line.replace("SC", "--").replace("/3 ", "/0 ")]) == []


@pytest.mark.parametrize(
    "line",
    [
        'Server be/s1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", '
        "check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued.",
        "backend be has no server available!",
        "Connect() failed for backend be: no free ports.",
        "Connect() failed for backend be: can't connect to destination unix socket, check backlog "
        "size on the server (Resource temporarily unavailable).",
        "Connect from 127.0.0.1:35496 to 127.0.0.1:8086 (fe_plain/HTTP)",
        "Proxy be reached process FD limit (maxsock=20). Please check 'ulimit-n' and restart.",
        "haproxy[12]: Server be/s1 is UP/READY (resolves again).",
    ],
)
def test_a_servers_state_is_no_request(line: str) -> None:
    assert dialect("haproxy").read(Line(0.0, line, "t")) == ()


@pytest.mark.parametrize(
    "captured",
    ['{x| "GET / HTTP/1.1" bc_err=EREFUSED}', "{SC-- 1/1/0/0/3 0/0}",
     '{a" bc_err=EREFUSED "} {b}'],
)  # fmt: skip
def test_captured_headers_forge_nothing(captured: str) -> None:
    line = line_of().replace(' "GET', f' {captured} "GET')
    assert one(line).attempts == ()


@pytest.mark.parametrize("line", ["", "haproxy[1]: ", "{}", '{"tsc":5}', "a b c", '{"tsc":"----"'])
def test_another_programs_line_is_not_understood(line: str) -> None:
    assert dialect("haproxy").read(Line(0.0, line, "t")) is None
