"""nginx' error log: recordings of 1.22.1, wording of other versions, hostile requests."""

from __future__ import annotations

import time
from typing import Any

import pytest

from badgateway.dialects import dialect
from badgateway.events import ClientAbort, Line, UpstreamFailure
from tests.dialects.reading import corpus, failures, read, told, truth

# What the error log does not tell, and what it tells instead. Each was looked at.
TOLD_OTHERWISE: dict[str, set[str]] = {
    "all_down": {"connect_refused", "no_live_upstream"},  # both happened
    "bad_content_length": set(),  # tolerated: nginx before 1.23
    "cl_and_te": set(),
    "dup_content_length": {"body_truncated"},  # took the larger length: the body was too short
    "excess_body": set(),
    "fcgi_mid_body": set(),  # no line at all
    "fcgi_500": set(),  # the application's words, and its own status
    "app_500": set(), "app_502": set(), "app_503": set(), "local_503": set(),  # no line at all
    "client_abort_wait": set(), "client_abort_download": set(), "client_abort_upload": set(),
    "ws_idle": set(),  # at info
    "local_limit": set(),  # a local answer, counted by the access log
    "pool_exhausted": {"no_live_upstream"},  # nginx has the same words for max_conns
    "upload_rst": {"reset"},  # by then nginx was reading the answer
}  # fmt: skip
TOLD_AT_INFO: dict[str, set[str]] = {
    "client_abort_wait": {"client_abort"}, "client_abort_download": {"client_abort"},
    "client_abort_upload": {"client_abort"}, "ws_idle": {"body_timeout"},
}  # fmt: skip
SPECIAL_TOLD_OTHERWISE: dict[str, set[str]] = {
    "fpm_backlog_full": {"backlog_full", "response_timeout"},
    "fpm_memory_limit": set(),
    "gunicorn_worker_timeout": set(),
    "nginx_emfile": {"proxy_resources", "response_timeout"},
    "nginx_recommended_format": {
        "body_truncated", "connect_refused", "invalid_response", "premature_close",
    },
    "nginx_start_host_not_found": set(),  # no request failed: nginx did not start
    "nginx_worker_connections": {"proxy_resources", "response_timeout"},
    "nginx_worker_killed": set(),
}  # fmt: skip

RECORDED = corpus("nginx")
SPECIAL = [case for case in corpus("special") if "nginx_error" in case["lines"]]

HEAD = "2026/11/21 08:35:14 [error] 9001#9001: *12 "
CONTEXT = (
    ', client: 127.0.0.1, server: app.test, request: "GET /x?a=1 HTTP/1.1", '
    'upstream: "http://10.0.0.1:8000/x?a=1", host: "localhost:8081"'
)


def said(message: str, level: str = "error", context: str = CONTEXT) -> set[str]:
    head = HEAD.replace("[error]", f"[{level}]")
    return told(read("nginx-error", [head + message + context]))


def one(line: str) -> UpstreamFailure:
    (failure,) = failures(read("nginx-error", [line]))
    return failure


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_a_recorded_fault_gets_its_reason(case: dict[str, Any]) -> None:
    found = told(read("nginx-error", case["lines"].get("error", [])))
    assert found == TOLD_OTHERWISE.get(case["case"], truth(case))


@pytest.mark.parametrize("case", RECORDED, ids=lambda c: c["case"])
def test_at_level_info_nothing_else_counts_but_aborts(case: dict[str, Any]) -> None:
    lines = case["lines"].get("error_info_level", [])
    usual = TOLD_OTHERWISE.get(case["case"], truth(case))
    expected = TOLD_AT_INFO.get(case["case"], usual) if lines else set()
    assert told(read("nginx-error", lines)) == expected


@pytest.mark.parametrize("case", SPECIAL, ids=lambda c: c["case"])
def test_a_real_application_behind_it(case: dict[str, Any]) -> None:
    found = told(read("nginx-error", case["lines"]["nginx_error"]))
    assert found == SPECIAL_TOLD_OTHERWISE.get(case["case"], truth(case))


