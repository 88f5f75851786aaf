"""Which container's log is to be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from badgateway.topology.containers.labels import number_of, unit_of
from badgateway.topology.containers.times import nanoseconds

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One container, as much as is needed to read its log.

    Attributes:
        identifier: its id.
        created: when it was created, seconds since the epoch.
        runs: whether it runs.
        has_terminal: whether its output is that of a terminal.
    """

    identifier: str
    created: float
    runs: bool
    has_terminal: bool


def find(documents: Iterable[Document], unit: str, number: str) -> Place | None:
    """Return the container that takes a place of a unit: one that runs, and the newest of them."""
    places = [_place(document) for document in documents if _is_at(document, unit, number)]
    return max(places, key=lambda place: (place.runs, place.created), default=None)


def _is_at(document: Document, unit: str, number: str) -> bool:
    labels = (document.get("Config") or {}).get("Labels") or {}
    name = str(document.get("Name", "")).lstrip("/")
    return unit_of(labels, name) == unit and number_of(labels) == number


def _place(document: Document) -> Place:
    state = document.get("State") or {}
    return Place(
        str(document.get("Id", "")),
        nanoseconds(document.get("Created")) / 1e9,
        state.get("Status") in ("running", "paused"),
        bool((document.get("Config") or {}).get("Tty")),
    )
