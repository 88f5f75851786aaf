"""A complete, commented configuration file that uses every key, made of the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from badgateway.config import shape
from badgateway.config.schema import Config
from badgateway.reference import keys
from badgateway.reference.configuration import flow

_WIDTH = 98

_HEAD = """\
# Every key of badgateway's configuration, with examples; none is needed to start.
# Generated from the schema by `python -m badgateway.reference`. Start from an empty file and take
# over what is wanted: these values are no defaults.
"""


def text() -> str:
    """Return the file."""
    (whole,) = keys.alternatives(Config)
    return _HEAD + "\n".join(_Writer().mapping(Config, whole, 0)) + "\n"


class _Writer:
    """Writes lines; each key is explained where it is met first."""

    def __init__(self) -> None:
        self._explained: set[tuple[type[Struct], str]] = set()

    def mapping(self, struct: type[Struct], value: dict[str, Any], depth: int) -> Iterator[str]:
        pad = "  " * depth
        for name, given in value.items():
            key = shape.keys(struct)[name]
            if depth == 0:
                yield ""
            if (struct, name) not in self._explained:
                self._explained.add((struct, name))
                yield from _comment(keys.description(key), pad)
            below = keys.nested(key)
            if below is None:
                yield f"{pad}{name}: {flow(given)}"
                continue
            yield f"{pad}{name}:"
            if isinstance(given, dict):
                yield from self.mapping(below, given, depth + 1)
                continue
            for item in given:
                yield from self._item(below, item, depth + 1)

    def _item(self, struct: type[Struct], value: dict[str, Any], depth: int) -> Iterator[str]:
        begun = False
        for line in self.mapping(struct, value, depth + 1):
            if begun or line.lstrip().startswith("#"):
                yield line
            else:
                begun = True
                yield f"{'  ' * depth}- {line.lstrip()}"


def _comment(description: str, pad: str) -> list[str]:
    return textwrap.wrap(
        description,
        _WIDTH,
        initial_indent=f"{pad}# ",
        subsequent_indent=f"{pad}# ",
        break_on_hyphens=False,
    )
