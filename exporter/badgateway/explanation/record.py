"""One object for each event: what ``badgateway explain --json`` prints."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from badgateway.events import (
    BootFailure,
    ClientAbort,
    ServerEnd,
    UpstreamFailure,
    WorkerEnd,
)
from badgateway.explanation.same import Entry, Told5xx
from badgateway.redaction import redacted

_DETAIL: Final = 300


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened, and the line that tells it.

    Attributes:
        type: ``upstream_failure``, ``worker_end``, ``server_end``, ``boot_failure`` or
            ``client_abort``.
        file: the file's name as it was given.
        line: the line's number, from 1.
        dialect: the format the line was read as.
        reason: of the closed vocabulary of its type, or ``app_5xx`` or ``proxy_local``.
        at: when, as ISO 8601 with offset; None where no line says it.
        masked: True when an attempt failed and the client got an answer all the same.
        request: method and path, without the query.
    """

    type: str
    file: str
    line: int
    dialect: str
    reason: str | msgspec.UnsetType = msgspec.UNSET
    upstream: str | msgspec.UnsetType | None = msgspec.UNSET
    status: int | msgspec.UnsetType | None = msgspec.UNSET
    at: str | msgspec.UnsetType | None = msgspec.UNSET
    masked: bool = False
    site: str | None = None
    request: str = ""
    server: str = ""
    role: str = ""
    pid: int | msgspec.UnsetType | None = msgspec.UNSET
    exception: str = ""
    module: str | None = None
    detail: str = ""


def record(entry: Entry) -> Record | None:
    """Return the record of an entry; None for what is no event of its own."""
    event, told = entry.happened, entry.told
    make = partial(Record, file=_name(told.file), line=told.line, dialect=told.dialect)
    at = moment(told.event.at)
    if isinstance(event, UpstreamFailure):
        return make(
            type="upstream_failure", reason=event.reason, upstream=_shown(event.upstream),
            status=entry.status, at=at, masked=entry.masked, site=_shown(event.site),
            request=one_line(entry.request), detail=one_line(event.detail),
        )  # fmt: skip
    if isinstance(event, Told5xx):
        return make(
            type="upstream_failure", reason=event.reason, upstream=_shown(event.upstream),
            status=event.status, at=at, site=_shown(event.site), request=one_line(entry.request),
            detail=one_line(event.detail),
        )  # fmt: skip
    if isinstance(event, ClientAbort):
        return make(
            type="client_abort", at=at, site=_shown(event.site), request=one_line(entry.request)
        )
    if isinstance(event, WorkerEnd | ServerEnd):
        return make(
            type="worker_end" if isinstance(event, WorkerEnd) else "server_end",
            reason=event.reason, at=at, server=event.server, pid=event.pid,
            detail=one_line(event.detail),
        )  # fmt: skip
    if isinstance(event, BootFailure):
        return make(
            type="boot_failure", at=at, server=event.server, role=event.role, pid=event.pid,
            exception=event.exception, module=event.module, detail=one_line(event.message),
        )  # fmt: skip
    return None


def moment(at: float) -> str | None:
    """Return a time as ISO 8601 with this machine's offset; None for 0, which is unknown."""
    if not at:
        return None
    try:
        spec = "seconds" if at == int(at) else "milliseconds"
        return datetime.fromtimestamp(at).astimezone().isoformat(timespec=spec)
    except (ValueError, OverflowError, OSError):
        return None


def one_line(text: str, limit: int = _DETAIL) -> str:
    """Return a text that others wrote, fit to be shown: without secrets and control characters."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return redacted(shown)[:limit]


def _shown(text: str | None) -> str | None:
    return one_line(text) if text is not None else None


def _name(file: str) -> str:
    return file.encode("utf-8", "replace").decode()