@pytest.mark.parametrize("case", [*RECORDED, *SPECIAL], ids=lambda c: c["case"])
def test_every_line_is_understood(case: dict[str, Any]) -> None:
    reader = dialect("nginx-error")
    for source in ("error", "error_info_level", "nginx_error", "backend_nginx_error"):
        for line in case["lines"].get(source, []):
            assert reader.read(Line(0.0, line, "t")) is not None


def test_a_failure_says_when_where_and_of_which_request() -> None:
    failure = one(
        HEAD + "connect() failed (111: Connection refused) while connecting to upstream" + CONTEXT
    )
    assert failure.at == time.mktime((2026, 11, 21, 8, 35, 14, 0, 0, -1))
    assert (failure.site, failure.upstream, failure.status) == ("app.test", "10.0.0.1:8000", None)
    assert failure.marks == ("conn:12", "line:127.0.0.1 GET /x?a=1")
    assert "Connection refused" in failure.detail


@pytest.mark.parametrize(
    ("printed", "upstream"),
    [
        ("http://[::1]:8000/x", "[::1]:8000"),
        ("https://10.0.0.1:8443/", "10.0.0.1:8443"),
        ("fastcgi://127.0.0.1:9000", "127.0.0.1:9000"),
        ("fastcgi://unix:/run/php/fpm.sock:", "unix:/run/php/fpm.sock"),
        ("fastcgi://unix:/run/php/fpm.sock", "unix:/run/php/fpm.sock"),
        ("http://unix:/run/app.sock:/c/x", "unix:/run/app.sock"),
        ("http://unix:///run/app.sock:/c/x", "unix:/run/app.sock"),
        ("uwsgi://127.0.0.1:3031", "127.0.0.1:3031"),
        ("scgi://127.0.0.1:4000", "127.0.0.1:4000"),
        ("grpc://127.0.0.1:50051", "127.0.0.1:50051"),
        ("passenger:unix:/tmp/p/request:", "unix:/tmp/p/request"),
        ("http://app.internal:8000/", "app.internal:8000"),
        ("http://[IP]:[PORT]/x", None),
        ("http://x.x.x.x:8080/", None),
        ("http://10.*.*.207:80/", None),
        ("http://<REDACTED>/", None),
        ("http://10.0.0.999:80/", None),
        ("http://10.0.0.1:99999/", None),
        ("http://10.0.0.1:0/", None),
    ],
)  # fmt: skip
def test_every_kind_of_upstream_is_named(printed: str, upstream: str | None) -> None:
    context = (
        f', client: 1.2.3.4, server: a.test, request: "GET /x HTTP/1.1", upstream: "{printed}"'
    )
    assert (
        one(HEAD + "connect() failed (111: x) while connecting to upstream" + context).upstream
        == upstream
    )


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("", None),
        ("_", None),
        ("A.test", "a.test"),
        ("~^(www\\.)?(.{1,3}), x$", "~^(www\\.)?(.{1,3}), x$"),
    ],
)
def test_the_site_is_the_servers_name(name: str, site: str | None) -> None:
    line = HEAD + "connect() failed (111: x) while connecting to upstream" + CONTEXT
    assert one(line.replace("app.test", name)).site == site


def test_a_group_without_a_live_member_is_named() -> None:
    context = CONTEXT.replace("10.0.0.1:8000", "up_app")
    assert (
        one(HEAD + "no live upstreams while connecting to upstream" + context).upstream == "up_app"
    )


