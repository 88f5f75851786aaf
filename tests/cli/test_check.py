"""``badgateway check`` before a start: what is configured, what it says, how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("badgateway")


def configured(folder: Path, *command: str) -> Path:
    file = folder / "badgateway.json"
    backend = {"name": "api", "command": command, "working_directory": str(folder)}
    file.write_text(json.dumps({"discovery": {"enabled": False}, "backends": [backend]}))
    return file


def checked(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "check", "--config.file", file, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def gunicorn(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    # outside of a virtualenv and without a declaration: its command line is all there is
    done = checked(configured(folder, sys.executable, "-m", "gunicorn", *arguments), "--json")
    assert done.stderr == ""
    (result,) = json.loads(done.stdout)
    return done.returncode, result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("def app(environ, start_response): pass\n")
    return tmp_path


def test_an_option_that_gunicorn_does_not_have_is_found_before_it_is_started(folder: Path) -> None:
    status, result = gunicorn(folder, "app:app", "--keepalive", "5")
    assert status == 1
    assert result["verdict"] == "will_fail"
    finding = result["findings"][0]
    assert (finding["kind"], finding["severity"]) == ("option_unknown", "fatal")
    assert finding["subject"] == "--keepalive"
    assert "did you mean --keep-alive?" in finding["message"]
    assert "--keep-alive" in finding["fix"]


def test_the_cure_is_clean(folder: Path) -> None:
    _, result = gunicorn(
        folder, "app:app", "--keep-alive", "5", "--timeout", "120", "--max-requests", "1000"
    )
    assert [f for f in result["findings"] if f["severity"] == "fatal"] == []


def test_a_person_reads_what_to_write_instead(folder: Path) -> None:
    file = configured(folder, sys.executable, "-m", "uvicorn", "app:app", "--prot", "1")
    done = checked(file, "api")
    words = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "next start: will fail" in words
    assert "--prot" in words
    assert "write --port instead of --prot" in words


def test_a_name_that_is_not_known_is_told_with_those_that_are(folder: Path) -> None:
    done = checked(configured(folder, sys.executable, "-m", "uvicorn", "app:app"), "other")
    assert done.returncode == 2
    assert "known: api" in done.stderr
