"""Of several access logs with the same requests exactly one is counted."""

from __future__ import annotations

import pytest

from badgateway.logchoice import repeated, telling
from badgateway.topology.routes import SameRequests, WrittenLog


def left_out(*places: SameRequests | tuple[str, ...], best: str = "") -> set[str]:
    given = [p if isinstance(p, SameRequests) else SameRequests(p) for p in places]
    return set(repeated(given, lambda path: path == best))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((("a",),), set()),
        ((("a", "b"),), {"a"}),
        ((("b", "a"),), {"a"}),
        ((("a",), ("a", "b")), {"b"}),  # the second place's requests are in the first's log too
        ((("a", "b"), ("c", "b")), {"a", "c"}),
        ((("a",), ("b",), ("c",)), set()),
        ((("a", "b"), ("a", "b"), ("b",)), {"a"}),
    ],
)
def test_each_request_is_counted_in_one_log(
    places: tuple[tuple[str, ...], ...], expected: set[str]
) -> None:
    assert left_out(*places, best="b") == expected


def test_every_request_is_counted_where_places_overlap() -> None:
    places = (("a", "b"), ("b", "c"), ("a", "c"))
    out = left_out(*places)
    assert all(set(place) - out for place in places)


def test_a_log_with_a_condition_is_left_out_only_beside_a_whole_one() -> None:
    assert left_out(SameRequests(("a",), ("slow",))) == {"slow"}
    assert left_out(SameRequests((), ("ok", "bad"))) == set()
    assert left_out(SameRequests(("a",), ("x",)), SameRequests((), ("x",))) == set()


def test_a_log_that_tells_of_the_upstreams_is_preferred() -> None:
    combined = WrittenLog("/a", "nginx-access", False, True)
    timed = WrittenLog("/b", "nginx-access", False, True, "$status $connection")
    full = WrittenLog("/c", "nginx-access", False, True, "${upstream_status} $status")
    assert telling(full) > telling(timed) > telling(combined) == telling(None)
