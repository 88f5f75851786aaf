"""The choice of access logs: a request that stands in several is one answer.

nginx writes each request to every log named at one place of its configuration, and people add one
that tells more next to the one they have. Exactly one of them is counted. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from badgateway.topology.routes import SameRequests, WrittenLog

_TELLING: Final = ("upstream_status", "upstream_header_time", "connection", "server_name")


def repeated(places: Iterable[SameRequests], preference: Callable[[str], Any]) -> Mapping[str, str]:
    """Return the logs not to be counted → the log that holds the same requests.

    Where places overlap so that no choice counts each request once, every request is counted.

    Args:
        places: where access logs are named.
        preference: of several logs the one with the largest is counted.
    """
    places = tuple(places)
    shared = [place for place in places if place.paths]
    taken: dict[str, None] = {
        place.paths[0]: None for place in shared if len(place.paths) == 1
    }  # nothing else holds those
    for place in sorted(shared, key=lambda place: len(place.paths)):
        if taken.keys().isdisjoint(place.paths):
            elsewhere = {p for other in shared if not taken.keys().isdisjoint(other.paths)
                         for p in other.paths}  # fmt: skip
            best = max(place.paths, key=lambda path: (path not in elsewhere, preference(path)))
            taken[best] = None
    # alone at their place, conditions share requests among them in a way nobody tells
    wanted = {p for place in places if not place.paths for p in place.partial}
    return {
        path: next(other for other in taken if other in place.paths)
        for place in shared
        for path in (*place.paths, *place.partial)
        if path not in taken and path not in wanted
    }


def telling(log: WrittenLog | None) -> tuple[bool, ...]:
    """How much a log tells of the upstreams, to be compared."""
    template = log.log_format if log is not None else ""
    return tuple(f"${name}" in template or f"${{{name}}}" in template for name in _TELLING)
