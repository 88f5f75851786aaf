from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading

import pytest

from badgateway import logs


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(message: str, *values: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("badgateway", level, "", 0, message, values, None)


def test_a_message_passes_five_times_a_minute() -> None:
    clock, said = Clock(), list[logging.LogRecord]()
    repeats = logs.Repeats(said.append, clock)
    passed = [repeats.filter(record("refused %s", "api")) for _ in range(100)]
    assert passed == [True] * 5 + [False] * 95
    assert repeats.filter(record("another"))
    clock.now = 61
    assert repeats.filter(record("refused %s", "api"))
    assert [r.getMessage() for r in said] == ["left out 95 times in 61 s: refused api"]


def test_problems_told_in_the_same_form_hide_one_another_not() -> None:
    repeats = logs.Repeats(lambda _: None, Clock())
    for number in range(40):
        for _ in range(20):
            repeats.filter(record("%s", f"line {number}: a problem"))
        assert repeats.filter(record("%s: %s", f"log-{number}", "cannot be read"))


def test_what_others_vary_without_end_is_bounded_and_hides_nothing_else() -> None:
    clock, said = Clock(), list[logging.LogRecord]()
    repeats = logs.Repeats(said.append, clock)
    passed = [repeats.filter(record("refused %s", n)) for n in range(5000)]
    assert passed == [True] * 100 + [False] * 4900
    assert repeats.filter(record("another"))
    clock.now = 61
    assert repeats.filter(record("a third"))  # what is left out is told though it is said no more
    assert [r.getMessage() for r in said] == ["left out 4900 times in 61 s: refused %s"]


def test_a_message_that_does_not_fit_its_form_stops_nothing() -> None:
    assert logs.Repeats(lambda _: None, Clock()).filter(record("%d", "no number"))


def test_messages_of_many_threads_are_counted_together() -> None:
    repeats, passed = logs.Repeats(lambda _: None, Clock()), list[bool]()

    def knock() -> None:
        for number in range(3000):
            passed.append(repeats.filter(record(f"form {number}")))

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 12_000  # none of them ended by an error


def test_a_message_said_rarely_needs_no_summary() -> None:
    clock, said = Clock(), list[logging.LogRecord]()
    repeats = logs.Repeats(said.append, clock)
    for _ in range(20):
        assert repeats.filter(record("now and then"))
        clock.now += 30
    assert said == []


def test_what_is_remembered_of_messages_is_bounded() -> None:
    repeats = logs.Repeats(lambda _: None)
    for number in range(5000):
        repeats.filter(record(f"message {number}"))
    assert len(repeats._seen) <= 1000


@pytest.mark.parametrize("form", [logs.Logfmt(), logs.Json()])
@pytest.mark.parametrize(
    "text", ["two\nlines", 'a "quote" and a \\', "\x1b[31mred\x07\x00", "\u2028", "x" * 1_000_000]
)
def test_a_record_is_one_bounded_printable_line(form: logging.Formatter, text: str) -> None:
    line = form.format(record(text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert len(line) < 40_000


def test_json_lines_say_what_was_logged() -> None:
    document = json.loads(logs.Json().format(record("it %s", "is", level=logging.ERROR)))
    assert document["msg"] == "it is"
    assert document["level"] == "error"
    assert document["logger"] == "badgateway"


def test_an_exception_is_one_line_with_its_traceback() -> None:
    try:
        raise ValueError("deep")
    except ValueError:
        found = logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, sys.exc_info())
    line = logs.Logfmt().format(found)
    assert "\n" not in line
    assert "ValueError: deep" in line


def test_a_closed_standard_error_stops_nothing() -> None:
    code = (
        "import os, logging; from badgateway import logs; logs.set_up('info', 'logfmt'); "
        "os.close(2); logging.getLogger('x').info('lost'); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n"
    assert done.returncode == 0