# Messages of other versions, of modules and systems that were not recorded: the wording is that of
# nginx' source at its tags and of public threads.
WHILE_CONNECTING = " while connecting to upstream"
WHILE_HEADER = " while reading response header from upstream"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        # system errors, by number where it is Linux', by words where it is not
        ("connect() failed (111: Unknown error)" + WHILE_CONNECTING, "connect_refused"),
        ("connect() failed (61: Connection refused)" + WHILE_CONNECTING, "connect_refused"),
        ("kevent() reported that connect() failed (61: Connection refused)" + WHILE_CONNECTING,
         "connect_refused"),
        ("connect() failed (10061: FormatMessage() error:(15105))" + WHILE_CONNECTING,
         "connect_refused"),
        ("connect() failed (65: No route to host)" + WHILE_CONNECTING, "connect_unreachable"),
        ("connect() failed (113: Host is unreachable)" + WHILE_CONNECTING, "connect_unreachable"),
        ("connect() failed (99: Address not available)" + WHILE_CONNECTING, "proxy_resources"),
        ("bind(10.0.0.9) failed (99: Cannot assign requested address)" + WHILE_CONNECTING,
         "proxy_resources"),
        ("connect() to unix:/a b.sock failed (35: Resource temporarily unavailable)"
         + WHILE_CONNECTING, "backlog_full"),
        ("upstream timed out (110: Operation timed out)" + WHILE_CONNECTING, "connect_timeout"),
        ("upstream timed out (60: Operation timed out)" + WHILE_HEADER, "response_timeout"),
        ("recv() failed (54: Connection reset by peer)" + WHILE_HEADER, "reset"),
        ("recv() failed (104: Unknown error)" + WHILE_HEADER, "reset"),
        ("readv() failed (131: Connection reset by peer) while reading upstream",
         "body_truncated"),
        # the wording of versions
        ("upstream sent invalid header" + WHILE_HEADER, "invalid_response"),  # before 1.21.1
        ('upstream sent invalid header: "X\\x20..."' + WHILE_HEADER, "invalid_response"),
        ("upstream prematurely closed FastCGI stdout" + WHILE_HEADER, "premature_close"),
        ("upstream prematurely closed FastCGI request while reading upstream", "body_truncated"),
        ('upstream sent duplicate header line: "Content-Length: 7", previous value: '
         '"Content-Length: 2"' + WHILE_HEADER, "invalid_response"),  # 1.23.0
        ('upstream sent invalid "Content-Length" header: "Content-Length: two"' + WHILE_HEADER,
         "invalid_response"),
        ('upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time'
         + WHILE_HEADER, "invalid_response"),
        ('upstream sent unknown "Transfer-Encoding": "wibble"' + WHILE_HEADER,
         "invalid_response"),
        ("SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:"
         "SSL alert number 116)" + WHILE_HEADER, "tls_handshake"),  # 1.23.4
        ("SSL_do_handshake() failed (SSL: error:0A00042E:SSL routines::tlsv1 alert protocol "
         "version:SSL alert number 70) while SSL handshaking to upstream", "tls_handshake"),
        ("upstream sent too big trailers while reading upstream", "header_too_big"),  # 1.27.2
        ('upstream sent invalid trailer: "x\\x20..." while reading upstream',
         "invalid_response"),
        ("upstream rejected request with error 2" + WHILE_HEADER, "invalid_response"),  # grpc
        ("upstream sent goaway with error 1" + WHILE_HEADER, "invalid_response"),
        ("upstream sent frame for unknown stream 5" + WHILE_HEADER, "invalid_response"),
        ("upstream prematurely closed stream" + WHILE_HEADER, "premature_close"),
        ("upstream sent too large http2 header name: 5000" + WHILE_HEADER, "header_too_big"),
        ("upstream prematurely sent response" + WHILE_HEADER, "invalid_response"),  # 1.29.5
        ("upstream SSL certificate verify error: (10:certificate has expired) while SSL "
         "handshaking to upstream", "tls_certificate"),
        ("no port in upstream \"app\"", "no_live_upstream"),
        ("nx.test could not be resolved (3: Host not found)", "dns_failure"),
        ("7 worker_connections are not enough" + WHILE_CONNECTING, "proxy_resources"),
        ("proxy_connect: upstream connect timed out (peer:10.0.0.1:443)" + WHILE_CONNECTING,
         "connect_timeout"),
        ('pwritev() "/var/lib/nginx/proxy/1/02/0000000021" failed (28: No space left on device) '
         "while reading upstream", "proxy_io"),
        ("writev() failed (32: Broken pipe) while sending request to upstream", "send_failed"),
    ],
)  # fmt: skip
def test_other_versions_and_systems_say_it_in_other_words(message: str, reason: str) -> None:
    assert said(message) == {reason}


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("an upstream response is buffered to a temporary file /p/0000000001 while reading "
         "upstream", "warn"),
        ("a client request body is buffered to a temporary file /b/0000000001", "warn"),
        ("upstream server temporarily disabled" + WHILE_CONNECTING, "warn"),
        ('upstream sent more data than specified in "Content-Length" header while reading '
         "upstream", "warn"),
        ("upstream sent data after final chunk while reading upstream", "warn"),
        ('limiting requests, excess: 0.998 by zone "one"', "error"),
        ('limiting connections by zone "one"', "error"),
        ('delaying request, excess: 0.1, by zone "one"', "warn"),
        ("auth request unexpected status: 502 while sending to client", "error"),
        ("client intended to send too large body: 99 bytes", "error"),
        ("SSL_do_handshake() failed (SSL: error:0A00006C) while SSL handshaking", "info"),
        ("SSL_shutdown() failed (SSL: error:1409F07F) while reading upstream", "error"),
        ('open() "/srv/www/favicon.ico" failed (2: No such file or directory)', "error"),
        ("connect() failed (111: Connection refused) while requesting certificate status",
         "error"),
        ("enable check peer: 10.0.0.1:80", "error"),
        ('FastCGI sent in stderr: "Primary script unknown"' + WHILE_HEADER, "error"),
    ],
)  # fmt: skip
def test_what_looks_like_a_failure_and_is_none_counts_nothing(message: str, level: str) -> None:
    assert said(message, level) == set()


