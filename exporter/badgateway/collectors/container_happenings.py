"""What the tracker of containers tells."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway.collectors.service_tracker import Exited, Started


@dataclass(frozen=True, slots=True)
class Happened:
    """A start or an end of one container of a unit."""

    unit: str
    identifier: str
    event: Started | Exited


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel killed a process of a container; the container may live on."""

    unit: str
    at: float


@dataclass(frozen=True, slots=True)
class Amended:
    """A later event tells why the last end or start of a container was: ``reason`` holds."""

    identifier: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missed:
    """More happened to a container than was seen."""

    unit: str


Told = Happened | OutOfMemory | Amended | Missed
