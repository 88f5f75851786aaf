"""Putting together again what an editor, a pager or a wiki took apart.

Nothing here decides what a line means: it proposes texts that the line may have been, and a
dialect reads one of them or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from badgateway.events import AnswerOrigin, ClientAbort, Event, Response, UpstreamFailure

JOINED_LIMIT: Final = 64 * 1024
"""Characters that lines put together may have."""

_DEPTH: Final = 32
_CUT_ENDS: Final = (">", "$", "…", "...", "\\")
_COMMENT: Final = re.compile(r'((?:[^"\\/#]|/(?!/)|"(?:[^"\\]|\\.)*")*?)\s*(?://|#).*$')
_TRAILING_COMMA: Final = re.compile(r",(\s*[}\]])")
_ELLIPSIS: Final = re.compile(r"^\s*(?:…|\.{3}|\[\.{3}\])\s*,?\s*$")
# a level that had brackets, a number that had an asterisk
_EATEN: Final = re.compile(r"([\d/:. T-]{19,24} )\[?([a-z]{4,6})\]? (\d+#\d+: )\*?(\d+ )")
# what overwrites a beginning counts and measures; what stands before another's words are words
_WORDS: Final = re.compile(r"[^\W\d_]")
_UNBRACKETED: Final = re.compile(
    r"(?!\[.*?\] \[\d+\] \[)\[?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [+-]\d{4})?)\]? "
    r"\[?(\d{1,10})\]? \[?(DEBUG|INFO|WARNING|ERROR|CRITICAL)\]? "
)
_TIMELESS: Final = re.compile(
    r"\[(?:pid[ :=]{0,2})?(\d{1,10})\] \[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] (?=WORKER TIMEOUT \("
    r"|Worker |Booting worker |Handling signal: |Shutting down: |Autorestarting worker "
    r"|Listening at: |Starting gunicorn )"
)
_SAID: Final = re.compile(r"\[\d{4}-[^\]]{10,24}\] \[\d{1,10}\] \[[A-Z]{4,8}\] (?P<text>.{3,})")
_SHORT_WORDS: Final = 60
_SENT_CUT: Final = re.compile(r"Worker \(pid:0\) was sent(?: [A-Zcode]{0,10})?(?: 0)?")
_SENT: Final = re.compile(r"Worker \(pid:0\) was sent (?:SIG[A-Z]{2,8}|code 0)!")
_DIGITS: Final = re.compile(r"\d+")
_WHOLE: Final = (
    "WORKER TIMEOUT (pid:0)", "Worker (pid:0) was sent ", "Worker (pid:0) exited with code 0",
    "Worker with pid 0 was terminated due to signal 0", "Worker exiting (pid: 0)",
    "Booting worker with pid: 0", "Handling signal: ", "Starting gunicorn 0",
)  # fmt: skip
_TIMES: Final = (
    "2001/01/01 00:00:00 ",
    "[2001-01-01 00:00:00 +0000] ",
    "2001-01-01T00:00:00Z ",
    "Jan  1 00:00:00 ",
)
# what nginx says of an upstream, without when and where it was said
_BARE: Final = re.compile(
    r"(?:[a-z]{0,6}\] (?=\d))?(?:\d+#\d+: (?=\*))?(?:\*?(?P<connection>\d{1,19}) )?"
    r"(?P<message>(?:connect\(\)|recv\(\)|readv\(\)|send\(\)|writev\(\)|SSL_\w+\(\)|upstream "
    r"|no live upstreams|peer closed connection in SSL handshake|\S+ could not be resolved \()"
    r".*)",
    re.S,
)
_BARE_CONTEXT: Final = re.compile(r" while [a-zA-Z ]{4,60}, client: | resolved \([^)]*\), client: ")
_NUMBERED: Final = re.compile(r".{0,80}?\*\d{1,19} ")
_CUT_CONNECT: Final = re.compile(
    r" connect\(\)(?: to \S{1,200})? failed \(\d{1,5}: ?[^()]{0,80}\)?(?: w?h?i?l?e?)?$"
)
_CUT_DOING: Final = re.compile(r" while (?P<doing>[A-Za-z ]{1,60})$")
_CUT_TAIL: Final = 400
"""Characters at a line's end among which a cut can have left a message unfinished."""
_DOINGS: Final = (
    "connecting to upstream", "reading response header from upstream", "reading upstream",
    "sending request to upstream", "sending to client", "SSL handshaking to upstream",
    "proxying upgraded connection", "proxying connection",
)  # fmt: skip
_CONSOLE_CUT: Final = re.compile(r"[0-9/]{10} [0-9:.]{8,12}[\t ][^{]{1,2000}(?=\{\")")
_CUT_CLIENT: Final = re.compile(r", c(?:l(?:i(?:e(?:nt?)?)?)?)?[.… ]{0,20}$")
_HEAD: Final = 24
_DAMAGE: Final = 16
"""Characters at a line's beginning that may be lost."""


