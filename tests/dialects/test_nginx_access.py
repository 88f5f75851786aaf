"""nginx' access log: recordings of 1.22.1 in ``combined`` and JSON, and formats that people use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from badgateway.dialects import dialect
from badgateway.dialects.nginx_access import Reader
from badgateway.events import ClientAbort, Line, Response
from badgateway.useragent import user_agent
from tests.dialects.reading import corpus, read, told, truth

RECORDED = corpus("nginx")
SPECIAL = corpus("special")

# What the recommended JSON does not tell by itself, and what it tells instead. Each was looked at:
# nginx' variables hold the phase and no system error, and nothing of chunked bodies.
COARSE: dict[str, set[str]] = {
    "connect_failed": {
        "refused", "refused_again", "reject_tcp_reset", "reject_port_unreach", "host_unreach",
        "net_unreach", "admin_prohibited", "addr_not_avail", "unix_dead", "unix_perm", "unix_full",
        "tls_to_plain", "tls_selfsigned", "tls_expired", "tls_wrongname", "tls_old_version",
        "tls_client_cert", "tls_client_cert13", "tls_sni_unknown", "tls_close", "tls_rst",
        "rst_on_accept", "one_down", "masked_502", "fcgi_refused", "fcgi_unix_missing",
        "fcgi_unix_perm", "fcgi_unix_full", "blackhole", "tcp_backlog_full", "tls_hang",
    },
    "upstream_closed": {
        "rst_unread", "close_before_response", "close_before_response_post", "keepalive_fin_get",
        "keepalive_rst_get", "keepalive_rst_post", "upload_rst", "fcgi_close", "fcgi_rst",
    },
    "unknown": {
        "close_mid_header", "bad_header_line", "nul_in_header", "fcgi_empty", "fcgi_mid_header",
        "fcgi_http", "fcgi_badver",
    },
    "response_timeout": {"upload_stall"},
    "no_live_upstream": {"pool_exhausted"},
    "": {
        "auth_down",  # the subrequest's upstream is in no variable of the request
        "close_mid_body_chunked", "rst_mid_body_chunked", "stall_mid_body_cl",
        "dup_content_length", "bad_content_length", "cl_and_te", "excess_body",
        "client_abort_download", "client_abort_upload", "ws_rst", "ws_idle", "buffer_io",
        "fcgi_mid_body", "fcgi_rst_body",
    },
}  # fmt: skip
TOLD_OTHERWISE = {case: {reason} - {""} for reason, cases in COARSE.items() for case in cases}
TOLD_OTHERWISE["all_down"] = {"connect_failed", "no_live_upstream"}


def answers(lines: list[str], reader: Reader | None = None) -> list[Response]:
    events = read(reader or Reader(), lines)
    return [event for event in events if isinstance(event, Response)]


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_a_recorded_fault_in_json_gets_its_reason(case: dict[str, Any]) -> None:
    found = told(read("nginx-access", case["lines"]["access_json"]))
    assert found == TOLD_OTHERWISE.get(case["case"], truth(case))


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_combined_tells_what_the_client_got_and_no_more(case: dict[str, Any]) -> None:
    events = read("nginx-access", case["lines"]["access"])
    assert len(events) == len(case["lines"]["access"])
    for event, line in zip(events, case["lines"]["access"], strict=True):
        status = int(line.split('" ')[1].split()[0])
        if status == 499:
            assert isinstance(event, ClientAbort)
        else:
            assert isinstance(event, Response)
            assert (event.status, event.origin, event.tells) == (status, None, False)


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_lines_of_one_request_share_marks_in_all_three_logs(case: dict[str, Any]) -> None:
    known = {mark for e in read("nginx-access", case["lines"]["access"]) for mark in e.marks}  # type: ignore[union-attr]
    for source, name in (("error", "nginx-error"), ("access_json", "nginx-access")):
        for event in read(name, case["lines"].get(source, [])):
            assert known & set(event.marks), source  # type: ignore[union-attr]


def test_the_recommended_json_tells_of_cut_bodies_and_answers_that_are_no_http() -> None:
    case = next(c for c in SPECIAL if c["case"] == "nginx_recommended_format")
    found = answers(case["lines"]["recommended_json"])
    reasons = [tuple(a.reason for a in answer.attempts) for answer in found]
    assert reasons == [
        (), ("body_truncated",), (), ("invalid_response",), (), ("connect_failed",),
        ("upstream_closed",),
    ]  # fmt: skip
    assert [a.origin for a in found] == [
        None,
        None,
        None,
        None,
        "application",
        "upstream",
        "upstream",
    ]
    assert found[3].status == 9
    assert all(answer.tells for answer in found)
    assert found[0].spent == 0.0


def line_of(**fields: str) -> str:
    usual = {
        "msec": "1795252242.877", "conn": "2", "req_id": "8feaae", "remote": "127.0.0.1",
        "server": "app.test", "method": "GET", "uri": "/x", "status": "200", "completion": "OK",
        "rt": "0.010", "proxy_host": "app", "ua": "10.0.0.1:80", "us": "200", "uct": "0.000",
        "uht": "0.005", "urt": "0.010", "ubr": "85", "ucl": "3", "url": "3",
    }  # fmt: skip
    return json.dumps({**usual, **fields})


@pytest.mark.parametrize(
    ("fields", "origin", "reasons"),
    [
        ({"status": "502", "us": "502"}, "application", []),
        ({"status": "503", "us": "503"}, "application", []),
        ({"status": "502", "us": "502", "uct": "-", "uht": "-", "ubr": "0"}, "upstream",
         ["connect_failed"]),
        ({"status": "504", "us": "504", "uct": "-", "uht": "-", "ubr": "0"}, "upstream",
         ["connect_failed"]),  # TCP's or TLS' time was up
        ({"status": "502", "us": "502", "uht": "-", "ubr": "0"}, "upstream", ["upstream_closed"]),
        ({"status": "502", "us": "502", "uht": "-", "ubr": "4096"}, "upstream",
         ["header_too_big"]),
        ({"status": "504", "us": "504", "uht": "-", "ubr": "0"}, "upstream",
         ["response_timeout"]),
        ({"status": "502", "us": "502", "ua": "app", "uct": "-", "uht": "-"}, "upstream",
         ["no_live_upstream"]),
        ({"status": "502", "us": "", "ua": "", "uct": "", "uht": ""}, "upstream",
         ["dns_failure"]),
        ({"status": "503", "us": "", "ua": "", "proxy_host": ""}, "proxy", []),
        ({"status": "502", "us": "", "ua": "", "proxy_host": ""}, "proxy", []),
        ({"status": "500", "us": "200"}, "proxy", []),
        ({"us": "502, 200", "ua": "10.0.0.1:80, 10.0.0.2:80", "uct": "-, 0.000",
          "uht": "-, 0.005", "urt": "0.000, 0.010"}, None, ["connect_failed"]),
        ({"us": "504, 502 : 200", "ua": "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80",
          "uct": "0.000, - : 0.001", "uht": "-, - : 0.002"}, None,
         ["response_timeout", "connect_failed"]),
        ({"us": "502", "uct": "-", "uht": "-"}, None, ["connect_failed"]),  # masked
        ({"url": "2"}, None, ["body_truncated"]),
        ({"url": "2", "completion": ""}, None, []),  # the client's doing, or the proxy's
        ({"url": "0", "method": "HEAD"}, None, []),
        ({"url": "0", "status": "304", "us": "304"}, None, []),
        ({"status": "400", "us": "", "ua": ""}, None, []),
        ({"status": "009"}, None, ["invalid_response"]),
    ],
)  # fmt: skip
def test_the_upstream_variables_tell_who_and_why(
    fields: dict[str, str], origin: str | None, reasons: list[str]
) -> None:
    (answer,) = answers([line_of(**fields)])
    assert (answer.origin, [a.reason for a in answer.attempts]) == (origin, reasons)
    assert answer.tells
    assert all(attempt.marks == answer.marks for attempt in answer.attempts)


def test_the_last_upstream_is_the_one_that_answered() -> None:
    retried = line_of(us="502, 200", ua="10.0.0.1:80, unix:/run/a.sock", urt="0.001, 0.250")
    (answer,) = answers([retried])
    assert (answer.upstream, answer.duration) == ("unix:/run/a.sock", 0.25)


def test_a_client_that_left_is_an_abort() -> None:
    (event,) = read("nginx-access", [line_of(status="499", us="-", uht="-")])
    assert isinstance(event, ClientAbort)
    assert event.site == "app.test"


def test_unquoted_values_that_are_no_json_are_read() -> None:
    broken = line_of().replace('"200"', "009", 1).replace('"0.000"', "-")
    with pytest.raises(ValueError, match=r"."):
        json.loads(broken)
    (answer,) = answers([broken])
    assert answer.status == 9


COMBINED = '1.2.3.4 - - [21/Nov/2026:08:35:13 +0100] "GET /x HTTP/1.1" 502 157 "-" "curl/8"'


@pytest.mark.parametrize(
    "line",
    [
        COMBINED,
        COMBINED + ' "10.1.1.1, 10.2.2.2"',
        COMBINED + " 0.012 0.010",
        COMBINED + ' "-" 0.012 0.010 .',
        COMBINED.replace(' "-" "curl/8"', ""),  # common
        COMBINED.replace("1.2.3.4 - -", "1.2.3.4 - some user"),
        COMBINED.replace("GET /x HTTP/1.1", ""),
        COMBINED.replace("/x", "/\\x22 502 1 \\x22"),
    ],
)
def test_combined_may_be_longer_or_shorter(line: str) -> None:
    (answer,) = answers([line])
    assert (answer.status, answer.origin, answer.site) == (502, None, None)
    assert answer.at == 1795246513.0


def test_a_virtual_host_before_combined_is_the_site() -> None:
    for host in ("app.test", "app.test:443"):
        assert answers([f"{host} {COMBINED}"])[0].site == "app.test"


def test_ingress_nginx_line_tells_the_upstreams() -> None:
    # https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/log-format/
    line = COMBINED + (
        " 347 1.005 [default-app-80] [] 10.0.0.7:8000, 10.0.0.8:8000 0, 12 1.000, 0.005 504, 502 "
        "a3b1c2d4e5f60718293a4b5c6d7e8f90"
    )
    (answer,) = answers([line])
    assert (answer.upstream, answer.duration, answer.spent) == ("10.0.0.8:8000", 0.005, 1.005)
    assert answer.origin == "application"  # it sent a body: nginx' own has none
    assert answer.identity == "a3b1c2d4e5f60718293a4b5c6d7e8f90"


def test_named_values_after_combined_are_read() -> None:
    tail = ' "-" rt=1.001 uct="0.000" uht="-" urt="1.001" us="504" ua="10.0.0.1:80"'
    (answer,) = answers([COMBINED.replace(" 502 ", " 504 ") + tail])
    assert (answer.origin, answer.spent) == ("upstream", 1.001)
    assert [a.reason for a in answer.attempts] == ["response_timeout"]


def test_named_values_that_a_client_sent_are_not_believed() -> None:
    forged = COMBINED.replace("curl/8", "us=502 uct=\\x22-\\x22 uht=-") + ' "rt=1 us=502 uht=-"'
    (answer,) = answers(
        [
            forged,
        ]
    )
    assert (answer.origin, answer.attempts, answer.tells) == (None, (), False)


def test_our_own_probe_is_recognised_and_nobody_elses() -> None:
    agent = user_agent("0123456789abcdef")
    assert answers([COMBINED.replace("curl/8", agent)])[0].probe == "0123456789abcdef"
    assert answers([COMBINED.replace("curl/8", "x " + agent)])[0].probe is None
    assert answers([line_of(http_user_agent=agent)])[0].probe == "0123456789abcdef"


@pytest.mark.parametrize(
    "request_text",
    [
        'GET /x"y HTTP/1.1', "GET /a\\b HTTP/1.1", "GET /\x01\x7f HTTP/2.0", "GET /\u00e9 HTTP/1.1",
        "GET /" + "a" * 3000 + " HTTP/1.1",
    ],
)  # fmt: skip
def test_a_request_has_one_mark_however_it_is_escaped(request_text: str) -> None:
    raw = request_text.encode()
    escaped = "".join(
        f"\\x{b:02X}" if b < 0x20 or b > 0x7E or b in b'"\\' else chr(b) for b in raw
    )  # as ngx_http_log_escape does
    (combined,) = answers([COMBINED.replace("GET /x HTTP/1.1", escaped)])
    (error,) = read("nginx-error", [
        "2026/11/21 08:35:14 [error] 1#1: *12 connect() failed (111: x) while connecting to "
        f'upstream, client: 1.2.3.4, server: , request: "{request_text}", upstream: "http://a:1/"'
    ])  # fmt: skip
    method, uri, _ = request_text.split(" ")
    (structured,) = answers([line_of(remote="1.2.3.4", method=method, uri=uri, conn="12")])
    mark = combined.marks[-1]
    assert mark.startswith("line:1.2.3.4 GET /")
    assert len(mark) <= 300
    assert error.marks == ("conn:12", mark)  # type: ignore[union-attr]
    assert structured.marks == ("conn:12", mark)


@pytest.mark.parametrize(
    "line",
    ["", "{", "{}", '{"status":"200"}', "GET / HTTP/1.1", COMBINED.replace("502", "abc"),
     '{"level":"info","logger":"http.log.access","status":502}',
     "2026/11/21 08:35:14 [error] 1#1: *1 x"],
)  # fmt: skip
def test_another_programs_line_is_not_understood(line: str) -> None:
    assert dialect("nginx-access").read(Line(0.0, line, "t")) is None


@pytest.mark.parametrize("status", ["000", "-"])
def test_an_answer_without_a_status_tells_nothing(status: str) -> None:
    assert Reader().read(Line(0.0, COMBINED.replace(" 502 ", f" {status} "), "t")) == ()
