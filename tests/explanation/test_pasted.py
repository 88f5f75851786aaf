"""nginx' lines as people paste them: out of context, decorated, cut, wrapped, of old versions."""

from __future__ import annotations

import textwrap

import pytest

from tests.explanation.told import brief, told

MESSAGE = (
    "connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.7, "
    'server: app.test, request: "GET /a HTTP/1.1", upstream: "http://10.0.0.1:8000/a", host: "app"'
)
LINE = f"2026/11/21 08:35:14 [error] 9001#9001: *12 {MESSAGE}"
ACCESS = '10.0.0.7 - - [21/Nov/2026:08:35:14 +0000] "GET /a HTTP/1.1" 502 157 "-" "curl/8"'
REFUSED = [("upstream_failure", "connect_refused", "10.0.0.1:8000")]


@pytest.mark.parametrize(
    "prefix",
    [
        "`", "**", '"', "│ ", "error.log:", "/var/log/nginx/error.log-20261121:",
        "/var/log/nginx/error.log:88:", "88:", "88-", "err log: ", "stderr: ", "[nginx] ",
        "nginx: ", "Nov 21, 2026 @ 08:35:14.000 ", "21/11/2026 08:35:14 ", "21.11.2026 08:35:14 ",
        "Sat Nov 21 08:35:14 2026 ", "# ", "$ ", r"\x1b[31m",
        "Nov 21 08:35:14 <host> nginx[9]: ", "ov 21 08:35:14 vm nginx[9]: ",
    ],
)  # fmt: skip
def test_what_stands_around_a_quotation_is_taken_off(prefix: str) -> None:
    assert brief(told(prefix + LINE), "upstream") == REFUSED
    second = (prefix + LINE).replace("*12", "*13")
    assert brief(told(f"{prefix}{LINE}\n{second}"), "upstream") == REFUSED * 2


@pytest.mark.parametrize("end", ["`", "```", "**", '"', "  ", " │", "\r"])
def test_what_closes_a_quotation_is_taken_off(end: str) -> None:
    assert brief(told(LINE + end), "upstream") == REFUSED


@pytest.mark.parametrize(
    "text",
    [
        MESSAGE,
        f"`{MESSAGE}`",
        f"*12 {MESSAGE}",
        f"12 {MESSAGE}",
        f"9001#9001: *12 {MESSAGE}",
        f"[error] 9001#9001: *12 {MESSAGE}",
        f"ror] 9001#9001: *12 {MESSAGE}",
    ],
)
def test_a_message_without_its_time_is_one(text: str) -> None:
    (found,) = told(text)
    assert brief([found], "upstream") == REFUSED
    assert found["at"] is None


@pytest.mark.parametrize(
    "text",
    [
        "connect() failed (111: Connection refused) while connecting to upstream",
        "upstream timed out means that nginx waited, client: 10.0.0.7",
        f"somebody wrote {MESSAGE}",
        f"api-1  | INFO:     Started server process [7]\napi-1  | {MESSAGE}",
    ],
)
def test_talk_about_a_message_is_none(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ("connect() failed (111: Connection ref", "connect_refused"),
        ("connect() to unix:/run/app.sock failed (13: Permission denied", "socket_denied"),
        ("connect() failed (111: Connection refused) while con", "connect_refused"),
        ("upstream timed out (110: Connection timed out) while connecting", "connect_timeout"),
        ("recv() failed (104: Connection reset by peer) while reading res", "reset"),
        ("no live upstreams while connecting to", "no_live_upstream"),
        ("upstream prematurely closed connection while reading response header from upstream, cl",
         "premature_close"),
        ("upstream prematurely closed connection while reading response header from upstream.",
         "premature_close"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", ["", "$", ">", "…", "..."])
def test_a_line_that_was_cut_says_what_is_left_of_it(kept: str, reason: str, mark: str) -> None:
    line = f"2026/11/21 08:35:14 [error] 9001#9001: *12 {kept}{mark}"
    assert brief(told(f"{line}\n{line.replace('*12', '*13')}")) == [
        ("upstream_failure", reason)
    ] * 2  # fmt: skip


@pytest.mark.parametrize(
    "kept",
    ["upstream prematurely closed connection whi", "recv() failed (104: Connection reset by peer)"],
)
def test_a_cut_that_leaves_two_readings_is_not_guessed(kept: str) -> None:
    assert told(f"2026/11/21 08:35:14 [error] 9001#9001: *12 {kept}$") == []


def test_quotes_that_were_escaped_on_the_way_are_quotes() -> None:
    assert brief(told(LINE.replace('"', r"\"")), "upstream") == REFUSED
    assert brief(told(LINE.replace('"', "&quot;")), "upstream") == REFUSED


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_an_access_line_wrapped_before_its_status_still_has_it(width: int) -> None:
    lines = [*textwrap.wrap(LINE, width), *textwrap.wrap(ACCESS, width)]
    assert brief(told("\n".join(lines)), "status") == [("upstream_failure", "connect_refused", 502)]


def test_requests_over_http_2_have_their_upstream_too() -> None:
    for version in ("HTTP/2.0", "HTTP/3.0"):
        assert brief(told(LINE.replace("HTTP/1.1", version)), "upstream") == REFUSED


@pytest.mark.parametrize(
    ("url", "upstream"),
    [
        ("http://10.0.0.1:8000?action=stream", "10.0.0.1:8000"),
        ("http://10.0.0.1:8000version", "10.0.0.1:8000"),
        ("http://10.0.0.1:800012", None),
    ],
)
def test_an_address_with_no_slash_behind_it_is_read(url: str, upstream: str | None) -> None:
    line = LINE.replace("http://10.0.0.1:8000/a", url)
    assert brief(told(line), "upstream") == [("upstream_failure", "connect_refused", upstream)]


def test_an_answer_that_ends_early_while_it_is_passed_on_is_the_upstreams_doing() -> None:
    words = "upstream prematurely closed connection while sending to client"
    text = LINE.replace(LINE[LINE.index("connect()") : LINE.index(", client")], words)
    assert brief(told(text)) == [("upstream_failure", "body_truncated")]
    gone = text.replace("upstream prematurely closed connection", "send() failed (32: Broken pipe)")
    assert brief(told(gone)) == [("client_abort", None)]


def test_a_connection_that_was_to_be_a_tunnel_failed_as_any_other() -> None:
    text = LINE.replace("connecting to upstream", "connecting to upstream(proxy_connect)")
    assert brief(told(text), "upstream") == REFUSED


def test_what_a_script_in_nginx_says_is_no_failure_of_an_upstream() -> None:
    words = "[lua] pick.lua:9: retry failed (111: Connection refused) while connecting to upstream"
    text = LINE.replace(LINE[LINE.index("connect()") : LINE.index(", client")], words)
    assert told(text) == []


def test_the_old_line_of_the_ingress_controller_tells_each_attempt() -> None:
    line = (
        '10.0.0.7 - [10.0.0.7] - - [21/Nov/2026:08:35:14 +0000] "GET /a HTTP/1.1" 502 157 "-" '
        '"curl/8" 240 0.002 [app-80] 10.0.0.1:80, 10.0.0.2:80 0, 0 0.001, 0.001 502, 502 d22a7685'
    )
    assert brief(told(line), "status") == [("upstream_failure", "unknown", 502)]
