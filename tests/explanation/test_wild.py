"""Logs as people paste them: damaged, cut, wrapped, masked, stacked, in any order."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

import pytest

from tests.explanation.told import brief, explained, told

REFUSED = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 connect() failed (111: Connection refused) while "
    'connecting to upstream, client: 127.0.0.1, server: app.test, request: "GET /a HTTP/1.1", '
    'upstream: "http://127.0.0.1:18101/a", host: "app.test"'
)
TIMED_OUT = (
    "2026/11/21 08:36:14 [error] 9001#9001: *13 upstream timed out (110: Connection timed out) "
    "while reading response header from upstream, client: 10.0.0.7, server: app.test, request: "
    '"POST /api/report HTTP/1.1", upstream: "http://127.0.0.1:8000/api/report", host: "app.test"'
)
BOTH = f"{REFUSED}\n{TIMED_OUT}"
CADDY = json.dumps(
    {
        "level": "error", "ts": 1795250324.9491713, "logger": "http.log.error.log0",
        "msg": "dial tcp 127.0.0.1:18101: connect: connection refused",
        "request": {"remote_ip": "127.0.0.1", "remote_port": "56770", "proto": "HTTP/1.1",
                    "method": "GET", "host": "app.test", "uri": "/a",
                    "headers": {"User-Agent": ["curl/8"], "Connection": ["close"]}},
        "duration": 0.000581884, "status": 502, "err_id": "hu8c752y9",
        "err_trace": "reverseproxy.statusError (reverseproxy.go:1695)",
    },
    separators=(",", ":"),
)  # fmt: skip
TIMEOUT = "[2026-11-21 08:20:37 +0000] [20661] [CRITICAL] WORKER TIMEOUT (pid:20664)"
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/venv/bin/uvicorn", line 8, in <module>
    sys.exit(main())
  File "/srv/venv/lib/python3.11/site-packages/uvicorn/importer.py", line 19, in import_from_string
    module = importlib.import_module(module_str)
ModuleNotFoundError: No module named 'slowapi'"""

EXACT = [
    ("upstream_failure", "connect_refused", "127.0.0.1:18101"),
    ("upstream_failure", "response_timeout", "127.0.0.1:8000"),
]


def each(prefix: str, text: str) -> str:
    return "\n".join(prefix + line for line in text.split("\n"))


def hard(width: int) -> Callable[[str], str]:
    def wrap(text: str) -> str:
        return "\n".join(
            line[at : at + width] for line in text.split("\n") for at in range(0, len(line), width)
        )

    return wrap


def soft(width: int) -> Callable[[str], str]:
    return lambda text: "\n".join(
        part for line in text.split("\n") for part in textwrap.wrap(line, width)
    )


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(hard(80), id="wrapped at 80"),
        pytest.param(hard(61), id="wrapped at 61"),
        pytest.param(soft(80), id="words wrapped at 80"),
        pytest.param(soft(45), id="words wrapped at 45"),
        pytest.param(lambda t: each("web-1  | ", hard(80)(t)), id="wrapped in compose"),
        pytest.param(lambda t: t.replace(", ", ",\n"), id="one field a line"),
        pytest.param(lambda t: t.replace(", ", ",\n    "), id="one field a line, indented"),
        pytest.param(lambda t: t.replace('"', "”"), id="typographic quotes"),
        pytest.param(lambda t: "\ufeff" + t.replace(" ", "\u00a0"), id="BOM and NBSP"),
        pytest.param(lambda t: t.replace("\n", "\r\n") + "\r\n", id="Windows"),
        pytest.param(lambda t: each("←[31m", t), id="arrow colours"),
        pytest.param(lambda t: each("^[[31m", t), id="caret colours"),
        pytest.param(lambda t: "\n".join(reversed(t.split("\n"))), id="newest first"),
        pytest.param(lambda t: each("> ", t), id="quoted"),
        pytest.param(lambda t: each("    ", t), id="indented"),
        pytest.param(lambda t: "log:\n" + each("  - ", t), id="a list"),
        pytest.param(lambda t: each("0|web  | ", t), id="pm2"),
        pytest.param(lambda t: each("08:40:00 web.1  | ", t), id="foreman"),
        pytest.param(lambda t: each("2026-11-21T08:40:00.1+00:00 app[web.1]: ", t), id="heroku"),
        pytest.param(lambda t: each("2026-11-21T08:40:00Z app[e82d] ams [info]", t), id="fly"),
        pytest.param(lambda t: each("Nov 21 08:40:00 AM  ", t), id="render"),
        pytest.param(lambda t: each("> > web_1  | ", t), id="quoted compose"),
        pytest.param(
            lambda t: each("Nov 21 08:40:00 vm dockerd[7]: web_1  | ", t), id="syslog compose"
        ),
        pytest.param(
            lambda t: each("web-7d9f nginx 2026-11-21T08:40:00.1Z ", t), id="kubernetes"
        ),
        pytest.param(lambda t: each("2026-11-21T08:40:00Z stderr F ", t), id="CRI"),
        pytest.param(
            lambda t: "\n".join(json.dumps({"log": f"{line}\n", "stream": "stderr"})
                                for line in t.split("\n")), id="docker json-file"),
        pytest.param(lambda t: "\n".join(line[9:] for line in t.split("\n")), id="nine lost"),
        pytest.param(lambda t: "\n".join(line[2:] for line in t.split("\n")), id="two lost"),
        pytest.param(
            lambda t: "\n".join("#7 12.345" + line[9:] for line in t.split("\n")),
            id="nine overwritten",
        ),
        pytest.param(lambda t: t.replace("*1", "1"), id="eaten asterisks"),
        pytest.param(lambda t: t.replace("[error]", "error"), id="eaten brackets"),
    ],
)  # fmt: skip
def test_damaged_lines_tell_what_they_told_before(damage: Callable[[str], str]) -> None:
    assert brief(told(damage(BOTH)), "upstream") == EXACT