@pytest.mark.parametrize(
    "message",
    [
        "client prematurely closed connection",
        "epoll_wait() reported that client prematurely closed connection, so upstream connection "
        "is closed too while sending request to upstream",
        "kevent() reported that client prematurely closed connection, so upstream connection is "
        "closed too (54: Connection reset by peer) while reading upstream",
        "recv() failed (104: Connection reset by peer) while sending to client",
        "client timed out (110: Connection timed out) while sending to client",
        "writev() failed (104: Connection reset by peer) while proxying upgraded connection",
    ],
)
def test_a_client_that_left_is_no_failure(message: str) -> None:
    (event,) = read("nginx-error", [HEAD.replace("error", "info") + message + CONTEXT])
    assert isinstance(event, ClientAbort)
    assert event.marks == ("conn:12", "line:127.0.0.1 GET /x?a=1")


def test_a_client_that_asked_nothing_aborted_nothing() -> None:
    line = HEAD.replace("error", "info") + "client prematurely closed connection while waiting for"
    assert read("nginx-error", [line + " request, client: 1.2.3.4, server: 0.0.0.0:80"]) == []


# Source of the form: ngx_stream_proxy_module.c.
@pytest.mark.parametrize(
    ("message", "level", "reason"),
    [
        ("connect() failed (111: Connection refused) while connecting to upstream", "error",
         "connect_refused"),
        ("upstream timed out (110: Connection timed out) while connecting to upstream", "error",
         "connect_timeout"),
        ("recv() failed (104: Connection reset by peer) while proxying and reading from upstream",
         "error", "body_truncated"),
        ("recv() failed (104: Connection reset by peer) while proxying connection", "error",
         "body_truncated"),
        ("recv() failed (104: Connection reset by peer) while proxying and reading from client",
         "info", "client_abort"),
    ],
)  # fmt: skip
def test_the_stream_modules_lines_are_read(message: str, level: str, reason: str) -> None:
    context = (
        ', client: 1.2.3.4, server: 0.0.0.0:5432, upstream: "10.0.0.5:5432", '
        "bytes from/to client:0/0, bytes from/to upstream:0/0"
    )
    assert said(message, level, context) == {reason}
    if level == "error":
        failure = one(HEAD + message + context)
        assert (failure.upstream, failure.site) == ("10.0.0.5:5432", None)


def test_a_resolver_that_refuses_is_a_failure_to_resolve() -> None:
    line = (
        "2026/11/21 08:35:14 [error] 7#7: send() failed (111: Connection refused) while resolving, "
        "resolver: 127.0.0.11:53"
    )
    assert told(read("nginx-error", [line])) == {"dns_failure"}


