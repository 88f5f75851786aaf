"""nginx' error log (0.8 to 1.31; http and stream).

A line is ``TIME [LEVEL] PID#TID: *CONNECTION MESSAGE while ACTION, client: …, server: …, request:
"…", upstream: "…", host: "…", referrer: "…"``. nginx escapes none of what a client sent, so it is
read from left to right: once the client may speak, only the request's own end is looked for. nginx
cuts a message at 2048 bytes; one of several lines (FastCGI's errors) is written in one go.
"""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from badgateway.dialects import nginx_fields, nginx_messages, stamps
from badgateway.events import AnswerOrigin, ClientAbort, Event, Line, UpstreamFailure
from badgateway.redaction import redacted
from badgateway.useragent import referer_token

_LINE: Final = re.compile(
    r"^(?P<time>[0-9/]{0,10} ?[0-9:]{0,8}) ?"
    r"\[(?P<level>emerg|alert|crit|error|warn|notice|info|debug)\] "
    r"(?P<pid>[0-9]+)#[0-9]+: (?:\*(?P<connection>[0-9]+) )?(?P<rest>.*)$",
    re.S,
)
_CLIENT: Final = ", client: "
_CONTEXT: Final = re.compile(
    r", client: (?P<client>[^,\s]*), server: (?P<server>.*?)"
    r'(?=, request: "|, subrequest: "|, upstream: "|, host: "|, bytes from/to |, login: |$)'
)
_REQUEST: Final = re.compile(r', {1,8}request: "(.*?)(?: HTTP/[0-9](?:\.[0-9])?"|"?$)', re.S)
_LATER_END: Final = re.compile(r' HTTP/[23](?:\.0)?", (?:subrequest|upstream|host): "')
_SUBREQUEST: Final = re.compile(r', {1,8}subrequest: "[^"]*"')
_UPSTREAM: Final = re.compile(r', {1,8}upstream: "([^"\s]+)"?')
# a first part that holds somebody else's words up to its own end
_FOREIGN: Final = re.compile(
    r'^(?:FastCGI sent in stderr: |\w+\(\) "|"|broken header: |upstream sent |directory index of )'
)
_REFERRER: Final = ', referrer: "'
_SCHEME: Final = re.compile(r"[a-z0-9]+://|passenger:")
_REFUSED_FILE: Final = '" failed ('