@pytest.mark.parametrize("end", [">", "…", "..."])
@pytest.mark.parametrize("kept", [160, 180, 200, 240])
def test_lines_cut_by_a_pager_keep_their_reason(end: str, kept: int) -> None:
    cut = "\n".join(line[:kept] + end for line in BOTH.split("\n"))
    assert [reason for _, reason in brief(told(cut))] == ["connect_refused", "response_timeout"]


@pytest.mark.parametrize("kept", range(20, 270, 7))
def test_a_line_cut_anywhere_is_never_given_a_wrong_reason(kept: int) -> None:
    for end in ("", ">"):
        found = told(f"{REFUSED[:kept]}{end}\n{TIMED_OUT}")
        assert {r["reason"] for r in found} <= {
            "connect_refused", "connect_failed", "response_timeout", "unknown"
        }  # fmt: skip


@pytest.mark.parametrize(
    "masked",
    [
        REFUSED.replace("127.0.0.1:18101", "x.x.x.x:18101"),
        REFUSED.replace("127.0.0.1:18101", "10.*.*.207:18101"),
        REFUSED.replace("127.0.0.1:18101", "<REDACTED>"),
        REFUSED.replace("127.0.0.1:18101", "[IP]:[PORT]"),
        REFUSED.replace("server: app.test", "server: "),
        REFUSED.replace("127.0.0.1", "x.x.x.x"),
    ],
)
def test_a_masked_address_does_not_hide_the_failure(masked: str) -> None:
    assert brief(told(masked)) == [("upstream_failure", "connect_refused")]


@pytest.mark.parametrize(
    "shown",
    [
        CADDY,
        json.dumps(json.loads(CADDY), indent=2),
        json.dumps(json.loads(CADDY), indent=4).replace('"GET",', '"GET", // the method'),
        json.dumps(json.loads(CADDY), indent=2).replace('"close"\n', '"close",\n'),
        each("caddy-1  | ", json.dumps(json.loads(CADDY), indent=2)),
        hard(80)(CADDY),
        f"Nov 21 08:40:00 vm caddy[7]: {CADDY}",
        each("> ", json.dumps(json.loads(CADDY), indent=2)),
        json.dumps(json.loads(CADDY), indent=2) + "\n" + REFUSED[:20],
    ],
)
def test_json_in_any_shape_is_one_failure(shown: str) -> None:
    assert brief(told(shown), "upstream", "status", "line") == [
        ("upstream_failure", "connect_refused", "127.0.0.1:18101", 502, 1)
    ]


def test_two_pretty_printed_objects_are_two() -> None:
    pretty = json.dumps(json.loads(CADDY), indent=2)
    found = told(f"{pretty}\n{pretty}")
    assert [r["line"] for r in found] == [1, 1 + len(pretty.split("\n"))]


