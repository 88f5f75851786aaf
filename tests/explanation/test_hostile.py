"""Whatever a log holds, it is read in bounded time and memory, and nothing is made up."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.dialects import dialect, names
from badgateway.envelopes import cleaned, prefixes, structured, times
from badgateway.events import LINE_LIMIT
from badgateway.explanation import reading, repair
from tests.cli.test_explain import run
from tests.explanation.told import told

REFUSED = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 connect() failed (111: Connection refused) while "
    'connecting to upstream, client: 127.0.0.1, server: app.test, request: "GET /a HTTP/1.1", '
    'upstream: "http://127.0.0.1:18101/a", host: "app.test"'
)
PIECES = st.sampled_from(
    [
        REFUSED, REFUSED[:90], REFUSED[90:], "\n", "\n\n", "> ", "web-1  | ", "{", "}", '{"log":"',
        '{"level":"error","ts":1,"logger":"http.log.error","msg":"EOF"}', "\r\n", "\x00",
        "\x1b[31m",
        "Nov 21 08:36:14 vm a[1]: ", "Nov 21 08:36:14 vm systemd[1]: a.service: ",
        "Main process exited, code=exited, status=1/FAILURE", "Started a.service - A.",
        "[2026-11-21 08:20:37 +0000] [5] [CRITICAL] WORKER TIMEOUT (pid:6)",
        "Traceback (most recent call last):\n", "ModuleNotFoundError: No module named 'x'",
        '127.0.0.1 - - [21/Nov/2026:08:35:14 +0000] "GET /a HTTP/1.1" 502 157 "-" "-"',
        "2026-11-21T08:36:14.1Z stderr P ", '{"__REALTIME_TIMESTAMP":"1","MESSAGE":[1,2]}', ">",
        "…",
    ]
)  # fmt: skip
REASONS: dict[str, set[str | None]] = {
    "upstream_failure": {*vocabulary.UPSTREAM_FAILURE_REASONS, "app_5xx", "proxy_local"},
    "worker_end": {*vocabulary.WORKER_END_REASONS},
    "server_end": {*vocabulary.SERVER_END_REASONS},
    "boot_failure": {None},
    "client_abort": {None},
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.lists(PIECES | st.text(max_size=30), max_size=30).map("".join), min_size=1, max_size=3
    )
)
def test_any_text_is_read_and_only_listed_reasons_come_out(texts: list[str]) -> None:
    for record in told(*texts):
        assert record.get("reason") in REASONS[record["type"]]
        file = texts[int(record["file"])]
        assert 1 <= record["line"] <= file.count("\n") + 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_lines(data: bytes) -> None:
    lines = list(reading.numbered("x", io.BufferedReader(io.BytesIO(data))))
    assert sorted(number for number, _ in lines) == list(range(1, len(lines) + 1))


def seconds(text: str) -> float:
    begun = time.process_time()
    told(text)
    return time.process_time() - begun


def test_no_input_takes_long() -> None:
    for text in (
        "{\n" + '"a": {\n' * 3000,
        '{"a":\n' * 2000,
        "{\n" + "}\n" * 3000,
        REFUSED[:60] + "\n" + "x\n" * 3000,
        (REFUSED[:100] + "\n" + "y" * 100 + "\n") * 300,
        ("z" * 60 + "\n") * 4000,
        '{"log":"half","stream":"stdout"}\n' * 2000,
        "\n".join(f"w{n} | {REFUSED[:120]}" for n in range(2000)),
        "{" * 60000,
        "> " * 30000,
        ('"' * 500 + "\n") * 200,
        "[2026-11-21 08:20:37 +0000] [5] [INFO] " + "(" * 60000,
    ):
        assert seconds(text) < 5, text[:40]


SHAPES: dict[str, Callable[[str], object]] = {
    **{shape.__name__: shape for shape in prefixes.PREFIXES},
    **{name: dialect(name).SIGNATURE.match for name in names()},
    "container_json": structured.container_json, "journal_json": structured.journal_json,
    "collected": structured.collected, "cleaned": cleaned, "inside": times.inside,
    "bare": repair.bare, "bracketed": repair.bracketed, "uncut": repair.uncut,
    "restored": lambda text: list(repair.restored(text)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_no_shape_takes_long_over_a_line(name: str) -> None:
    shape = SHAPES[name]
    for begin in ("", REFUSED[:40], REFUSED, "Nov 21 08:36:14 vm a[1]: ", "10.0.0.7:1 [", '{"a":'):
        for again in (
            " ", "a", "0", '"', '\\"', "[", "{", "(", ":", "|", ", ", " while ", ", client: ",
            "*1 ", "connect() failed (1: ", ' HTTP/2.0", upstream: "', "0/0/0/0/0 ",
            "- - [", '"a":1,', "\x1b[", "&quot;", "2026/11/21 08:35:14 ", "[error] 1#1: *1 ",
        ):  # fmt: skip
            text = (begin + again * (LINE_LIMIT // len(again)))[:LINE_LIMIT]
            begun = time.process_time()
            shape(text)
            assert time.process_time() - begun < 0.25, (begin, again)


@pytest.mark.parametrize(
    "line",
    [
        REFUSED.replace("GET /a ", "GET /a?key=hunter2 "),
        REFUSED.replace("GET /a ", "GET /a-?key=hunter2 "),
        REFUSED.replace("http://127", "http://user:hunter2@127"),
        REFUSED.replace("connect() failed", 'upstream sent bad header: "Set-Cookie: s=hunter2"'),
        REFUSED.replace(
            "connect() failed", 'upstream sent invalid header: "Authorization: Bearer hunter2"'
        ),
        '10.0.0.7 - - [21/Nov/2026:08:35:14 +0000] "GET /a?p=hunter2 HTTP/1.1" 502 157 '
        '"http://user:hunter2@app.test/b?p=hunter2" "curl/8"',
        json.dumps(
            {"level": "error", "ts": 1795250324.9, "logger": "http.log.error", "status": 502,
             "msg": "dial tcp: lookup api?token=hunter2: no such host", "duration": 0.1,
             "request": {"uri": "/a?p=hunter2", "host": "app.test", "headers":
                         {"Cookie": ["hunter2"], "Authorization": ["Basic hunter2"]}}}
        ),
    ],
)  # fmt: skip
def test_no_secret_of_a_request_is_shown(line: str) -> None:
    assert told(line)
    for more in ((), ("--json",)):
        shown = run(*more, "-", given=line + "\n").output
        assert "hunter2" not in shown


def test_no_control_character_of_a_log_reaches_the_terminal() -> None:
    line = REFUSED.replace("app.test", "a\x1b[31m\x07\u202e").replace("failed", "failed\x9b2J\x08")
    for more in ((), ("--json",)):
        shown = run(*more, "-", given=line + "\n").output
        assert not {"\x1b", "\x07", "\x08", "\x9b", "\u202e"} & set(shown)


def test_a_line_without_an_end_is_cut() -> None:
    file = io.BufferedReader(io.BytesIO(b"a" * 30_000_000 + b"\nlast\n"))
    lines = list(reading.numbered("x", file))
    assert [len(text) for _, text in lines] == [64 * 1024, 4]


def test_a_million_writers_take_bounded_memory() -> None:
    begun = time.process_time()
    found = told("\n".join(f"writer-{n} | {REFUSED.replace('*12', f'*{n}')}" for n in range(3000)))
    assert len(found) == 3000
    assert time.process_time() - begun < 10


def test_a_forged_upstream_in_what_a_client_sent_is_not_believed() -> None:
    forged = REFUSED[:-1] + '", referrer: "x", upstream: "http://evil.test:1/", host: "y"'
    assert [r["upstream"] for r in told(forged)] == ["127.0.0.1:18101"]
