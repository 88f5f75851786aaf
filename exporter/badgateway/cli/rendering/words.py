"""Words of configurations and file names as they may be shown to a person."""

from __future__ import annotations

from rich.markup import escape


def plain(words: str) -> str:
    """Return words that neither end their line nor mean anything to a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def shown(words: str) -> str:
    """Return words as they are given to ``rich``, to which they mean nothing either."""
    return escape(plain(words))
