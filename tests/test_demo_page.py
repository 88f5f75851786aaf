"""The demonstration, played to its end: every step is seen, and the page names the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import parts
from tests.lab.host import refusal
from tests.lab.require import require, unavailable

pytestmark = [pytest.mark.demo, pytest.mark.lab, pytest.mark.timeout(900)]

_PAGE_SECONDS = 60.0
_METRIC_SECONDS = 10.0


class Played:
    """A demonstration under way."""

    def __init__(self, output: Path, **environment: str) -> None:
        self._output = output
        self._written = output.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.demo"],
            cwd=parts.CHECKOUT,
            env={**os.environ, "ONCE": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._written,
            stderr=subprocess.STDOUT,
        )

    def result(self) -> dict[str, Any]:
        """Wait for its end; fail with all it said unless every step was seen."""
        status = self._process.wait()
        said = self._output.read_text()
        if status != 0:
            pytest.fail(f"it ended with {status}:\n{said}", pytrace=False)
        result: dict[str, Any] = json.loads(said.splitlines()[-1])
        return result

    def end(self) -> None:
        """Have it gone, whatever it was doing."""
        self._process.terminate()
        self._process.wait()
        self._written.close()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """All the demonstrations, at the same time: they wait most of it."""
    for part in ("caddy", "nginx", "prometheus", "alertmanager"):
        require(part)
    folder = tmp_path_factory.mktemp("demo")
    started = {"plain": Played(folder / "plain", PLAIN="1")}
    if not refusal():
        started["systemd"] = Played(folder / "systemd")
        started["docker"] = Played(folder / "docker", SCENARIO="worker-timeout")
        started["nginx"] = Played(folder / "nginx", SCENARIO="wrong-upstream")
    yield started
    for demo in started.values():
        demo.end()


def test_it_pages_with_the_package_under_real_systemd(played: dict[str, Played]) -> None:
    if "systemd" not in played:
        unavailable(f"no host can be booted: {refusal()}")
    result = played["systemd"].result()
    assert result["systemd"] is True
    assert result["seconds"]["fault_to_warning"] <= _METRIC_SECONDS
    assert result["seconds"]["fault_to_metric"] <= _METRIC_SECONDS
    assert result["seconds"]["fault_to_page"] <= _PAGE_SECONDS


def test_it_pages_with_the_package_from_plain_processes(played: dict[str, Played]) -> None:
    result = played["plain"].result()
    assert result["systemd"] is False
    assert result["seconds"]["fault_to_page"] <= _PAGE_SECONDS


def test_it_pages_with_the_worker_timeout_of_a_container(played: dict[str, Played]) -> None:
    if "docker" not in played:
        unavailable(f"no host can be booted: {refusal()}")
    result = played["docker"].result()
    assert result["scenario"] == "worker-timeout"
    assert result["seconds"]["fault_to_metric"] <= 30 + _METRIC_SECONDS
    assert result["seconds"]["fault_to_page"] <= 30 + _PAGE_SECONDS
    assert result["seconds"]["mistake_to_warning"] <= 2 * _METRIC_SECONDS


def test_it_says_where_nginx_sends_the_site_before_and_after(played: dict[str, Played]) -> None:
    if "nginx" not in played:
        unavailable(f"no host can be booted: {refusal()}")
    result = played["nginx"].result()
    assert result["scenario"] == "wrong-upstream"
    assert result["seconds"]["mistake_to_warning"] <= _METRIC_SECONDS
    assert result["seconds"]["fault_to_metric"] <= 2 * _METRIC_SECONDS
    assert result["seconds"]["fault_to_page"] <= _PAGE_SECONDS
