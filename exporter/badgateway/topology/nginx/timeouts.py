"""How long nginx waits for an upstream (nginx.org/en/docs/http/ngx_http_proxy_module.html).

Pure. A directive holds in the block it stands in and in those inside that have none of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from badgateway.topology.nginx.directives import Directives, arguments, each

Settings = Mapping[str, str]
"""Directive → its value, as it holds at one place; ``header connection`` for that header."""

DEFAULT_SECONDS: Final = 60.0
_KINDS: Final = ("connect", "send", "read")
_PREFIXES: Final = {
    "http": "proxy", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi", "grpc": "grpc",
}  # fmt: skip
_NAMES: Final = frozenset(
    f"{prefix}_{kind}_timeout" for prefix in _PREFIXES.values() for kind in _KINDS
) | {"proxy_http_version", "fastcgi_keep_conn"}
_CONNECTION: Final = "header connection"
_UNITS: Final = {
    "ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
    "M": 30 * 86400.0, "y": 365 * 86400.0,
}  # fmt: skip
_PART: Final = re.compile(r"(\d{1,12})(ms|[smhdwMy]?)\s*", re.ASCII)


def seconds(text: str) -> float | None:
    """Return a time as nginx writes it (``90``, ``1m30s``, ``500ms``); None for anything else."""
    total, position = 0.0, 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            return None
        total += int(found[1]) * _UNITS[found[2]]
        position = found.end()
    return total if text else None


def settings(block: Directives, outer: Settings) -> Settings:
    """Return what holds in a block, by its own directives and those around it."""
    found = dict(outer)
    for directive in each(block, *_NAMES):
        words = arguments(directive)
        if words:
            found[str(directive["directive"])] = words[0]
    headers = [arguments(directive) for directive in each(block, "proxy_set_header")]
    if headers:  # one alone takes the place of all that stand outside
        found.pop(_CONNECTION, None)
        for words in headers:
            if len(words) == 2 and words[0].lower() == "connection":
                found[_CONNECTION] = words[1]
    return found


def timeouts(
    protocol: str, held: Settings, upstream: Directives = ()
) -> tuple[tuple[str, float], ...]:
    """Return (setting of ``vocabulary.TIMEOUT_SETTINGS``, seconds) of a ``*_pass``.

    Args:
        protocol: as of ``Route``.
        held: what holds where it stands.
        upstream: what stands in the group it leads to.
    """
    prefix = _PREFIXES[protocol]
    found: list[tuple[str, float]] = []
    for kind in _KINDS:
        name = f"{prefix}_{kind}_timeout"
        value = seconds(held[name]) if name in held else DEFAULT_SECONDS
        if value is not None:
            found.append((kind, value))
    if _keeps(protocol, held) and any(each(upstream, "keepalive")):
        given = [arguments(directive) for directive in each(upstream, "keepalive_timeout")]
        kept = seconds(given[-1][0]) if given and given[-1] else DEFAULT_SECONDS
        if kept is not None:
            found.append(("upstream_keepalive", kept))
    return tuple(found)


def _keeps(protocol: str, held: Settings) -> bool:
    """Whether requests leave connections open, which a group's ``keepalive`` alone does not do."""
    if protocol == "http":
        return held.get("proxy_http_version", "1.0") != "1.0" and held.get(_CONNECTION) == ""
    return protocol == "grpc" or (protocol == "fastcgi" and held.get("fastcgi_keep_conn") == "on")
