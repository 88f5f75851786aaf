"""The fuzzer runs: a short look at each dialect; ``make fuzz`` looks longer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from badgateway.dialects import names
from tests.fuzz.targets import seeds, target
from tests.lab.parts import CHECKOUT
from tests.lab.require import unavailable


@pytest.mark.parametrize("name", names())
def test_what_it_begins_with_holds(name: str) -> None:
    run = target(name)
    found = seeds(name)
    assert found
    for seed in found:
        run(seed)


@pytest.mark.parametrize("name", names())
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        unavailable("atheris is not installed")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz",
            name,
            "--seconds",
            "2",
            "--corpus",
            tmp_path / "corpus",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stat::number_of_executed_units" in done.stderr