def test_each_attempt_counts_and_a_second_line_about_one_does_not() -> None:
    refused = "connect() failed (111: Connection refused)" + WHILE_CONNECTING
    closed = "upstream prematurely closed connection" + WHILE_HEADER
    other = CONTEXT.replace("10.0.0.1", "10.0.0.2")
    retried = [HEAD + refused + CONTEXT, HEAD + refused + other]
    assert len(read("nginx-error", retried)) == 2
    again = [HEAD + closed + CONTEXT, HEAD + closed + CONTEXT, HEAD + refused + CONTEXT]
    assert len(read("nginx-error", again)) == 3
    twice = [HEAD + "writev() failed (32: Broken pipe) while sending request to upstream" + CONTEXT,
             HEAD + closed + CONTEXT]  # fmt: skip
    assert told(read("nginx-error", twice)) == {"send_failed"}
    record = [HEAD + "upstream sent unexpected FastCGI record: 3" + WHILE_HEADER + CONTEXT,
              HEAD + closed + CONTEXT]  # fmt: skip
    assert len(read("nginx-error", record)) == 1


def test_the_same_line_in_two_logs_has_one_identity_and_two_lines_have_two() -> None:
    line = HEAD + "upstream prematurely closed connection" + WHILE_HEADER + CONTEXT
    first = [event.identity for event in failures(read("nginx-error", [line, line]))]
    second = [event.identity for event in failures(read("nginx-error", [line, line]))]
    assert first == second
    assert len(set(first)) == 2


def test_fastcgi_errors_of_several_lines_count_nothing() -> None:
    lines = [
        HEAD + 'FastCGI sent in stderr: "PHP message: PHP Fatal error:  Uncaught Error: boom',
        "Stack trace:",
        "#0 recv() failed (104: Connection reset by peer)" + WHILE_HEADER,
        HEAD + "connect() failed (111: Connection refused) while connecting to upstream" + CONTEXT,
        '  thrown in /srv/app/index.php on line 3" while reading response header from upstream'
        + CONTEXT,
    ]
    reader = dialect("nginx-error")
    assert [reader.read(Line(0.0, line, "t")) for line in lines] == [()] * 5
    after = HEAD + "connect() failed (111: x) while connecting to upstream" + CONTEXT
    assert told(read(reader, [after])) == {"connect_refused"}


def test_a_broken_header_of_several_lines_is_understood() -> None:
    case = next(c for c in corpus("special") if c["case"] == "nginx_proxy_protocol")
    reader = dialect("nginx-error")
    lines = case["lines"]["backend_nginx_error"]
    assert len(lines) > 2
    assert [reader.read(Line(0.0, line, "t")) for line in lines] == [()] * len(lines)


def test_a_line_after_an_endless_message_counts_again() -> None:
    reader = dialect("nginx-error")
    lines = [HEAD + 'FastCGI sent in stderr: "PHP message: a', *["#0 /srv/x.php(1): f()"] * 100]
    assert read(reader, lines) == []
    after = HEAD + "connect() failed (111: x) while connecting to upstream" + CONTEXT
    assert told(read(reader, [after])) == {"connect_refused"}


def test_a_line_cut_in_its_address_keeps_its_reason() -> None:
    case = next(c for c in SPECIAL if c["case"] == "nginx_long_url")
    (failure,) = failures(read("nginx-error", case["lines"]["nginx_error"]))
    assert (failure.reason, failure.upstream) == ("connect_refused", None)
    (answer,) = read("nginx-access", case["lines"]["nginx_access"])
    assert set(failure.marks) & set(getattr(answer, "marks"))  # noqa: B009 - of any event