@pytest.mark.parametrize("kept", range(150, 480, 30))
def test_json_that_was_cut_is_never_given_a_wrong_reason(kept: int) -> None:
    for text in (CADDY[:kept], json.dumps(json.loads(CADDY), indent=2)[:kept]):
        assert {r["reason"] for r in told(text)} <= {"connect_refused"}


def test_a_broken_object_does_not_hide_what_follows() -> None:
    found = told(f'{{\n  "level": "error",\n  "ts": 1795\n{BOTH}\n')
    assert brief(found, "upstream") == EXACT


def test_interleaved_programs_are_read_each_in_its_own_way() -> None:
    mixed = [REFUSED, TIMEOUT, *TRACEBACK.split("\n"), TIMED_OUT, CADDY]
    assert sorted(brief(told("\n".join(mixed)))) == [
        ("boot_failure", None), ("server_end", "boot_failure"),
        ("upstream_failure", "connect_refused"), ("upstream_failure", "connect_refused"),
        ("upstream_failure", "response_timeout"), ("worker_end", "timeout"),
    ]  # fmt: skip
    interleaved = "\n".join(
        f"api-1  | {trace}\nweb-1  | {REFUSED.replace('*12', f'*{number}')}"
        for number, trace in enumerate(TRACEBACK.split("\n"))
    )
    found = told(interleaved)
    assert [r["module"] for r in found if r["type"] == "boot_failure"] == ["slowapi"]
    assert sum(r["type"] == "upstream_failure" for r in found) == 6


def test_a_traceback_alone_names_the_package() -> None:
    for prefix in ("", "api-1  | ", "Nov 21 08:40:00 vm uvicorn[7]: ", "2026-11-21T08:40:00Z "):
        found = told(each(prefix, TRACEBACK))
        assert [r["module"] for r in found if r["type"] == "boot_failure"] == ["slowapi"]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-21 08:20:37 +0000 20661 CRITICAL WORKER TIMEOUT (pid:20664)",
        "2026-11-21 08:20:37 [20661] [CRITICAL] WORKER TIMEOUT (pid:20664)",
        "web-1  | 2026-11-21 08:20:37 [20661] [CRITICAL] WORKER TIMEOUT (pid:20664)",
    ],
)
def test_brackets_that_are_missing_do_not_hide_a_worker(line: str) -> None:
    assert brief(told(line), "pid") == [("worker_end", "timeout", 20664)]


def test_an_indented_traceback_keeps_its_shape() -> None:
    found = told(each("    ", f"hello\n{TRACEBACK}"))
    assert [r["module"] for r in found if r["type"] == "boot_failure"] == ["slowapi"]


def test_what_systemd_says_ends_the_server_once() -> None:
    lines = each("Nov 21 08:40:00 vm uvicorn[77]: ", TRACEBACK)
    for end in (
        "systemd[1]: api.service: Main process exited, code=exited, status=1/FAILURE",
        "systemd[1]: api.service: Main process exited, code=killed, status=9/KILL",
    ):
        after = f"{lines}\nNov 21 08:40:01 vm {end}\nNov 21 08:40:01 vm systemd[1]: api.service: "
        found = told(f"{after}Failed with result 'exit-code'.")
        assert brief(found, "line") == [
            ("boot_failure", None, 6), ("server_end", "boot_failure", 7)
        ]  # fmt: skip


def test_a_forged_line_of_another_writer_tells_nothing() -> None:
    begun = "[2026-11-21 08:20:30 +0000] [20661] [INFO] Starting gunicorn 27.0.1"
    journal = (
        f"Nov 21 08:20:30 vm gunicorn[20661]: {begun}\n"
        f"Nov 21 08:20:37 vm gunicorn[20664]: {TIMEOUT}"
    )
    assert told(journal) == []
    relayed = f"Nov 21 08:20:30 vm conmon[9]: {begun}\nNov 21 08:20:37 vm conmon[9]: {TIMEOUT}"
    assert brief(told(relayed), "pid") == [("worker_end", "timeout", 20664)]


def test_a_line_inside_a_line_tells_nothing() -> None:
    for text in (
        f"INFO:     said {REFUSED}", f"user agent was: {REFUSED}", f"x {CADDY}",
        f"Nov 21 08:40:00 vm app[7]: GET /?q={REFUSED}",
        f'{{"level":"info","msg":{json.dumps(REFUSED)}}}',
    ):  # fmt: skip
        assert told(text) == [], text


