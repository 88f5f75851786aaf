"""Any ``log_format``: what its lines tell, and that no template and no client breaks it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.dialects import logformat
from badgateway.dialects.nginx_access import Reader
from badgateway.events import ClientAbort, Line, Response

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
JSON = (
    '{"t":"$time_iso8601","c":"$connection","r":"$remote_addr","m":"$request_method",'
    '"u":"$request_uri","h":"$server_name","s":$status,"us":"$upstream_status",'
    '"a":"$upstream_addr","uct":"$upstream_connect_time","uht":"$upstream_header_time",'
    '"rt":$request_time,"b":"$upstream_bytes_received","agent":"$http_user_agent"}'
)
TIMED = (
    "${remote_addr} [$time_local] $server_name $request $status rt=$request_time "
    "us=$upstream_status ua=$upstream_addr uct=$upstream_connect_time uht=$upstream_header_time "
    'urt=$upstream_response_time "$http_referer"'
)


def answer(template: str, line: str, escape: str = "default") -> Response:
    events = Reader(template, escape).read(Line(0.0, line, "t"))
    assert events is not None
    (event,) = events
    assert isinstance(event, Response)
    return event


def test_combined_written_out_is_read_like_combined() -> None:
    line = '1.2.3.4 - a b [21/Nov/2026:08:35:13 +0000] "GET /x HTTP/1.1" 502 157 "-" "curl"'
    found = answer(COMBINED, line)
    assert (found.status, found.tells) == (502, False)
    assert found.at == 1795250113.0
    assert found.marks == ("line:1.2.3.4 GET /x",)


def test_json_that_is_not_quite_json_is_read() -> None:
    line = (
        '{"t":"2026-11-21T08:35:13+00:00","c":"7","r":"1.2.3.4","m":"GET","u":"/\\"x","h":"a.test"'
        ',"s":009,"us":"200","a":"10.0.0.1:80","uct":"0.0","uht":"0.1","rt":0.2,"b":"9",'
        '"agent":"x\\\\"}'
    )
    found = answer(JSON, line, "json")
    assert (found.status, found.upstream, found.site) == (9, "10.0.0.1:80", "a.test")
    assert found.marks == ("conn:7", "line:1.2.3.4 GET /\\x22x")
    assert found.tells


def test_lists_stand_unquoted() -> None:
    line = (
        "1.2.3.4 [21/Nov/2026:08:35:13 +0000] a.test GET /x HTTP/1.1 502 rt=1.0 us=504, 502 : 502 "
        "ua=10.0.0.1:80, 10.0.0.2:80 : unix:/a.sock uct=0.1, - : - uht=-, - : - urt=1.0, 0.0 : 0.0 "
        '"-"'
    )
    found = answer(TIMED, line)
    assert found.origin == "upstream"
    assert [(a.reason, a.upstream) for a in found.attempts] == [
        ("response_timeout", "10.0.0.1:80"),
        ("connect_failed", "10.0.0.2:80"),
        ("connect_failed", "unix:/a.sock"),
    ]


def test_a_client_cannot_write_the_values_behind_its_own() -> None:
    line = (
        "1.2.3.4 [21/Nov/2026:08:35:13 +0000] a.test GET /x?502_rt=1 HTTP/1.1 200 rt=1.0 us=200 "
        "ua=10.0.0.1:80 uct=0.1 uht=0.1 urt=1.0 "
        '"a.test GET / HTTP/1.1 502 rt=1 us=502 ua=6.6.6.6:1 uct=- uht=- urt=1 \\x22"'
    )
    found = answer(TIMED, line)
    assert (found.status, found.upstream, found.attempts) == (200, "10.0.0.1:80", ())


def test_a_line_of_another_format_is_not_understood() -> None:
    assert Reader(COMBINED).read(Line(0.0, '{"status":"502"}', "t")) is None


def test_a_format_without_a_status_tells_nothing() -> None:
    assert Reader("$remote_addr $request_time").read(Line(0.0, "1.2.3.4 0.1", "t")) == ()


def test_an_abort_is_known_in_any_format() -> None:
    (event,) = Reader("$status|$server_name").read(Line(0.0, "499|a.test", "t")) or ()
    assert isinstance(event, ClientAbort)


def test_a_literal_dollar_stays_one() -> None:
    assert logformat.parse("a $ b $-").variables == ()
    assert Reader("$ $status").read(Line(0.0, "$ 200", "t")) is not None


@pytest.mark.parametrize("escape", ["default", "json", "none"])
def test_a_long_line_of_another_format_takes_no_time(escape: str) -> None:
    template = " ".join(f"$http_x{number}" for number in range(40)) + " $request $status $uri end"
    reader = Reader(template, escape)
    began = time.process_time()
    for line in ("a " * 8000, "GET /" * 4000, "/ HTTP/1.1 200 " * 1000):
        reader.read(Line(0.0, line, "t"))
        reader.tally(line.encode() + b"\n")
    assert time.process_time() - began < 5.0


@given(
    st.text(alphabet='$abc{}_ "[]\\().*+?|^\n', max_size=60)
    | st.lists(
        st.sampled_from(
            ["$status", "$upstream_addr", "${request}", '"', " ", "$x", "[", "\\", "$1"]
        )
    ).map("".join),
    st.sampled_from(["default", "json", "none", "?"]),
    st.text(max_size=60),
)
def test_no_template_and_no_line_breaks_it(template: str, escape: str, line: str) -> None:
    reader = Reader(template, escape)
    reader.read(Line(0.0, line, "t"))
    reader.tally(line.encode("utf-8", "surrogatepass"))
