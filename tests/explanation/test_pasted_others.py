"""Lines of Caddy, HAProxy and application servers as people paste them, and of old versions."""

from __future__ import annotations

import json
import textwrap

import pytest

from tests.explanation.told import brief, told

# -- Caddy


def caddy(message: str, **fields: object) -> str:
    entry = {
        "level": "error", "ts": 1795250324.9, "logger": "http.log.error", "msg": message,
        "request": {"remote_ip": "10.0.0.7", "remote_port": "5", "host": "app.test", "uri": "/a"},
        "duration": 0.1, "status": 502, "err_trace": "reverseproxy.statusError (reverseproxy.go:1)",
    }  # fmt: skip
    return json.dumps({**entry, **fields}, separators=(",", ":"))


def test_an_entry_cut_within_the_request_still_has_its_reason() -> None:
    for message, reason in (
        ("dial tcp 10.0.0.1:80: connect: connection refused", "connect_refused"),
        ("EOF", "premature_close"),
    ):
        cut = caddy(message).partition('"host"')[0]
        assert brief(told(cut)) == [("upstream_failure", reason)]


def test_an_entry_of_which_another_handler_may_be_the_writer_is_not_guessed() -> None:
    message = "read tcp 10.0.0.1:4->10.0.0.2:5: read: connection reset by peer"
    assert told(caddy(message).partition('"host"')[0]) == []
    whole = json.loads(caddy(message))
    del whole["status"], whole["err_trace"]
    assert told(json.dumps(whole, separators=(",", ":"))) == []


@pytest.mark.parametrize(
    "error",
    [
        "context canceled", "reading: context canceled", "writing: http2: stream closed",
        "H3 error (0x10c)",
        "stream 100 canceled with error code 268", "writing: client disconnected",
        "write tcp 10.0.0.1:443->10.0.0.7:5: write: broken pipe",
        "writing: write tcp 10.0.0.1:443->10.0.0.7:5: i/o timeout",
    ],
)  # fmt: skip
def test_an_answer_that_the_client_did_not_want_is_its_abort(error: str) -> None:
    line = caddy(
        "aborting with incomplete response", logger="http.handlers.reverse_proxy", error=error
    )
    assert brief(told(line)) == [("client_abort", None)]


def test_a_terminals_lines_may_have_small_levels_and_be_cut() -> None:
    words = "http.log.error\tdial tcp 10.0.0.1:80: connect: connection refused"
    whole = '{"request": {"host": "app.test"}, "status": 502, "duration": 0.1}'
    for level in ("error", "ERROR"):
        for fields in (whole, whole[:24]):
            line = f"2026/11/21 08:35:14.123\t{level}\t{words}\t{fields}"
            assert brief(told(line), "upstream") == [
                ("upstream_failure", "connect_refused", "10.0.0.1:80")
            ]


def test_the_first_caddys_errors_may_have_gos_own_time() -> None:
    line = "2026/11/21 08:35:14 [ERROR 502 /a] dial tcp 10.0.0.1:80: i/o timeout"
    assert brief(told(line), "status") == [("upstream_failure", "connect_timeout", 502)]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_an_entry_wrapped_between_words_or_within_them_keeps_its_reason(width: int) -> None:
    lines = [
        caddy(f"dial tcp 10.0.0.{n}:80: connect: no route to host", duration=n) for n in range(1, 9)
    ]
    for prefix in ("", "web-1  | "):
        text = "\n".join(prefix + part for line in lines for part in textwrap.wrap(line, width))
        found = brief(told(text), "upstream")
        assert [each[2] for each in found] == [f"10.0.0.{n}:80" for n in range(1, 9)]
        assert {each[1] for each in found} <= {"connect_unreachable", "connect_failed"}


# -- HAProxy

HTTPLOG = (
    "10.0.0.7:49580 [21/Nov/2026:08:53:44.070] fe be/s1 "
    '0/0/3/-1/3003 502 217 - - SH-- 1/1/0/0/0 0/0 "GET /a HTTP/1.1"'
)


