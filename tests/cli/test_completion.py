"""Completion as real shells do it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.require import unavailable

PROGRAM = Path(sys.executable).with_name("badgateway")


def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=20
    )


def completed(line: str) -> list[str]:
    """What bash offers for a line."""
    if shutil.which("bash") is None:
        unavailable("no bash")
    script = (
        f'PATH="{PROGRAM.parent}:$PATH"; source <(badgateway completion bash); '
        'read -ra COMP_WORDS <<< "$1"; [[ $1 == *" " ]] && COMP_WORDS+=(""); '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _badgateway_completion badgateway; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script, "-", line], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.split()


def test_bash_completes_commands() -> None:
    assert "diagnose" in completed("badgateway d")
    assert set(completed("badgateway ")) >= {"serve", "check", "diagnose", "verify", "deploying"}


def test_bash_completes_options_and_their_values() -> None:
    assert "--web.listen-address" in completed("badgateway serve --web.")
    assert completed("badgateway serve --log.format ") == ["logfmt", "json"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_understands_what_is_printed_for_it(shell: str, tmp_path: Path) -> None:
    done = printed("completion", shell)
    assert done.returncode == 0
    assert "_BADGATEWAY_COMPLETE" in done.stdout
    script = tmp_path / "script"
    script.write_text(done.stdout)
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", script], check=True, timeout=20)


def test_an_unknown_shell_ends_with_two() -> None:
    done = printed("completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
