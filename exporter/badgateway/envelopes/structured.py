"""Envelopes that are JSON: what container platforms, journald and collectors put lines into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from badgateway.envelopes import times
from badgateway.envelopes.peeled import Peeled

_OPENING: Final = '{"'
_TEXTS: Final = ("log", "MESSAGE", "message", "textPayload", "line")
_TIMES: Final = ("time", "timestamp", "@timestamp", "ts")
_MANAGER: Final = (
    "MESSAGE_ID", "COMMAND", "EXIT_CODE", "EXIT_STATUS", "JOB_TYPE", "JOB_RESULT", "UNIT_RESULT",
)  # fmt: skip
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


def container_json(text: str) -> Peeled | None:
    """Peel docker's json-file: ``{"log":"…\\n","stream":"stderr","time":"…"}``.

    Source: Docker's ``json-file`` logging driver; it cuts lines at 16 KiB and leaves the line end
    to the last part.
    """
    if not text.startswith('{"log":'):
        return None
    entry = _decoded(text)
    log = entry.get("log") if entry else None
    if entry is None or not isinstance(log, str) or not entry.keys() & {"stream", "time"}:
        return None
    return Peeled(
        log.rstrip("\r\n"),
        _time(entry),
        _tag(entry.get("attrs")),
        partial=not log.endswith("\n"),
        kinds=("json-file",),
    )


def journal_json(text: str) -> Peeled | None:
    """Peel an entry of ``journalctl -o json``; fields as of systemd.journal-fields(7)."""
    if "__REALTIME_TIMESTAMP" not in text or '"MESSAGE"' not in text:
        return None
    entry = _decoded(text)
    if entry is None or "__REALTIME_TIMESTAMP" not in entry:
        return None
    stamp, pid = str(entry["__REALTIME_TIMESTAMP"]), str(entry.get("_PID", ""))
    at = int(stamp) / 1e6 if stamp.isdigit() and len(stamp) < 20 else None
    unit = entry.get("_SYSTEMD_UNIT") or entry.get("_SYSTEMD_USER_UNIT")
    invocation = entry.get("_SYSTEMD_INVOCATION_ID")
    manager: dict[str, str] | None = None
    if pid == "1" and entry.get("UNIT"):
        unit, invocation = entry["UNIT"], entry.get("INVOCATION_ID")
        manager = {name: str(entry[name]) for name in _MANAGER if name in entry}
    container = entry.get("CONTAINER_NAME")
    writer = container or unit or entry.get("SYSLOG_IDENTIFIER") or ""
    vouched = not container and pid.isdigit() and len(pid) < 12
    return Peeled(
        _message(entry.get("MESSAGE")),
        at,
        str(writer)[:200],
        int(pid) if vouched else None,  # the daemon writes for its containers
        manager,
        str(invocation) if invocation else None,
        kinds=("journal-json",),
    )


def collected(text: str) -> Peeled | None:
    """Peel what a collector wrote: a JSON object with the line in a field such as ``message``."""
    if not text.startswith(_OPENING):
        return None
    entry = _decoded(text)
    if entry is None:
        return None
    inner = next((entry[name] for name in _TEXTS if isinstance(entry.get(name), str)), None)
    if not inner:
        return None
    logger, level = entry.get("logger") or entry.get("name"), entry.get("level")
    if isinstance(logger, str) and isinstance(level, str) and logger.endswith(".error"):
        inner = f"{level.upper()} {logger} {inner}"  # as Python's logging writes it on one line
    place = entry.get("kubernetes")
    names: Mapping[str, Any] = place if isinstance(place, dict) else entry
    writer = names.get("container_name") or names.get("container") or names.get("service") or ""
    return Peeled(
        inner.rstrip("\r\n"),
        _time(entry),
        writer[:200] if isinstance(writer, str) else "",
        kinds=("collected",),
    )


def _decoded(text: str) -> dict[str, Any] | None:
    try:
        return _DECODER.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _message(value: object) -> str:
    """Return a journal field's text: a string, a list of bytes, or a list of those."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if all(isinstance(part, int) and 0 <= part < 256 for part in value):
            return bytes(value).decode("utf-8", "replace")
        return "\n".join(part for part in value[:64] if isinstance(part, str))
    return ""


def _time(entry: Mapping[str, Any]) -> float | None:
    for name in _TIMES:
        value = entry.get(name)
        if isinstance(value, str):
            return times.read(value)
        if isinstance(value, int | float) and 1e9 < value < 1e10:
            return float(value)
    return None


def _tag(attributes: object) -> str:
    tag = attributes.get("tag") if isinstance(attributes, dict) else None
    return tag[:200] if isinstance(tag, str) else ""