def value(events: Sequence[Event] | None) -> tuple[int, int, int]:
    """Return how much of a request events tell, for comparing two readings of the same line."""
    known = located = named = 0
    for event in events or ():
        if isinstance(event, UpstreamFailure):
            known += event.reason != "unknown"
            located += event.upstream is not None
        elif isinstance(event, Response | ClientAbort | AnswerOrigin):
            known += 1
        named += len(getattr(event, "marks", ()))
    return known, located, named


def names_a_reason(events: Sequence[Event] | None) -> bool:
    """Whether events tell why an attempt failed: nothing less is worth a guess at the line."""
    return any(isinstance(e, UpstreamFailure) and e.reason != "unknown" for e in events or ())


def uncut(text: str) -> str | None:
    """Return a line without the mark a pager or a terminal cut it with; None when it has none."""
    stripped = text.rstrip()
    for end in _CUT_ENDS:
        if stripped.endswith(end):
            return stripped[: -len(end)]
    return None


def bracketed(text: str) -> str | None:
    """Return a line with the brackets around time, process and level that it has elsewhere.

    They were eaten on the way, or are of a version that wrote them otherwise. A time that nobody
    wrote is one that says that it is none.
    """
    if _TIMELESS.match(text):
        return _TIMELESS.sub(rf"{_TIMES[1]}[\1] [\2] ", text, count=1)
    found = _UNBRACKETED.match(text)
    return _UNBRACKETED.sub(r"[\1] [\2] [\3] ", text, count=1) if found else None


def restored(text: str) -> Iterator[str]:
    """Yield what a line may be that lost its end, or what a wiki took for its own signs."""
    whole = _EATEN.sub(r"\1[\2] \3*\4", text, count=1) if _EATEN.match(text) else text
    if whole != text:
        yield whole
    if text.startswith("{"):
        closed = closed_json(text)
        if closed is not None:
            yield closed
        return
    if console := _CONSOLE_CUT.match(text):
        closed = closed_json(text[console.end() :])
        if closed is not None:
            yield console[0] + closed
    yield from _completed(text)


def _completed(text: str) -> Iterator[str]:
    """Yield what an error line of nginx may be that was cut where it says what nginx was doing."""
    kept = _CUT_CLIENT.sub("", text)
    if not _NUMBERED.match(kept):
        return
    if kept != text:
        yield kept
    head, tail = kept[:-_CUT_TAIL], kept[-_CUT_TAIL:]
    if _CUT_CONNECT.search(tail):
        words, failed, number = tail.rpartition("failed (")
        yield f"{head}{words}{failed}{number.partition(')')[0]}) while connecting to upstream"
    elif doing := _CUT_DOING.search(tail):
        known = [name for name in _DOINGS if name.startswith(doing["doing"].rstrip())]
        if len(known) == 1 and known[0] != doing["doing"]:
            yield head + tail[: doing.start("doing")] + known[0]