@pytest.mark.parametrize(
    ("line", "reason", "upstream"),
    [
        (HTTPLOG, "upstream_closed", "be/s1"),
        (HTTPLOG.replace("10.0.0.7:49580", "haproxy[7]:"), "upstream_closed", "be/s1"),
        (HTTPLOG.replace("10.0.0.7:49580", "vm haproxy"), "upstream_closed", "be/s1"),
        (HTTPLOG.replace("10.0.0.7", "<client>"), "upstream_closed", "be/s1"),
        (HTTPLOG.replace("be/s1", "be"), "upstream_closed", "be"),
        (HTTPLOG.replace("0/0/3/-1/3003", "0/0/0/3/-1/3003"), "upstream_closed", "be/s1"),
        (HTTPLOG.replace("be/s1", "be/").replace("SH", "SC"), "no_live_upstream", "be"),
        (HTTPLOG.replace("be/s1", "be/-").replace("SH", "SC"), "no_live_upstream", "be"),
        (HTTPLOG.replace("be/s1", "be/&lt;NOSRV&gt;").replace('"', "&quot;").replace("SH", "SC"),
         "no_live_upstream", "be"),
    ],
)  # fmt: skip
def test_haproxys_line_may_have_lost_a_field(line: str, reason: str, upstream: str) -> None:
    assert brief(told(line), "upstream") == [("upstream_failure", reason, upstream)]


def test_haproxys_line_may_be_wrapped_with_backslashes_or_within_its_time() -> None:
    head, _, tail = HTTPLOG.partition("be/s1")
    expected = [("upstream_failure", "upstream_closed", "be/s1")]
    assert (
        brief(told(f"    >>> haproxy[7]: {head}\\\n          be/s1{tail}"), "upstream") == expected
    )
    assert brief(told("haproxy[7]: " + HTTPLOG.replace(" ", " \n", 1)), "upstream") == expected
    for width in (35, 40):
        parts = [HTTPLOG[at : at + width] for at in range(0, len(HTTPLOG), width)]
        assert brief(told("\n".join(parts)), "upstream") == expected


@pytest.mark.parametrize("width", [45, 60, 80])
def test_haproxys_line_wrapped_in_two_envelopes_is_put_together(width: int) -> None:
    line = f"Nov 21 08:53:47 vm haproxy[7]: {HTTPLOG}"
    text = "\n".join(f"web-1  | {part}" for part in textwrap.wrap(line, width))
    assert brief(told(text), "status") == [("upstream_failure", "upstream_closed", 502)]


def test_a_files_name_before_any_line_is_taken_off() -> None:
    access = '10.0.0.7 - - [21/Nov/2026:08:35:14 +0000] "GET /a HTTP/1.1" 502 157 "-" "curl/8"'
    error = (
        "2026/11/21 08:35:14 [error] 9#9: *12 connect() failed (111: Connection refused) while "
        'connecting to upstream, client: 10.0.0.7, server: a, request: "GET /a HTTP/1.1"'
    )
    for name in ("access.log:7:", "/var/log/nginx/access.log:", "logs/a.json:"):
        found = told(f"{name}{error}\n{name}{access}\n{name}{caddy('EOF')}")
        assert brief(found, "status") == [
            ("upstream_failure", "connect_refused", 502),
            ("upstream_failure", "premature_close", 502),
        ]


# -- application servers


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-21 08:35:14,123 - uvicorn.error - INFO - {}",
        "2026/11/21 08:35:14.123     INFO: [uvicorn.error] {}",
        "[2026-11-21 08:35:14] INFO uvicorn.error: {}",
        "INFO:uvicorn.error:{}",
        "INFO:     {}",
    ],
)
def test_uvicorns_words_are_known_in_any_loggers_form(line: str) -> None:
    said = ["Waiting for child process [18]", "Child process [18] died"]
    found = told("\n".join(line.format(words) for words in said))
    assert brief(found, "pid") == [("worker_end", "unknown", 18)]
    assert told(line.format(said[1])) == []  # anyone can print that


