"""What must hold of a dialect for any bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from badgateway import vocabulary
from badgateway.dialects import Tallying, dialect
from badgateway.events import Batch, Response, UpstreamFailure, lines_of
from tests.dialects.reading import by_the_thousand, corpus, one_by_one

_SOURCES: Final = {
    "nginx-error": "error", "nginx-access": "access_json", "caddy": "log", "haproxy": "json",
}  # fmt: skip
_SEEDS: Final = 40


def seeds(name: str) -> list[bytes]:
    """Return recorded lines of a dialect to begin with."""
    if name in _SOURCES:
        cases = corpus(name.partition("-")[0])
        found = [case["lines"].get(_SOURCES[name], []) for case in cases]
    else:
        found = [case["lines"] for case in corpus("servers") if case["server"].startswith(name)]
    return ["\n".join(lines[:3]).encode() for lines in found if lines][:_SEEDS]


def target(name: str) -> Callable[[bytes], None]:
    """Return a function that fails for bytes which a dialect does not take as it must.

    It may raise for none, yields only what the closed lists know, and counts by the thousand what
    it counts one by one.
    """

    def run(data: bytes) -> None:
        reader: Any = dialect(name)
        for line in lines_of(Batch("f", (), True, None, data=data)):
            for event in reader.read(line) or ():
                _check(event)
        if isinstance(reader, Tallying):
            whole: Any = dialect(name)
            alone: Any = dialect(name)
            assert by_the_thousand(whole, data) == one_by_one(alone, data)

    return run


def _check(event: object) -> None:
    if isinstance(event, Response):
        assert event.origin in (None, *vocabulary.ERROR_ORIGINS)
        for attempt in event.attempts:
            _check(attempt)
    elif isinstance(event, UpstreamFailure):
        assert event.reason in vocabulary.UPSTREAM_FAILURE_REASONS
