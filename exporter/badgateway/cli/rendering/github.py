"""Results of a check as annotations of a GitHub workflow.

Source: "Workflow commands for GitHub Actions" (docs.github.com), and ``escapeData`` and
``escapeProperty`` of actions/toolkit (packages/core/src/command.ts).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from badgateway.cli.rendering.checked import Checked
from badgateway.packages.findings import Finding

_LEVELS: Final = {"fatal": "error", "high": "error", "warn": "warning", "info": "notice"}
_WHERE: Final = re.compile(r"(?P<file>.+?)(?::(?P<line>\d+))?", re.S)


def text(results: Sequence[Checked], _: str) -> str:
    """Return a workflow command a line."""
    return "".join(f"{line}\n" for result in results for line in _lines(result))


def _lines(result: Checked) -> Iterator[str]:
    for finding in result.findings:
        yield _command(_LEVELS[finding.severity], _place(finding.where), *_words(result, finding))
    if result.problem:
        level = "error" if result.verdict == "unknown" else "warning"
        title = f"badgateway: {result.name}"
        yield _command(level, _place(result.file), title, result.problem)


def _words(result: Checked, finding: Finding) -> tuple[str, str]:
    message = f"{finding.message}\n{finding.fix}" if finding.fix else finding.message
    return f"badgateway: {finding.kind} ({result.name})", message


def _place(where: str) -> dict[str, str]:
    found = _WHERE.fullmatch(where)
    if found is None:
        return {}
    file = found["file"]
    if os.path.isabs(file):
        below = os.path.relpath(file)
        file = file if below.startswith("..") else below
    return {"file": file, **({"line": found["line"]} if found["line"] else {})}


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    properties = {**place, "title": title}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {written}::{_data(message)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