@pytest.mark.parametrize(
    ("context", "upstream"),
    [
        # recorded as nginx_log_injection: both are the client's
        (', client: 127.0.0.1, server: , request: "GET /x",upstream:"http://6.6.6.6/ HTTP/1.1", '
         'upstream: "http://127.0.0.1:18101/x",upstream:"http://6.6.6.6/", host: "h", referrer: '
         '"x", upstream: "http://6.6.6.6:1/"', "127.0.0.1:18101"),
        (', client: 127.0.0.1, server: a.test, request: "GET /x", upstream: "http://6.6.6.6:1/ '
         'HTTP/1.1", upstream: "http://10.0.0.1:8000/x", host: "h"', "10.0.0.1:8000"),
        (', client: 127.0.0.1, server: a.test, request: "GET /x HTTP/1.1", host: "h", referrer: '
         '"GET / HTTP/1.1", upstream: "http://6.6.6.6:1/"', None),
        # an old nginx let HTTP/2 requests hold spaces
        (', client: 127.0.0.1, server: a.test, request: "GET /x HTTP/1.1", upstream: '
         '"http://6.6.6.6:1/ HTTP/2.0", upstream: "http://10.0.0.1:8000/x", host: "h"', None),
        (', client: 127.0.0.1, server: a.test, request: "GET /x HTTP/1.1", subrequest: "/auth", '
         'upstream: "http://10.0.0.1:8000/auth", host: "h"', "10.0.0.1:8000"),
    ],
)  # fmt: skip
def test_a_forged_upstream_never_counts(context: str, upstream: str | None) -> None:
    line = (
        HEAD + "connect() failed (111: Connection refused) while connecting to upstream" + context
    )
    assert one(line).upstream == upstream


NO_FILE = (
    '" failed (2: No such file or directory), client: 1.2.3.4, server: s, '
    'request: "GET {uri} HTTP/1.1", host: "h"'
)


@pytest.mark.parametrize(
    "path",
    [
        'x" failed (13: Permission denied) while reading upstream, client: 6.6.6.6, server: s, '
        'request: "GET / HTTP/1.1", upstream: "http://6.6.6.6:1/", host: "',
        "connect() failed (111: Connection refused) while connecting to upstream",
        'x", client: 6.6.6.6, server: s, upstream: "http://6.6.6.6:1/',
        "\x00\x1b[31mrecv() failed (104: x) while reading response header from upstream\x1b[0m",
    ],
)
def test_a_files_name_forges_no_failure(path: str) -> None:
    end = NO_FILE.format(uri="/x")
    assert read("nginx-error", [HEAD + f'open() "/srv/www/{path}' + end]) == []


def test_a_files_name_of_several_lines_forges_no_line() -> None:
    forged = HEAD + "connect() failed (111: x) while connecting to upstream" + CONTEXT
    end = NO_FILE.format(uri="/%0a")
    assert read("nginx-error", [HEAD + 'open() "/srv/www/', forged, forged, end]) == []


def test_a_line_in_a_files_name_as_nginx_wrote_it_counts_nothing() -> None:
    # recorded from 1.22.1, asked for /%0a2026/11/21%2008:35:14%20%5berror%5d%201%231:…%0aend
    lines = [
        '2026/11/21 23:07:42 [error] 17438#17438: *1 open() "/srv/www/',
        "2026/11/21 08:35:14 [error] 1#1: *12 connect() failed (111: x) while connecting to "
        'upstream, client: 1.2.3.4, server: a, request: "GET / HTTP/1.1", upstream: '
        '"http:/6.6.6.6:1/"',
        'end" failed (2: No such file or directory), client: 127.0.0.1, server: , request: "GET '
        '/%0a2026/11/21%2008:35:14%20%5berror%5d HTTP/1.1", host: "127.0.0.1:18765"',
    ]
    assert read("nginx-error", lines) == []
    assert read("nginx-error", lines[1:2]) == []  # nor alone: nginx merges a path's slashes


def test_details_show_no_secrets() -> None:
    message = 'upstream sent duplicate header line: "X-Token: secret=abc123"' + WHILE_HEADER
    assert "abc123" not in one(HEAD + message + CONTEXT).detail


@pytest.mark.parametrize("line", ["", "GET / HTTP/1.1", '127.0.0.1 - - [x] "GET /" 502 1 "-" "-"'])
def test_another_programs_line_is_not_understood(line: str) -> None:
    assert dialect("nginx-error").read(Line(0.0, line, "t")) is None
