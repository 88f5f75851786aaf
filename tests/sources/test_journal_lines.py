"""Entries of the journal as lines: what its writers chose is only text."""

from __future__ import annotations

from typing import Any

import pytest

from badgateway.sources.journal import CutLines, _lines


def texts(**entry: Any) -> list[str]:
    return [line.text for line in _lines(entry, 1.0, "journal")]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("one\ntwo", ["one", "two"]),
        (["one", "two"], ["one", "two"]),
        ([b"\xff", "two"], ["\N{REPLACEMENT CHARACTER}", "two"]),
        (b"a\0b", ["a\0b"]),
        (7, ["7"]),
    ],
)
def test_a_message_is_text_however_it_was_given(message: Any, expected: list[str]) -> None:
    assert texts(MESSAGE=message) == expected


def test_an_entry_without_a_message_is_an_empty_line() -> None:
    assert texts() == [""]


def test_only_the_first_process_speaks_for_a_unit() -> None:
    fields = {"MESSAGE": "x", "UNIT": "api.service", "_SYSTEMD_UNIT": "app.service"}
    (forged,) = _lines({**fields, "_PID": 7, "MESSAGE_ID": "id"}, 1.0, "journal")
    assert (forged.unit, forged.manager) == ("app.service", None)
    (real,) = _lines({**fields, "_PID": 1, "MESSAGE_ID": "id"}, 1.0, "journal")
    assert (real.unit, real.manager) == ("api.service", {"MESSAGE_ID": "id"})


def test_what_journald_cut_from_a_line_is_none() -> None:
    cut = CutLines()
    written = [
        {"_STREAM_ID": "a", "MESSAGE": "x", "_LINE_BREAK": "line-max"},
        {"_STREAM_ID": "b", "MESSAGE": "another process"},
        {"_STREAM_ID": "a", "MESSAGE": "ModuleNotFoundError", "_LINE_BREAK": "line-max"},
        {"_STREAM_ID": "a", "MESSAGE": "the end"},
        {"_STREAM_ID": "a", "MESSAGE": "a line"},
        {"MESSAGE": "of no stream"},
    ]
    assert [e["MESSAGE"] for e in written if not cut.is_rest(e)] == [
        "x", "another process", "a line", "of no stream",
    ]  # fmt: skip


def test_a_stream_that_ends_in_the_middle_of_a_cut_line_is_forgotten() -> None:
    cut = CutLines()
    assert not cut.is_rest({"_STREAM_ID": "a", "_LINE_BREAK": "line-max"})
    assert cut.is_rest({"_STREAM_ID": "a", "_LINE_BREAK": "eof"})
    assert not cut.is_rest({"_STREAM_ID": "a"})
