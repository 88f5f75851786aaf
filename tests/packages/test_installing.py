"""Which command lines are those of an installer at work on a virtualenv."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from badgateway.packages.installing import installing, works_on

VENV = "/srv/api/.venv"


@pytest.mark.parametrize(
    "words",
    [
        "/srv/api/.venv/bin/python -m pip install -e /srv/api",
        "/srv/api/.venv/bin/python /srv/api/.venv/bin/pip install -e .",
        "/srv/api/.venv/bin/python3 -m pip -q --disable-pip-version-check uninstall -y slowapi",
        ".venv/bin/python -m pip install -r requirements.txt",
        "/srv/api/.venv/bin/python /tmp/pip-standalone/__env_pip__.zip/pip install flit_core",
        "/opt/uv/bin/uv sync --frozen",
        "uv pip install -e .",
        "/opt/poetry/bin/python /usr/local/bin/poetry install --no-root",
    ],
)
def test_an_installer_is_known(words: str) -> None:
    assert works_on(words.split(), VENV)


@pytest.mark.parametrize(
    "words",
    [
        "/srv/api/.venv/bin/python -m uvicorn api.main:app",
        "/srv/api/.venv/bin/python -m pip list",
        "/srv/other/.venv/bin/python -m pip install -e /srv/other",
        "/usr/bin/python3 -m pip install ansible",
        "vi pip install",
        "",
    ],
)
def test_nothing_else_is(words: str) -> None:
    assert not works_on(words.split(), VENV)


def test_it_is_seen_in_the_process_table(tmp_path: Path) -> None:
    virtualenv = tmp_path / "venv"
    program = virtualenv / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(30)\n")
    program.chmod(0o755)
    assert not installing(str(virtualenv))
    with subprocess.Popen([program, "-m", "pip", "install", "-e", "."]) as process:
        try:
            deadline = time.monotonic() + 5
            while not installing(str(virtualenv)):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            process.kill()
    assert not installing(str(virtualenv))
    assert not installing("")