def bare(text: str) -> str | None:
    """Return an error line of nginx of which somebody kept the message only; None if it is none.

    Its connection is numbered 0, which nginx never does, unless the text has the number.
    """
    found = _BARE.match(text)
    if found is None or not (found["connection"] or _BARE_CONTEXT.search(text)):
        return None
    number = found["connection"] or "0"
    return f"2001/01/01 00:00:00 [error] 0#0: *{number} {found['message']}"


def goes_on(text: str) -> bool:
    """Whether a line ends between quotes: what follows belongs to it."""
    return text.count('"') % 2 == 1


def breaks_off(text: str) -> bool:
    """Whether a server's line ends in the middle of what it says of a process."""
    found = _SAID.fullmatch(text)
    if found is None:
        return False
    if len(found["text"]) > _SHORT_WORDS:
        return False
    said = _DIGITS.sub("0", found["text"]).rstrip()
    if _SENT_CUT.fullmatch(said):
        return True
    return any(whole.startswith(said) and len(said) < len(whole.rstrip()) for whole in _WHOLE)


def goes_on_as(text: str) -> bool:
    """Whether a server's line, put together, says the whole of something of a process."""
    found = _SAID.match(text)
    if found is None:
        return False
    said = _DIGITS.sub("0", found["text"])
    return _SENT.match(said) is not None or said.startswith(_WHOLE[:1] + _WHOLE[2:])


def joined(parts: Sequence[str]) -> Iterator[str]:
    """Yield what lines may be that were one before it was wrapped, the likelier first."""
    stripped = [part.strip().removesuffix("\\").rstrip() for part in parts]
    words = " ".join(part for part in stripped if part)
    width = len(parts[0])
    if all(len(part) == width for part in parts[:-1]) and len(parts[-1]) <= width:
        yield "".join(parts)
        yield words
    else:
        yield words
        yield "".join(stripped)
        yield _between(stripped)


def whole_json(parts: Sequence[str]) -> str | None:
    """Return the compact JSON object that lines make, or None when they make none (yet)."""
    kept = [part for part in parts if not _ELLIPSIS.match(part)]
    for put in (_between, "".join, " ".join):
        for lines in (kept, [_uncommented(part) for part in kept]):
            text = _TRAILING_COMMA.sub(r"\1", put(lines))
            compact = _compact(text)
            if compact is not None:
                return compact
    return None


def _between(parts: Sequence[str]) -> str:
    """Join wrapped lines: a full one broke within a word, a shorter one where a space was."""
    width = max(map(len, parts), default=0)
    return "".join(part if len(part) == width else f"{part} " for part in parts).rstrip(" ")


def closed_json(text: str) -> str | None:
    """Return a JSON object that was cut in the middle, ended where the last whole member ends."""
    ends: list[tuple[int, str]] = []
    closers: list[str] = []
    quoted = escaped = False
    for index, character in enumerate(text[:JOINED_LIMIT]):
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "{[":
            closers.append("}" if character == "{" else "]")
            if len(closers) > _DEPTH:
                return None
            ends.append((index + 1, "".join(reversed(closers))))
        elif character in "}]":
            if not closers:
                return None
            closers.pop()
            ends.append((index + 1, "".join(reversed(closers))))
        elif character == ",":
            ends.append((index, "".join(reversed(closers))))
        ends = ends[-4:]
    for index, closing in reversed(ends):
        compact = _compact(text[:index] + closing)
        if compact is not None:
            return compact
    return None


def beheaded(text: str, heads: Sequence[str]) -> Iterator[str]:
    """Yield what a line may be whose first characters were lost or overwritten.

    Args:
        text: the line.
        heads: how undamaged lines beside it begin.
    """
    for head in (*heads, *_TIMES):
        for lost in range(1, min(_HEAD, len(head)) + 1):
            yield head[:lost] + text
            if lost <= _DAMAGE and not _WORDS.search(text, 0, lost):
                yield head[:lost] + text[lost:]


def _uncommented(line: str) -> str:
    found = _COMMENT.match(line)
    return found[1] if found else line


def _compact(text: str) -> str | None:
    try:
        decoded = msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
        return msgspec.json.encode(decoded).decode() if isinstance(decoded, dict) else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
