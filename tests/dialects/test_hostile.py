"""Whatever a line holds: no dialect raises, and what it tells is of the closed lists."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.dialects import Tallying, dialect, names
from badgateway.events import LINE_LIMIT, Line, Response, UpstreamFailure
from tests.dialects.test_signatures import LINES

PROXIES = ("nginx-error", "nginx-access", "caddy", "haproxy")
OWN = {name: st.sampled_from(LINES[name]) for name in PROXIES}
NOISE = st.text() | st.sampled_from(
    ["\x00", "\x1b[31m", '"', '\\"', ", upstream: \"http://6.6.6.6:1/\"", " while ", ", client: ",
     "{" * 500, "[" * 500, '{"a":' * 2000, "\ud800", "9" * 400, "1e999", "-", ":", "/" * 50]
)  # fmt: skip


def spliced(name: str) -> st.SearchStrategy[str]:
    """Lines of a dialect with something else put in, or cut out."""
    return st.tuples(OWN[name], NOISE, st.integers(0, 600), st.integers(0, 60)).map(
        lambda d: d[0][: d[2]] + d[1] + d[0][d[2] + d[3] :]
    )


def check(name: str, lines: list[str]) -> None:
    reader: Any = dialect(name)
    for line in lines:
        for event in reader.read(Line(0.0, line, "t")) or ():
            attempts = event.attempts if isinstance(event, Response) else ()
            told = (event,) if isinstance(event, UpstreamFailure) else attempts
            assert {failure.reason for failure in told} <= set(vocabulary.UPSTREAM_FAILURE_REASONS)
            assert all(len(failure.detail) <= 300 for failure in told)
            assert getattr(event, "origin", None) in (None, *vocabulary.ERROR_ORIGINS)
            assert all(len(mark) <= 400 for mark in event.marks)
    if isinstance(reader, Tallying):
        reader.tally("\n".join(lines).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", names())
@given(lines=st.lists(st.text(), max_size=5))
def test_no_text_breaks_a_dialect(name: str, lines: list[str]) -> None:
    reader: Any = dialect(name)
    for line in lines:
        reader.read(Line(0.0, line, "t"))


@pytest.mark.parametrize("name", PROXIES)
@given(data=st.data())
@settings(deadline=None)
def test_no_change_of_its_own_lines_breaks_it(name: str, data: Any) -> None:
    check(name, data.draw(st.lists(spliced(name), max_size=4)))


@pytest.mark.parametrize("name", PROXIES)
@given(data=st.binary(max_size=300))
def test_no_bytes_break_a_tally(name: str, data: bytes) -> None:
    reader = dialect(name)
    if isinstance(reader, Tallying):
        tally = reader.tally(data)
        assert tally.lines + len(tally.rest) == sum(1 for raw in data.split(b"\n") if raw)


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize(
    "filling",
    ['"', " ", '" ', "\\", ", client: ", ' "-"', "a, ", "[", " HTTP/1.1", '{"', "/",
     '","status":"'],
)  # fmt: skip
def test_the_longest_line_takes_no_time(name: str, filling: str) -> None:
    reader: Any = dialect(name)
    line = LINES[name][0]
    began = time.process_time()
    for cut in (0, len(line) // 3, len(line) // 2, len(line) - 3):
        long = (line[:cut] + filling * (LINE_LIMIT // len(filling)))[:LINE_LIMIT]
        reader.SIGNATURE.match(long)
        reader.read(Line(0.0, long, "t"))
        if isinstance(reader, Tallying):
            reader.tally(long.encode() + b"\n")
    assert time.process_time() - began < 2.0