@pytest.mark.parametrize(
    "trap",
    [
        REFUSED.replace("[error]", "[warn]").replace(
            "connect() failed (111: Connection refused) while connecting to upstream",
            "an upstream response is buffered to a temporary file /var/lib/nginx/proxy/1/00/01 "
            "while reading upstream",
        ),
        "2026/11/21 08:35:14 [info] 9001#9001: *12 client 10.0.0.7 closed keepalive connection",
        "2026/11/21 08:35:14 [error] 9001#9001: *12 limiting requests, dry run, excess: 0.998 by "
        'zone "one", client: 10.0.0.7, server: app.test, request: "GET / HTTP/1.1"',
        "2026/11/21 08:35:14 [error] 9001#9001: *12 FastCGI sent in stderr: \"PHP message: PHP "
        'Warning: x" while reading response header from upstream, client: 10.0.0.7, server: '
        'app.test, request: "GET / HTTP/1.1", upstream: "fastcgi://127.0.0.1:9000"',
        "2026/11/21 08:35:14 [alert] 9001#9001: worker process 9002 exited on signal 9",
        "[2026-11-21 08:20:37 +0000] [20664] [INFO] Booting worker with pid: 20664",
        "INFO:     127.0.0.1:36036 - \"GET / HTTP/1.1\" 502 Bad Gateway",
        "[21-Nov-2026 08:42:07] WARNING: [pool www] server reached pm.max_children setting (5)",
        "Nov 21 08:40:00 vm kernel: Out of memory: Killed process 77 (python3)",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_failure_is_none(trap: str) -> None:
    assert told(trap) == []


def test_a_message_of_several_lines_in_one_envelope_is_read_line_by_line() -> None:
    entry = json.dumps(
        {"__REALTIME_TIMESTAMP": "1795250174250000", "_PID": "77", "SYSLOG_IDENTIFIER": "uvicorn",
         "_SYSTEMD_UNIT": "api.service", "MESSAGE": TRACEBACK}
    )  # fmt: skip
    assert [r["module"] for r in told(entry) if r["type"] == "boot_failure"] == ["slowapi"]


def test_a_line_that_a_platform_cut_into_parts_is_whole_again() -> None:
    parts = [REFUSED[:100], REFUSED[100:180], REFUSED[180:]]
    docker = "\n".join(
        json.dumps({"log": part + ("\n" if part is parts[2] else ""), "stream": "stderr"})
        for part in parts
    )
    cri = "\n".join(
        f"2026-11-21T08:40:00.1Z stderr {'F' if part is parts[2] else 'P'} {part}" for part in parts
    )
    for text in (docker, cri):
        assert brief(told(text), "upstream") == EXACT[:1]


def test_an_application_servers_own_access_log_is_not_the_proxys() -> None:
    access = '10.0.0.7 - - [21/Nov/2026:08:35:14 +0000] "GET / HTTP/1.1" 500 157 "-" "curl/8"'
    assert told(each("api-1  | ", f"{TIMEOUT}\n{access}"))[1:] == []
    assert brief(told(each("web-1  | ", access))) == [("upstream_failure", "unknown")]


def test_what_nobody_wrote_is_unknown_and_counted_as_such() -> None:
    found, telling = explained("hello\n\nwhat is this\n" + REFUSED)
    assert brief(found) == [("upstream_failure", "connect_refused")]
    assert telling.unknown == 2


def test_a_given_format_peels_only_envelopes() -> None:
    assert brief(told(f"web-1  | {REFUSED}\n{TIMEOUT}", only="nginx-error")) == [
        ("upstream_failure", "connect_refused")
    ]


@pytest.mark.parametrize("real", [REFUSED, CADDY, TIMEOUT], ids=["nginx", "caddy", "gunicorn"])
@pytest.mark.parametrize(
    "before",
    ["user said: ", "GET /?x=", "x ", "[INFO] ", "2026-11-21 08:00:00,123 INFO app: got ", "u: 1"],
)
def test_a_line_inside_a_line_tells_nothing_beside_real_ones(before: str, real: str) -> None:
    other = real.replace("*12", "*99").replace("20664", "20665")
    assert brief(told(f"{real}\n{before}{other}")) == brief(told(real))
