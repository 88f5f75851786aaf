"""Lines that application servers write of each request, as recorded."""

from __future__ import annotations

import pytest

from badgateway.dialects import dialect
from badgateway.dialects.requests import request
from badgateway.events import Line, Request

TOKEN = "0123456789abcdef"
AT = "[22/Nov/2026:05:31:50 +0000]"
COMBINED = f'127.0.0.1 - - {AT} "GET / HTTP/1.1" 200 2 "-" "%s"'


@pytest.mark.parametrize(
    ("text", "port", "probe"),
    [
        ('INFO:     127.0.0.1:50112 - "GET / HTTP/1.1" 200 OK', 50112, None),
        ('INFO:     203.0.113.9:0 - "GET /a?b=\\"c HTTP/1.1" 502 Bad Gateway', 0, None),
        ('INFO:     ::1:50112 - "POST / HTTP/1.0" 500', 50112, None),
        ('INFO:      - "GET / HTTP/1.1" 200 OK', None, None),
        ('127.0.0.1:55582 - "GET / HTTP/1.1" 200', 55582, None),
        (COMBINED % "curl/7.88.1", None, ""),
        (COMBINED % f"badgateway/0.1 (probe {TOKEN})", None, TOKEN),
        (f'::1 - - {AT} "GET / HTTP/1.1" 200 2 "-" "curl/7.88.1"', None, ""),
        (
            f"[2026-11-22 05:15:50 +0000] [123] [INFO] 127.0.0.1:43210 - - {AT} "
            '"GET / 1.1" 200 2 "-" "curl/7.88.1"',
            43210,
            "",
        ),
    ],
)
def test_a_request_is_told(text: str, port: int | None, probe: str | None) -> None:
    assert request(Line(5.0, text, "app")) == Request(5.0, port, probe)


@pytest.mark.parametrize(
    "text",
    ["INFO:     Application startup complete.", 'INFO:     said "hello" to you',
     "INFO:     Uvicorn running on http://127.0.0.1:8001 (Press CTRL+C to quit)", "",
     '  File "/srv/app.py", line 3', '[2026-11-22 05:15:50 +0000] [7] [INFO] Booting "x" 200'],
)  # fmt: skip
def test_other_lines_tell_of_none(text: str) -> None:
    assert request(Line(5.0, text, "app")) is None


def test_a_line_that_means_to_be_slow_is_not() -> None:
    for hostile in ('INFO: x - "GET ' + " HTTP/" * 10_000, "1 - - [" + "a" * 60_000,
                    '1 - - ' + AT + ' "GET ' + '" 200 1 "' * 5_000):  # fmt: skip
        assert request(Line(5.0, hostile, "app")) is None


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "hypercorn"])
def test_servers_keep_the_newest_until_they_are_taken(server: str) -> None:
    reader = dialect(server)
    for port in range(1000, 1100):
        reader.read(Line(5.0, f'INFO:     127.0.0.1:{port} - "GET / HTTP/1.1" 200 OK', "app"))
    taken = reader.requests.take()  # type: ignore[attr-defined]
    assert [each.port for each in taken] == list(range(1036, 1100))
    assert reader.requests.take() == ()  # type: ignore[attr-defined]
