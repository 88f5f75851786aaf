"""Whatever a log holds, it is read in bounded time and memory, and nothing is made up."""

from __future__ import annotations

import io
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.explanation import reading
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
