"""How the results of ``badgateway check`` are shown: to people, to programs, to CI systems."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from badgateway import vocabulary
from badgateway.cli.rendering import github, junit, table
from badgateway.cli.rendering.checked import Checked

Shown = Callable[[Sequence[Checked], str], str]


def _json(results: Sequence[Checked], _: str) -> str:
    return msgspec.json.format(msgspec.json.encode(results)).decode() + "\n"


_TEXTS: Final[dict[str, Shown]] = {"json": _json, "junit": junit.text, "github": github.text}
FORMATS: Final = ("table", *_TEXTS)


def show(results: Sequence[Checked], form: str, fail_on: str) -> None:
    """Print results.

    Args:
        results: what was found.
        form: one of ``FORMATS``.
        fail_on: least severity that makes the check fail.
    """
    if form == "table":
        table.show(results)
    else:
        sys.stdout.buffer.write(_TEXTS[form](results, fail_on).encode())
        sys.stdout.buffer.flush()


def exit_code(results: Sequence[Checked], fail_on: str) -> int:
    """Return 1 for findings at or above a severity, 2 where something could not be judged."""
    least = vocabulary.SEVERITIES.index(fail_on)
    severities = [finding.severity for result in results for finding in result.findings]
    if any(vocabulary.SEVERITIES.index(severity) >= least for severity in severities):
        return 1
    return 2 if any(result.verdict == "unknown" for result in results) else 0