MESSAGE_BYTES: Final = 2048
_ATTEMPTS_KEPT: Final = 1024
_SAME_ATTEMPT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Context:
    """Who asked for what, and where nginx asked in turn."""

    client: str = ""
    server: str = ""
    request: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A failure that was told of."""

    at: float
    phase: str
    message: str
    request: str
    upstream: str


class Reader:
    """Reads nginx' error lines."""

    NAME: ClassVar[str] = "nginx-error"
    SIGNATURE: ClassVar[re.Pattern[str]] = re.compile(
        r"^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} "
        r"\[(?:emerg|alert|crit|error|warn|notice|info|debug)\] [0-9]+#[0-9]+: "
        r"|^nginx: \[(?:emerg|alert|crit|error|warn|notice)\] "
    )

    def __init__(self) -> None:
        self._open = 0
        self._attempts: OrderedDict[str, _Attempt] = OrderedDict()
        self._second = ""
        self._written: dict[str, int] = {}

    def read(self, line: Line) -> tuple[Event, ...] | None:
        """Return the failure or abort a line tells of; None for what nginx did not write."""
        text = line.text
        found = _LINE.match(text)
        if self._open > 0:
            self._open -= len(text.encode("utf-8", "replace")) + 1
            if found is None and _CLIENT in text:
                self._open = 0
            return ()  # the middle of a message, whatever it looks like
        if found is None:
            return () if text.startswith("nginx: [") else None
        rest = found["rest"]
        if found["connection"] and _unfinished(rest):
            self._open = MESSAGE_BYTES - len(text.encode("utf-8", "replace"))
            return ()
        return self._said(line, found, rest)

    def _said(self, line: Line, found: re.Match[str], rest: str) -> tuple[Event, ...]:
        message, separator, _ = rest.partition(_CLIENT)
        reason = nginx_messages.reason(message, found["level"])
        if reason is None and separator and (origin := nginx_messages.origin(message)):
            return self._made(line, found, rest, message, origin)
        if reason is None or (reason != "proxy_resources" and not _of_a_request(found, message)):
            return ()
        context = _context(rest[len(message) :], message) if separator else _Context()
        if reason == "proxy_io" and (_REFUSED_FILE in rest[len(message) :] or not context.upstream):
            return ()  # a file's name that a client chose, not nginx' own file
        if context.request and context.upstream and not _SCHEME.match(context.upstream):
            return ()  # a path: nginx merged the slashes of an address that a client made up
        at = stamps.local(found["time"])
        at = line.at if at is None else at
        marks = _marks(found["connection"], context)
        site = nginx_fields.site(context.server)
        identity = self._identity(found, message, context)
        if reason == nginx_messages.CLIENT_ABORT:
            told = context.request or context.upstream
            return (ClientAbort(at, site, _probe(rest), identity, marks),) if told else ()
        if self._told(found["connection"], at, message, context):
            return ()
        address, group = nginx_fields.upstream_of(context.upstream)
        upstream = group if reason == "no_live_upstream" else address
        return (
            UpstreamFailure(
                at, reason, None, site, upstream, _detail(message), _probe(rest), identity,
                marks,
            ),
        )  # fmt: skip

    def _made(
        self, line: Line, found: re.Match[str], rest: str, message: str, origin: str
    ) -> tuple[Event, ...]:
        """A line that says who makes the answer."""
        context = _context(rest[len(message) :], message)
        at = stamps.local(found["time"])
        return (
            AnswerOrigin(
                line.at if at is None else at, origin, nginx_fields.site(context.server),
                _detail(message), self._identity(found, message, context),
                _marks(found["connection"], context), _probe(rest),
            ),
        )  # fmt: skip

    def _told(self, connection: str | None, at: float, message: str, context: _Context) -> bool:
        """Whether an earlier line told of this very attempt.

        nginx may complain twice of one: first that it could not send, then of the answer; or of
        two things in one body. A failed connection or header ends an attempt: the next is another.
        """
        if connection is None:
            return False
        words, doing = nginx_messages.split(message)
        phase = nginx_messages.PHASES.get(doing, "")
        now = _Attempt(at, phase, message, context.request, context.upstream)
        before = self._attempts.pop(connection, None)
        self._attempts[connection] = now
        while len(self._attempts) > _ATTEMPTS_KEPT:
            self._attempts.popitem(last=False)
        if before is None or not 0 <= at - before.at <= _SAME_ATTEMPT_SECONDS:
            return False
        if (before.request, before.upstream) != (now.request, now.upstream):
            return False
        if before.message == message:
            return False
        if before.phase == "send" and phase == "header":
            return True
        if before.phase == "header" and phase == "header":
            ended = words.startswith("upstream prematurely closed")
            return ended and "unexpected FastCGI record" in before.message
        return before.phase == "body" and phase == "body"

    def _identity(self, found: re.Match[str], message: str, context: _Context) -> str:
        """The same for this line in every log nginx writes it to."""
        if found["time"] != self._second:
            self._second, self._written = found["time"], {}
        said = f"{message} {context.request} {context.upstream}".encode("utf-8", "replace")
        key = f"{found['time']} {found['pid']} {found['connection'] or '-'} {zlib.crc32(said):08x}"
        number = self._written[key] = self._written.get(key, 0) + 1
        if len(self._written) > _ATTEMPTS_KEPT:
            self._written.clear()
        return f"{key} {number}"


def _probe(rest: str) -> str | None:
    """The token of the probe that asked; a client may write anything there but that."""
    _, separator, referrer = rest.rpartition(_REFERRER)
    return referer_token(referrer.removesuffix('"')) if separator else None


@lru_cache(maxsize=256)
def _detail(message: str) -> str:
    """What is shown of a message; the same few come again and again."""
    return redacted(message)[:300]


def _unfinished(rest: str) -> bool:
    """Whether a message goes on in the next line.

    Only those with foreign words do, and they end in what nginx adds to every message.
    """
    if len(rest) > MESSAGE_BYTES - 100 or not _FOREIGN.match(rest):
        return False
    if rest.startswith("FastCGI sent in stderr: "):
        return '" while ' not in rest or _CLIENT not in rest
    return _CLIENT not in rest


def _of_a_request(found: re.Match[str], message: str) -> bool:
    """Whether nginx spoke of a request, or of a resolver that failed one."""
    return found["connection"] is not None or " while resolving, resolver: " in message


def _context(text: str, message: str) -> _Context:
    """Take apart what nginx adds to a message; empty fields where that cannot be done safely."""
    found = _CONTEXT.match(text)
    if found is None:
        return _Context()
    if _FOREIGN.match(message) and _CLIENT in text[len(_CLIENT) :]:
        return _Context()  # whose of the two is nginx' own cannot be known
    client, server, rest = found["client"], found["server"], text[found.end() :]
    request = ""
    asked = _REQUEST.match(rest)
    if asked is not None:
        request, rest = asked[1], rest[asked.end() :]
        if _LATER_END.search(rest):
            # an old nginx let HTTP/2 requests hold spaces: any of the ends may be the client's
            return _Context(client, server, request, "")
    if found_subrequest := _SUBREQUEST.match(rest):
        rest = rest[found_subrequest.end() :]
    upstream = _UPSTREAM.match(rest)
    return _Context(client, server, request, upstream[1] if upstream else "")


def _marks(connection: str | None, context: _Context) -> tuple[str, ...]:
    marks = [f"conn:{connection}"] if connection else []
    asked = nginx_fields.request_mark(context.client, context.request)
    return (*marks, asked) if asked else tuple(marks)
