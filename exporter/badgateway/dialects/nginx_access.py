"""nginx' access log: ``combined`` and what people append to it, JSON, any ``log_format``.

A line tells who was answered what; with ``$upstream_*`` also what happened at the upstreams.
Ordinary lines are counted by the thousand with one expression; whatever does not fit it, or says
more than a status below 499, is read by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from badgateway.dialects import logformat, nginx_fields, nginx_formats, nginx_upstream, stamps
from badgateway.dialects.nginx_tally import FastLines
from badgateway.events import ClientAbort, Event, Line, Response, Tally, UpstreamFailure
from badgateway.useragent import probe_token
from badgateway.vocabulary import CLIENT_CLOSED_REQUEST

_COMBINED: Final = re.compile(nginx_formats.COMBINED, re.S)
_STATUS: Final = re.compile(r"[0-9]{3}")


class Reader:
    """Reads nginx' access lines."""

    NAME: ClassVar[str] = "nginx-access"
    IDENTIFIES: ClassVar[bool] = False
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r'^(?!.*" [0-9]+ms$)(?![^ ]{0,120}(?:/|\.log)[^ ]{0,60}:)'
        r'(?:[^ "]+ )?[^ "]+ - (?:\[[^"\]]*\] - )?[^"\[]*'
        r"\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}\] "
        r'(?:"[^"]*" (?:[0-9]{3}|-) (?:[0-9]+|-)(?: |$)|"[^"]*"?(?: [0-9]{0,3})?$)'
        r'|^\{(?!.*[{,] ?"(?:logger|tsc|OriginStatus|response_flags)" ?:)'
        r'(?=.*[{,] ?"(?:status|http_status|status_code)" ?: ?"?[0-9])'
        r'(?=.*[{,] ?"(?:upstream_status|upstream_addr|upstream_response_time|us|body_bytes_sent'
        r"|request_completion)\" ?:)"
    )

    def __init__(self, log_format: str = "", escape: str = "default") -> None:
        """Begin.

        Args:
            log_format: the template's text, its quoted pieces joined; empty finds out by itself.
            escape: nginx' ``escape=`` of that format.
        """
        self._escape = escape
        self._format = logformat.parse(log_format, escape) if log_format else None
        self._order: tuple[str, ...] = ()
        self._pattern: re.Pattern[str] | None = None
        if self._format is not None:
            self._order = self._format.order(self._format.variables)
            self._pattern = re.compile(f"(?:{self._format.pattern(self._order)})", re.S)
        self._fast = FastLines(self._format)
        told = self._format.variables if self._format is not None else ()
        self.tells = "upstream_status" in told and "upstream_header_time" in told

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return what a line tells; None when it has another format."""
        fields = self._fields(line.text)
        if fields is None:
            return None
        if self._format is None:
            self.tells = "upstream_status" in fields and "upstream_header_time" in fields
        return _events(line, fields)

    def tally(self, data: bytes) -> Tally:
        """Count ordinary lines of raw bytes; the others are handed back."""
        return self._fast.tally(data)

    def _fields(self, text: str) -> Mapping[str, str] | None:
        if self._pattern is not None:
            found = self._pattern.fullmatch(text)
            if found is None:
                return None
            return {
                name: logformat.unescape(value, self._escape)
                for name, value in zip(self._order, found.groups(""), strict=True)
            }
        if text.startswith("{"):
            return nginx_formats.json_fields(text)
        combined = _COMBINED.match(text)
        if combined is None:
            return None
        fields = {
            "remote_addr": combined["remote_addr"],
            "time_local": combined["time_local"],
            "request": combined["request"],
            "status": combined["status"],
            "http_user_agent": combined["agent"] or "",
        }
        if combined["virtual"]:
            fields["server_name"] = combined["virtual"].rpartition(":")[0] or combined["virtual"]
        return {**nginx_formats.tail(combined["tail"]), **fields}


def _events(line: Line, fields: Mapping[str, str]) -> tuple[Event, ...] | None:
    text = fields.get("status", "")
    if not _STATUS.fullmatch(text):
        return () if text in ("", "-") else None
    status = int(text)
    if status == 0:
        return ()  # no answer, and nobody says why
    written = _at(fields)
    at = line.at if written is None else written
    site = nginx_fields.site_of(fields)
    probe = probe_token(fields.get("http_user_agent", ""))
    identity = fields.get("request_id", "")
    marks = _marks(fields)
    if status == CLIENT_CLOSED_REQUEST:
        return (ClientAbort(at, site, probe, identity, marks),)
    said = nginx_upstream.told(status, fields)
    attempts = tuple(
        UpstreamFailure(at, a.reason, None, site, a.upstream, "", probe, "", marks)
        for a in said.attempts
    )
    return (
        Response(
            at, status, site, said.origin, said.duration, said.upstream, probe, identity,
            attempts, said.tells, nginx_upstream.number(fields.get("request_time", "")), marks,
            written is not None,
        ),
    )  # fmt: skip


def _marks(fields: Mapping[str, str]) -> tuple[str, ...]:
    connection = fields.get("connection", "")
    marks = (f"conn:{connection}",) if connection.isdigit() else ()
    request = fields.get("request")
    if request is None:
        request = f"{fields.get('request_method', '')} {fields.get('request_uri', '')}".strip()
    asked = nginx_fields.request_mark(fields.get("remote_addr", ""), request)
    return (*marks, asked) if asked else marks


def _at(fields: Mapping[str, str]) -> float | None:
    """When the answer was over, seconds since the epoch."""
    exact = nginx_upstream.number(fields.get("msec", ""))
    if exact is not None:
        return exact
    if "time_local" in fields:
        return stamps.clf(fields["time_local"])
    text = fields.get("time_iso8601", "")
    return stamps.iso(text) if "T" in text else nginx_upstream.number(text)
