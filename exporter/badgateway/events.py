"""What flows: lines in, events out.

A source yields ``Line``s; a dialect turns lines into events; collectors count events and keep them
as evidence. Everything here is immutable. Times are seconds since the epoch and are the time at
which the thing happened, never the time at which it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

    Attributes:
        reason: one of ``vocabulary.UPSTREAM_FAILURE_REASONS``.
        status: what the client got, where the line tells; None where another line does.
        site: host name or server name the request was for.
        upstream: the address tried, ``host:port`` or ``unix:/path``, or a group's name.
        detail: the proxy's own words, cut; for people.
        probe: the token of the probe that asked, if one did.
        identity: the same wherever the proxy wrote down this very line; empty when nothing is.
        marks: names of the request, the same in every line about it: ``conn:12`` for a
            connection's number, ``line:CLIENT METHOD URI`` for what was asked; empty when the line
            names none.
    """

    at: float
    reason: str
    status: int | None
    site: str | None
    upstream: str | None
    detail: str = ""
    probe: str | None = None
    identity: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """The proxy answered a client.

    Attributes:
        status: HTTP status; 9 is nginx' own for an answer that was no HTTP.
        origin: who made a 5xx (``vocabulary.ERROR_ORIGINS``), where the line tells.
        duration: seconds the upstream took to answer, where the line tells.
        upstream: the address that answered, or was tried last.
        attempts: the attempts at upstreams that failed before, where this line tells of them.
        tells: whether the line says what happened at the upstreams; otherwise the error log does.
        spent: seconds from the request to this line, where known: since when other lines may be
            about the same request.
        marks: as of ``UpstreamFailure``.
        timed: whether ``at`` stands in the line; otherwise it is when it was read.
    """

    at: float
    status: int
    site: str | None
    origin: str | None = None
    duration: float | None = None
    upstream: str | None = None
    probe: str | None = None
    identity: str = ""
    attempts: tuple[UpstreamFailure, ...] = ()
    tells: bool = False
    spent: float | None = None
    marks: tuple[str, ...] = ()
    timed: bool = True


@dataclass(frozen=True, slots=True)
class ClientAbort:
    """The client went away before the answer."""

    at: float
    site: str | None
    probe: str | None = None
    identity: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerOrigin:
    """An error log says who made the answer to a request, in a line about no failed attempt.

    Attributes:
        origin: ``proxy`` when the proxy refused it, as by a limit; ``application`` when the
            application complained of its own.
        probe: the token of the probe that asked, if one did.
        marks: as of ``UpstreamFailure``.
    """

    at: float
    origin: str
    site: str | None
    detail: str = ""
    identity: str = ""
    marks: tuple[str, ...] = ()
    probe: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What many lines told at once, none of which needs a look of its own.

    Attributes:
        answers: (site, upstream, status) → number of responses, all below 499.
        durations: (site, upstream) → seconds the upstream took, one for each response that tells.
        rest: the lines that do need one, without their ends; any that are odd are among them.
        lines: how many lines ``answers`` stands for.
    """

    answers: Mapping[tuple[str | None, str | None, int], int]
    durations: Mapping[tuple[str | None, str | None], Sequence[float]]
    rest: tuple[bytes, ...]
    lines: int


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

    @property
    def marks(self) -> tuple[str, ...]:
        """Its process, by which lines of other programs about the same end are known."""
        return () if self.pid is None else (f"pid:{self.pid}",)


@dataclass(frozen=True, slots=True)
class ProcessKilled:
    """The kernel ended a process; whether it was a worker, others tell.

    Attributes:
        reason: ``oom`` or ``segfault``.
        pid: the process in the host's numbers; None where only its unit is told.
        name: its command name, at most 15 characters, chosen by itself; empty where not told.
        cgroup: its control group below the root, as ``/system.slice/api.service``; or its unit.
    """

    at: float
    reason: str
    pid: int | None
    name: str = ""
    cgroup: str = ""
    detail: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """As of ``WorkerEnd``."""
        return () if self.pid is None else (f"pid:{self.pid}",)


@dataclass(frozen=True, slots=True)
class ServerEnd:
    """An application server ended."""

    at: float
    server: str
    reason: str
    pid: int | None = None
    detail: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """As of ``WorkerEnd``."""
        return () if self.pid is None else (f"pid:{self.pid}",)


@dataclass(frozen=True, slots=True)
class ServerReady:
    """A server or worker finished loading its application."""

    at: float
    server: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class KilledOnOrder:
    """A manager sent a service's processes a signal, because somebody asked it to."""

    at: float


@dataclass(frozen=True, slots=True)
class Starved:
    """A manager saw the kernel kill a process of a service for lack of memory."""

    at: float


@dataclass(frozen=True, slots=True)
class Request:
    """An application server answered a request, by its own log of them.

    Attributes:
        port: the client's port; None where the line names none, 0 where a proxy told of a client
            further away.
        probe: the token of the probe that asked, if one did; None where the line shows no
            User-Agent.
    """

    at: float
    port: int | None = None
    probe: str | None = None


Event: TypeAlias = (
    UpstreamFailure
    | Response
    | ClientAbort
    | AnswerOrigin
    | BootFailure
    | WorkerEnd
    | ServerEnd
    | ServerReady
    | ProcessKilled
    | KilledOnOrder
    | Starved
    | Request
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
        data: lines of one stream as they stand in its file, each with its end except perhaps the
            last; ``lines`` is empty then.
        at: when ``data`` was read.
        unit: the stream ``data`` is of, as ``Line.unit``.
    """

    source: str
    lines: tuple[Line, ...]
    counted: bool
    position: Mapping[str, object] | None
    gap: str = ""
    fresh: bool = False
    data: bytes = b""
    at: float = 0.0
    unit: str | None = None


def lines_of(batch: Batch) -> Iterator[Line]:
    """Yield a batch's lines, however they were delivered; empty ones of a file are none."""
    yield from batch.lines
    for raw in batch.data.split(b"\n"):
        if raw:
            text = raw[:LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
            yield Line(batch.at, text, batch.source, batch.unit)
