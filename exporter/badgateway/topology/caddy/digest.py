"""Telling whether two of Caddy's configurations are the same: the loaded one and the file's.

The admin API gives back what was loaded with its keys sorted and its numbers as floating point
(Caddy 2.6 to 2.11: it was decoded and encoded anew), and with ``@id`` marks that somebody may have
set there: they name places and mean nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


def digest(document: Mapping[str, Any]) -> str:
    """Return what differs where two configurations do; empty for one nested beyond all reason."""
    try:
        plain = msgspec.json.encode(_plain(document), order="sorted")
    except RecursionError:
        return ""
    return hashlib.sha256(plain).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if key != "@id"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
