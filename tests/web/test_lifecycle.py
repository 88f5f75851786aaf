"""Reloading over HTTP: only where it is allowed, and never by a page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web.world import QUIET, Served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lifecycle")


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Served]:
    with Served(place, "--web.enable-lifecycle") as served:
        yield served


def send(served: Served, method: str = "POST", **headers: str) -> httpx.Response:
    return httpx.request(method, f"{served.url}/-/reload", headers=headers, trust_env=False)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_it_reloads(served: Served, place: Path, method: str) -> None:
    logged = served.log.read_text().count("configuration reloaded")
    answer = send(served, method)
    assert (answer.status_code, answer.text) == (200, "reloaded\n")
    served.wait_for_log("configuration reloaded", logged + 1)


def test_a_bad_configuration_is_told_and_the_old_one_holds(served: Served, place: Path) -> None:
    file = place / "badgateway.yml"
    file.write_text("prob: {}\n")
    answer = send(served)
    assert answer.status_code == 500
    assert "badgateway.yml:1:1: prob: unknown key" in answer.text
    metrics = httpx.get(f"{served.url}/metrics", trust_env=False).text
    assert "badgateway_config_last_reload_successful 0.0" in metrics
    file.write_text(QUIET)
    assert send(served).status_code == 200
    metrics = httpx.get(f"{served.url}/metrics", trust_env=False).text
    assert "badgateway_config_last_reload_successful 1.0" in metrics


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "http://evil.example"), ("Origin", "null"), ("Origin", "http://127.0.0.1"),
        ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site"),
    ],
)  # fmt: skip
def test_a_page_in_a_browser_cannot(served: Served, name: str, value: str) -> None:
    logged = served.log.read_text().count("configuration reloaded")
    answer = send(served, **{name: value})
    assert (answer.status_code, answer.text) == (403, "Not from a browser.\n")
    assert served.log.read_text().count("configuration reloaded") == logged


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_it_is_not_done_by_looking(served: Served, method: str) -> None:
    answer = send(served, method)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"POST", "PUT"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_it_is_off_unless_asked_for(tmp_path: Path, method: str) -> None:
    with Served(tmp_path) as served:
        answer = send(served, method)
        assert answer.status_code == 403
        assert answer.text.startswith("Lifecycle API is not enabled.")
        assert "--web.enable-lifecycle" in answer.text
        assert "configuration reloaded" not in served.log.read_text()
