"""What platforms put before lines is taken off, and nothing else is."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.envelopes import Peeled, cleaned, container_line, layers

NGINX = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 connect() failed (111: Connection refused) while "
    'connecting to upstream, client: 10.0.0.7, server: app.test, request: "GET /a HTTP/1.1", '
    'upstream: "http://127.0.0.1:8000/a", host: "app.test"'
)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def found(line: str, inner: str) -> Peeled:
    """Return the layer that holds exactly ``inner``."""
    layer = next((peeled for peeled in layers(line) if peeled.text == inner), None)
    assert layer is not None, [peeled.text for peeled in layers(line)]
    return layer


@pytest.mark.parametrize(
    ("prefix", "writer", "pid", "moment"),
    [
        ("web_1  | ", "web_1", None, None),
        ("web-1 | ", "web-1", None, None),
        ("\x1b[36mweb-1  |\x1b[0m ", "web-1", None, None),
        ("Nov 21 08:36:14 vm nginx[77]: ", "nginx", 77, None),
        ("Nov 21 08:36:14 nginx[77]: ", "nginx", 77, None),
        ("<27>Nov  1 08:36:14 vm nginx: ", "nginx", None, None),
        ("2026-11-21T08:36:14+0000 vm nginx[77]: ", "nginx", 77, "2026-11-21T08:36:14"),
        ("2026-11-21T08:36:14.250000+00:00 vm nginx[77]: ", "nginx", 77, "2026-11-21T08:36:14.25"),
        ("Sat 2026-11-21 08:36:14 UTC vm web.service[77]: ", "web.service", 77,
         "2026-11-21T08:36:14"),
        ("1795250174.250000 vm nginx[77]: ", "nginx", 77, "2026-11-21T08:36:14.25"),
        ('<165>1 2026-11-21T08:36:14.25Z vm nginx 77 ID47 [ex@3 a="\\]b"] ', "nginx", 77,
         "2026-11-21T08:36:14.25"),
        ("<165>1 2026-11-21T08:36:14Z vm - - - - ", "", None, "2026-11-21T08:36:14"),
        ("2026-11-21T08:36:14.250000000Z stderr F ", "", None, "2026-11-21T08:36:14.25"),
        ("[pod/web-7d9f/nginx] ", "web-7d9f/nginx", None, None),
        ("web-7d9f nginx 2026-11-21T08:36:14Z ", "web-7d9f nginx", None, "2026-11-21T08:36:14"),
        ("2026-11-21T08:36:14Z ", "", None, "2026-11-21T08:36:14"),
        ("[pid 77] ", "", 77, None),
        ("> ", "", None, None),
        ("> > ", "", None, None),
        ("21. nov. 08:36:14 vm nginx[77]: ", "nginx", 77, None),
        ("déc. 21 08:36:14 vm nginx[77]: ", "nginx", 77, None),
        ("Nov 21 08:36:14 vm dockerd[9]: web-1  | ", "web-1", None, None),
        ("> web-1  | 2026-11-21T08:36:14Z ", "web-1", None, "2026-11-21T08:36:14"),
        ("#12 0.345 ", "", None, None),
    ],
)  # fmt: skip
def test_a_prefix_is_taken_off_and_says_who_and_when(
    prefix: str, writer: str, pid: int | None, moment: str | None
) -> None:
    layer = found(prefix + NGINX, NGINX)
    assert (layer.writer, layer.pid) == (writer, pid)
    if moment is not None:
        assert layer.at == pytest.approx(at(moment))


def test_a_month_of_another_language_leaves_the_time_unknown() -> None:
    assert found("déc. 21 08:36:14 vm nginx[77]: " + NGINX, NGINX).at is None


def test_a_time_without_a_year_is_the_last_one_that_is_not_ahead() -> None:
    yesterday = time.time() - 86400
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime(yesterday))
    assert found(f"{stamp} vm nginx[7]: {NGINX}", NGINX).at == pytest.approx(yesterday, abs=1.0)
    ahead = time.strftime("%b %e %H:%M:%S", time.localtime(time.time() + 10 * 86400))
    seen = found(f"{ahead} vm nginx[7]: {NGINX}", NGINX).at
    assert seen is not None
    assert seen < time.time()


def test_indentation_within_a_prefix_stays() -> None:
    frame = '  File "/srv/app/main.py", line 3, in <module>'
    for prefix in (
        "web-1  | ", "Nov 21 08:36:14 vm app[7]: ", "2026-11-21T08:36:14Z stderr F ",
        "2026-11-21T08:36:14Z ", "[pod/web/app] ",
    ):  # fmt: skip
        assert found(prefix + frame, frame).text == frame


def test_a_line_without_a_prefix_has_one_layer() -> None:
    for line in (
        'INFO:     127.0.0.1:36036 - "GET / HTTP/1.1" 502 Bad Gateway',
        '127.0.0.1 - - [21/Nov/2026:08:35:14 +0000] "GET /a HTTP/1.1" 502 157 "-" "curl/8"',
        "Traceback (most recent call last):",
        '{"level":"error","ts":1795250174.1,"logger":"http.log.error","msg":"EOF"}',
        "",
    ):
        assert [layer.text for layer in layers(line)] == [line]


@pytest.mark.parametrize(
    "around",
    [
        "user said: ", "GET /?q=web-1 | ", 'referrer: "> ', "a sentence, web-1  | ",
        "[INFO] request 2026-11-21T08:36:14Z stderr F ",
    ],
)  # fmt: skip
def test_a_prefix_inside_a_line_is_none(around: str) -> None:
    assert NGINX not in [layer.text for layer in layers(around + NGINX)]


def test_the_json_of_platforms_is_opened() -> None:
    docker = '{"log":"boom\\n","stream":"stderr","time":"2026-11-21T08:36:14.25Z"}'
    assert found(docker, "boom").at == pytest.approx(at("2026-11-21T08:36:14.25"))
    cut = '{"log":"half","stream":"stderr","time":"2026-11-21T08:36:14.25Z"}'
    assert found(cut, "half").partial
    journal = (
        '{"__REALTIME_TIMESTAMP":"1795250174250000","_PID":"77","_SYSTEMD_UNIT":"api.service",'
        '"_SYSTEMD_INVOCATION_ID":"aa","MESSAGE":[104,105]}'
    )
    layer = found(journal, "hi")
    assert (layer.writer, layer.pid, layer.invocation) == ("api.service", 77, "aa")
    assert layer.at == pytest.approx(1795250174.25)
    collected = '{"@timestamp":"2026-11-21T08:36:14Z","message":"hi","container_name":"web"}'
    assert found(collected, "hi").writer == "web"


def test_what_systemd_says_of_a_unit_keeps_its_fields() -> None:
    entry = (
        '{"__REALTIME_TIMESTAMP":"1795250174250000","_PID":"1","UNIT":"api.service",'
        '"INVOCATION_ID":"aa","MESSAGE_ID":"98e322203f7a4ed290d09fe03c09fe15",'
        '"EXIT_CODE":"exited","EXIT_STATUS":"1","COMMAND":"ExecStart","MESSAGE":"api died"}'
    )
    layer = found(entry, "api died")
    assert layer.manager is not None
    assert (layer.writer, layer.manager["EXIT_STATUS"]) == ("api.service", "1")


def test_a_container_relayed_by_a_daemon_has_no_pid_of_its_own() -> None:
    entry = (
        '{"__REALTIME_TIMESTAMP":"1795250174250000","_PID":"5","_SYSTEMD_UNIT":"docker.service",'
        '"CONTAINER_NAME":"web-1","MESSAGE":"hi"}'
    )
    layer = found(entry, "hi")
    assert (layer.writer, layer.pid) == ("web-1", None)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"log":"a\\u001b[31mb\\n","stream":"stdout","time":"2026-11-21T08:36:14Z"}', "ab"),
        ("2026-11-21T08:36:14.25Z stdout F a", "a"),
        ("web-1  | a", "a"),
        (NGINX, None),
        ('{"level":"error"}', None),
    ],
)
def test_container_files_are_peeled_for_the_exporter(line: str, text: str | None) -> None:
    peeled = container_line(line)
    assert (peeled.text if peeled else None) == text


@pytest.mark.parametrize(
    ("damaged", "clean"),
    [
        ("\x1b[1;31merror\x1b[0m", "error"),
        ("←[31merror←[0m", "error"),
        ("^[[31merror^[[0m", "error"),
        ("[31merror[0m", "error"),
        ("\ufeffa\u00a0b\r", "a b"),
        ("request: “GET /” is ‘x’", "request: \"GET /\" is 'x'"),
        ('said "“"', 'said "“"'),
        ("a\x00b", "ab"),
    ],
)
def test_characters_that_were_damaged_are_put_right(damaged: str, clean: str) -> None:
    assert cleaned(damaged) == clean


PIECES = st.sampled_from(
    ["> ", "web-1  | ", "Nov 21 08:36:14 vm a[1]: ", "2026-11-21T08:36:14Z ", '{"log":"', "\x1b[3",
     "[pid 1] ", '{"message":"', "stderr F ", "<1>1 - - - - - - ", "\n", "|", "[", "#1 "]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=20), max_size=40).map("".join))
def test_any_line_has_a_bounded_number_of_layers(line: str) -> None:
    found = list(layers(line))
    assert 1 <= len(found) <= 30
    assert found[0].text == cleaned(line)
    assert all(len(layer.text) <= len(found[0].text) for layer in found[1:])
    container_line(line)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_a_plain_line_is_left_as_it_is(line: str) -> None:
    # colours shown as text, and a line whose every quote is escaped, are what a platform made
    marks = ("[m", "[0m", "^[", "#033", '\\"')
    assert cleaned(line) == line or any(mark in line for mark in marks)


def test_long_hostile_lines_are_quick() -> None:
    for line in (
        "> " * 30000, "[" * 60000, "a" * 60000 + "|", "web-1 | " * 8000, '{"log":' * 9000,
        "Nov 21 08:36:14 " * 4000, "<1>1 - a a a a [" + "a" * 60000, "\x1b" * 60000,
        "\x1b]" * 30000, "2026-11-21T08:36:14Z " * 3000,
    ):  # fmt: skip
        begun = time.process_time()
        list(layers(line))
        assert time.process_time() - begun < 0.5, line[:20]
