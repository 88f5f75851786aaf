"""What flows: lines in, events out.

A source yields ``Line``s; a dialect turns lines into events; collectors count events and keep them
as evidence. Everything here is immutable. Times are seconds since the epoch and are the time at
which the thing happened, never the time at which it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

LINE_LIMIT = 64 * 1024
"""Characters kept of one line; what follows is cut."""


@dataclass(frozen=True, slots=True)
class Line:
    """One log line and who wrote it.

    Attributes:
        at: when it was written.
        text: the line without its end, at most ``LINE_LIMIT`` characters.
        source: name of the source it came from.
        unit: the systemd unit that wrote it, or that systemd wrote about.
        pid: the process that really wrote it, where the transport vouches for it (journald's
            ``_PID``); None for files.
        invocation: systemd's invocation id of that unit.
        manager: systemd's own fields when PID 1 wrote the line (``MESSAGE_ID``, ``EXIT_CODE``,
            ``EXIT_STATUS``, ``JOB_TYPE`` …); None for everybody else's lines.
    """

    at: float
    text: str
    source: str
    unit: str | None = None
    pid: int | None = None
    invocation: str | None = None
    manager: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """An attempt at an upstream failed.

    ``reason`` is one of ``vocabulary.UPSTREAM_FAILURE_REASONS``; ``status`` what the client got.
    ``identity`` is the same wherever the proxy wrote this down, and empty when nothing is.
    """

    at: float
    reason: str
    status: int | None
    site: str | None
    upstream: str | None
    detail: str = ""
    probe: str | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """The proxy answered a client."""

    at: float
    status: int
    site: str | None
    origin: str | None = None
    duration: float | None = None
    upstream: str | None = None
    probe: str | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class ClientAbort:
    """The client went away before the answer."""

    at: float
    site: str | None
    probe: str | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class BootFailure:
    """An application did not load.

    Attributes:
        server: the application server (``vocabulary.SERVERS``).
        role: ``server`` when the failing process was the service's only or main one.
        exception: the exception's class name.
        message: its text, at most 300 characters.
        module: the module that was not found, if that is what it says.
        certain: True when the writer is known to have been starting; False when an application
            that serves could have written the same words.
    """

    at: float
    server: str
    role: str
    exception: str
    message: str
    module: str | None = None
    pid: int | None = None
    invocation: str | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """A worker ended; one event for each worker, whatever the number of lines about it."""

    at: float
    server: str
    reason: str
    pid: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServerEnd:
    """An application server ended."""

    at: float
    server: str
    reason: str
    pid: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServerReady:
    """A server or worker finished loading its application."""

    at: float
    server: str
    pid: int | None = None


Event: TypeAlias = (
    UpstreamFailure | Response | ClientAbort | BootFailure | WorkerEnd | ServerEnd | ServerReady
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines read in one go, and the position that is reached once they are counted.

    Attributes:
        source: the source's name.
        lines: in the order they were written.
        counted: False for lines that are only evidence.
        position: the source's own, saved together with the counters; None for evidence.
        gap: why lines may have been lost before this batch; empty when none were.
        fresh: True when the source begins to read anew: streams start over.
    """

    source: str
    lines: tuple[Line, ...]
    counted: bool
    position: Mapping[str, object] | None
    gap: str = ""
    fresh: bool = False
