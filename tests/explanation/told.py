"""Lines in, records out: what `badgateway explain` would print of some texts."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from badgateway.explanation.record import record
from badgateway.explanation.telling import Telling

Found = dict[str, Any]


def told(*texts: str, only: str | None = None, names: tuple[str, ...] = ()) -> list[Found]:
    """Return the records of some files' texts; they are named ``0``, ``1`` … or as ``names``."""
    found, _ = explained(*texts, only=only, names=names)
    return found


def explained(
    *texts: str, only: str | None = None, names: tuple[str, ...] = ()
) -> tuple[list[Found], Telling]:
    """Return the records, and who told them."""
    problems: list[str] = []
    telling = Telling(only, None, problems.append)
    called = names or tuple(str(number) for number in range(len(texts)))
    files = [
        (name, io.BufferedReader(io.BytesIO(text.encode("utf-8", "surrogateescape"))))
        for name, text in zip(called, texts, strict=True)
    ]
    records = [record(entry) for entry in telling.entries(list(files))]
    assert not problems
    return [json.loads(msgspec.json.encode(r)) for r in records if r is not None], telling


def brief(found: list[Found], *more: str) -> list[tuple[Any, ...]]:
    """Return type and reason of each record, and other fields where named."""
    return [(r["type"], r.get("reason"), *(r.get(name) for name in more)) for r in found]


def without_place(found: list[Found]) -> list[Mapping[str, Any]]:
    """Return records without where they stand."""
    return [{k: v for k, v in r.items() if k not in ("file", "line", "at")} for r in found]
