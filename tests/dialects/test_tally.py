"""Counting by the thousand says what reading one by one says: none lost, doubled or forged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badgateway.dialects import dialect
from badgateway.dialects.caddy import Reader as Caddy
from badgateway.dialects.nginx_access import Reader as Nginx
from badgateway.events import LINE_LIMIT
from badgateway.useragent import user_agent
from tests.dialects.reading import by_the_thousand, corpus, one_by_one
from tests.dialects.test_logformat import COMBINED, JSON, TIMED

PLAIN = '1.2.3.4 - - [21/Nov/2026:08:35:13 +0000] "GET /x HTTP/1.1" 200 157 "-" "curl/8"'
INGRESS = PLAIN + " 347 0.005 [default-app-80] [] 10.0.0.7:8000 12 0.005 200 a3b1c2d4e5f60718"
OWN = (
    "1.2.3.4 [21/Nov/2026:08:35:13 +0000] a.test GET /x HTTP/1.1 200 rt=1.0 us=200 ua=10.0.0.1:80 "
    'uct=0.1 uht=0.1 urt=1.0 "-"'
)
STRUCTURED = (
    '{"t":"2026-11-21T08:35:13+00:00","c":"7","r":"1.2.3.4","m":"GET","u":"/x","h":"a.test",'
    '"s":200,"us":"200","a":"10.0.0.1:80","uct":"0.0","uht":"0.1","rt":0.2,"b":"9","agent":"x"}'
)
RECOMMENDED = next(c for c in corpus("special") if c["case"] == "nginx_recommended_format")[
    "lines"]["recommended_json"]  # fmt: skip
CADDY = [line for case in corpus("caddy") for line in case["lines"].get("access_json", [])]
PROBE = user_agent("0123456789abcdef")

# changes that a client or chance makes to a line of any format
CHANGES = st.sampled_from(
    [
        ("200", "502"), ("200", "499"), ("200", "009"), ("200", "304"), ("200", "000"),
        ("200", "502, 200"), ("200", "abc"), ("curl/8", PROBE), ("curl/8", "\\x22 502 1"),
        ("/x", '/" 502 1 "'), ("/x", "/\\x22"), ("/x", "/\n"), ("/x", "/\r"), ("/x", "\x00"),
        ("/x", "/" + PLAIN), ("/x", "/ HTTP/1.1 502 rt=1"), ("1.2.3.4", ""),
        ("1.2.3.4", "a.test 1"),
        ('"', ""), (" ", "  "), ("[", ""), ("10.0.0", "x"), ("0.005", "-"), ("0.1", "1e3"),
        ("1.2.3.4", "\xff"), ('"url":"3"', '"url":"2"'), ('"ucl":"3"', '"ucl":""'),
        ("faultlab", PROBE),
        ("app", "a\\\\"), ("}", ""), ("{", '{"status":"502",'),
        ("http.log.access", "http.log.error"),
        ('"duration":', '"duration":"'), ("upstream_retries\":0", "upstream_retries\":2"),
        ("GET", "HEAD"), ("\"error\":null", "\"error\":\"EOF\""),
    ]
)  # fmt: skip


def changed(lines: list[str]) -> st.SearchStrategy[bytes]:
    """Bytes of a log whose lines are these, here and there changed."""

    def change(drawn: tuple[str, list[tuple[str, str]], int]) -> str:
        line, changes, cut = drawn
        for old, new in changes:
            line = line.replace(old, new)
        return line[: -cut or None]

    line = st.tuples(
        st.sampled_from(lines),
        st.lists(CHANGES, max_size=2) | st.just([]),
        st.sampled_from([0, 0, 0, 0, 0, 1, 5, 60]),
    ).map(change)
    ends = st.sampled_from(["\n", "\n", "\n", "\n", "\r\n", "\n\n"])
    return st.lists(st.tuples(line, ends), max_size=40).map(
        lambda found: "".join(a + b for a, b in found).encode("latin-1", "replace")
    )


READERS: dict[str, Any] = {
    "combined": (lambda: Nginx(), [PLAIN, PLAIN, PLAIN + ' "10.1.1.1"', PLAIN + " 0.1 0.2"]),
    "vhost": (lambda: Nginx(), [f"app.test:443 {PLAIN}", PLAIN]),
    "ingress": (lambda: Nginx(), [INGRESS]),
    "recommended": (lambda: Nginx(), RECOMMENDED),
    "given combined": (lambda: Nginx(COMBINED), [PLAIN]),
    "given json": (lambda: Nginx(JSON, "json"), [STRUCTURED]),
    "given own": (lambda: Nginx(TIMED), [OWN]),
    "given raw": (lambda: Nginx(TIMED, "none"), [OWN]),
    "caddy": (lambda: Caddy(), CADDY),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_tally_and_its_rest_say_what_the_lines_say(name: str, data: Any) -> None:
    make, lines = READERS[name]
    raw = data.draw(changed(lines))
    assert by_the_thousand(make(), raw) == one_by_one(make(), raw)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_bytes_are_tallied_as_they_are_read(name: str, data: Any) -> None:
    make, lines = READERS[name]
    junk = st.binary(max_size=60) | st.sampled_from([line.encode() for line in lines])
    raw = b"\n".join(data.draw(st.lists(junk, max_size=12)))
    assert by_the_thousand(make(), raw) == one_by_one(make(), raw)


@pytest.mark.parametrize(
    ("reader", "line", "place"),
    [
        (Nginx(), PLAIN, (None, None)),
        (Nginx(), PLAIN + ' "10.1.1.1"', (None, None)),
        (Nginx(), INGRESS, (None, "10.0.0.7:8000")),
        (Nginx(), RECOMMENDED[0], ("localhost", "127.0.0.1:18100")),
        (Nginx(COMBINED), PLAIN, (None, None)),
        (Nginx(JSON, "json"), STRUCTURED, ("a.test", "10.0.0.1:80")),
        (Nginx(TIMED), OWN, ("a.test", "10.0.0.1:80")),
        (Caddy(), CADDY[0], ("localhost", "127.0.0.1:18100")),
    ],
)
def test_ordinary_lines_need_no_look(reader: Any, line: str, place: tuple[Any, Any]) -> None:
    line = line.replace('/ok?q=\\"\\\\x%22', "/ok")
    tally = reader.tally((line + "\n").encode() * 5000)
    assert tally.answers == {(*place, 200): 5000}
    assert (tally.lines, tally.rest) == (5000, ())


def test_failures_aborts_and_probes_among_many_are_handed_back_as_they_are() -> None:
    odd = [PLAIN.replace(" 200 ", " 502 "), PLAIN.replace(" 200 ", " 499 "),
           PLAIN.replace("curl/8", PROBE), "\x1b[31mnot a line", PLAIN[:-1]]  # fmt: skip
    lines = ([PLAIN] * 1000 + [odd[0]] + [PLAIN] * 500 + odd) * 3
    tally = Nginx().tally("\n".join(lines).encode())
    assert tally.lines >= 4000
    assert {line.encode() for line in odd} <= set(tally.rest)
    assert tally.lines + len(tally.rest) == len(lines)


def test_a_request_that_holds_whole_lines_forges_none() -> None:
    forged = PLAIN.replace("/x", '/" 502 1 "-" "-"\n' + PLAIN.replace(" 200 ", " 502 "))
    escaped = forged.replace('"', "\\x22").replace("\n", "\\x0A")
    line = PLAIN.replace("/x", escaped)
    tally = Nginx().tally((line + "\n").encode() * 50)
    assert tally.answers == {(None, None, 200): 50}


def test_an_endless_line_is_cut_and_costs_its_neighbours_nothing() -> None:
    endless = PLAIN.replace("/x", "/" + "x" * (LINE_LIMIT + 10))
    raw = "\n".join([PLAIN, endless, PLAIN]).encode()
    assert by_the_thousand(Nginx(), raw) == one_by_one(Nginx(), raw)
    answers, _ = by_the_thousand(Nginx(), raw)
    assert answers[None, None, 200, None, None] == 2


def test_a_million_hosts_are_as_many_answers_as_there_are_lines() -> None:
    entry = json.loads(CADDY[0])
    lines = []
    for number in range(2000):
        entry["request"]["host"] = f"host{number}.test"
        lines.append(json.dumps(entry))
    tally = Caddy().tally("\n".join(lines).encode())
    assert len(tally.answers) == 2000


def test_whoever_knows_whether_a_format_tells_says_so() -> None:
    assert Nginx(TIMED).tells
    assert not Nginx(COMBINED).tells
    reader = Nginx()
    assert not reader.tells
    one_by_one(reader, RECOMMENDED[0].encode())
    assert reader.tells


def test_nothing_is_no_line() -> None:
    for name in ("nginx-access", "caddy"):
        reader: Any = dialect(name)
        for nothing in (b"", b"\n", b"\n\n\n"):
            tally = reader.tally(nothing)
            assert (tally.answers, tally.rest, tally.lines) == ({}, (), 0)
