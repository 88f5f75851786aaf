"""When two of Caddy's configurations are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from badgateway.topology.caddy.digest import digest

FILE = {"admin": {"listen": "localhost:2019"}, "apps": {"http": {"grace_period": 30000000000,
        "servers": {"srv0": {"listen": [":80", ":81"]}}}}}  # fmt: skip


def changed(path: list[str], value: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(FILE))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


SERVER = ["apps", "http", "servers", "srv0"]


@pytest.mark.parametrize(
    "same",
    [
        dict(reversed(FILE.items())),
        changed(["apps", "http", "grace_period"], 30000000000.0),
        changed([*SERVER, "@id"], "shop"),
    ],
)
def test_what_the_api_makes_of_a_file_is_the_same(same: dict[str, Any]) -> None:
    assert digest(same) == digest(FILE)


@pytest.mark.parametrize(
    "other",
    [
        {},
        changed([*SERVER, "listen"], [":81", ":80"]),
        changed(["apps", "http", "grace_period"], 0.5),
        changed(["admin", "listen"], "localhost:2020"),
    ],
)
def test_what_means_something_else_differs(other: dict[str, Any]) -> None:
    assert digest(other) != digest(FILE)


def test_one_nested_beyond_all_reason_has_none() -> None:
    deep: dict[str, Any] = {}
    place = deep
    for _ in range(100_000):
        place["a"] = {}
        place = place["a"]
    assert digest(deep) == ""