def test_gunicorns_words_are_known_in_a_loggers_form() -> None:
    line = "2026-11-21 08:35:14,123 gunicorn.error CRITICAL WORKER TIMEOUT (pid:17)"
    assert brief(told(line), "pid") == [("worker_end", "timeout", 17)]


def test_a_workers_end_in_a_terminals_frame_is_read() -> None:
    said = "[2026-11-21 08:35:14 +0000] [7] [WARNING] Worker with pid 17 was terminated due to "
    assert brief(told(f"│ {said}signal 9        │"), "pid") == [("worker_end", "sigkill", 17)]


def test_the_workers_a_halting_master_ends_are_stopped() -> None:
    lines = [
        "[1] [INFO] Starting gunicorn 27.0.1",
        "[1] [INFO] Listening at: http://127.0.0.1:1 (1)",
        "[2] [INFO] Booting worker with pid: 2",
        "[3] [INFO] Booting worker with pid: 3",
        "[1] [ERROR] Worker (pid:3) exited with code 3.",
        "[1] [INFO] Worker (pid:2) was sent SIGTERM!",
        "[1] [ERROR] Shutting down: Master",
        "[1] [ERROR] Reason: Worker failed to boot.",
    ]
    found = told("\n".join(f"[2026-11-21 08:35:14 +0000] {line}" for line in lines))
    assert brief(found, "pid") == [
        ("worker_end", "boot_failure", 3),
        ("worker_end", "stop", 2),
        ("server_end", "boot_failure", 1),
    ]


def test_a_successor_that_does_not_boot_is_a_failed_upgrade() -> None:
    lines = [
        "[1] [INFO] Starting gunicorn 27.0.1",
        "[1] [INFO] Handling signal: usr2",
        "[5] [INFO] Starting gunicorn 27.0.1",
        "[5] [INFO] Listening at: http://127.0.0.1:1 (5)",
        "[5] [ERROR] Shutting down: Master",
        "[5] [ERROR] Reason: Worker failed to boot.",
    ]
    found = told("\n".join(f"[2026-11-21 08:35:14 +0000] {line}" for line in lines))
    assert brief(found) == [("server_end", "upgrade_failed")]


def test_a_worker_that_had_started_did_not_fail_to_start() -> None:
    lines = [
        "Started parent process [1]", "Started server process [2]", "Started server process [3]",
        "Application startup complete.", "Application startup complete.",
        "Waiting for child process [2]",
    ]  # fmt: skip
    failed = "ERROR:    Child process [2] failed to start, stopping the parent process."
    for count, reason in ((6, "exit_code"), (4, "boot_failure")):
        text = "\n".join([*(f"INFO:     {line}" for line in lines[:count]), failed])
        assert brief(told(text), "pid") == [("worker_end", reason, 2)]


TOLD = "[2026-11-21 08:35:14 +0000] [7] [ERROR] Worker (pid:17) was sent SIGKILL! Perhaps"


@pytest.mark.parametrize("width", range(43, 78))
def test_a_gunicorn_line_is_read_wherever_it_was_wrapped(width: int) -> None:
    for text in (f"{TOLD[:width]}\n{TOLD[width:]}", f"web-1  | {TOLD[:width]}\n{TOLD[width:]}"):
        assert brief(told(text), "pid", "line") == [("worker_end", "sigkill", 17, 1)], text


@pytest.mark.parametrize("writer", ["[7]", "[pid 7]", "[pid: 7]"])
def test_a_gunicorn_line_without_its_time_is_read(writer: str) -> None:
    found = told(f"{writer} [CRITICAL] WORKER TIMEOUT (pid:17)")
    assert brief(found, "pid", "at") == [("worker_end", "timeout", 17, None)]


def test_gunicorns_words_are_known_in_a_json_logger() -> None:
    line = {"time": "2026-11-21T08:40:01Z", "level": "CRITICAL", "logger": "gunicorn.error",
            "message": "WORKER TIMEOUT (pid:17)"}  # fmt: skip
    assert brief(told(json.dumps(line)), "pid") == [("worker_end", "timeout", 17)]
    assert told(json.dumps({**line, "logger": "shop.views"})) == []
