"""What is shown of a request's URL: its route, nothing that may be a secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.routeshape import route, shape


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/reports/1234/pdf", "/reports/:id/pdf"),
        ("/reports?token=abc", "/reports"),
        ("/api/v2/users/8c6f1f0e-1b1a-4c53-9f5e-0d3c2a1b0c9d", "/api/v2/users/:id"),
        ("/reset/dGhpc2lzYXNlY3JldA==", "/reset/:id"),
        ("/u/jane@example.org", "/u/:id"),
        ("/static/app.min.js", "/static/app.min.js"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/…"),
        ("/login;jsessionid=1234", "/login"),
    ],
)
def test_what_is_no_plain_word_is_an_id(path: str, shown: str) -> None:
    assert shape(path) == shown


def test_a_route_is_told_by_the_marks_of_either_proxy() -> None:
    assert route(("conn:7", "line:10.0.0.9 POST /pay/77?card=1")) == "POST /pay/:id"
    assert route(("caddy:10.0.0.9:5512 /pay/77?card=1 0.25",)) == "/pay/:id"
    assert route(("conn:7",)) == ""


@given(st.text())
def test_any_path_is_bounded_and_has_no_digits_of_its_own(path: str) -> None:
    shown = shape("/" + path)
    assert len(shown) < 8 * 110
    assert "?" not in shown
