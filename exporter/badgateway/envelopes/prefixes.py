"""What platforms write in front of a line, one shape each.

Sources: ``docker compose logs``; kubelet's CRI log format (``TIME stdout|stderr F|P TEXT``);
``kubectl logs --prefix --timestamps`` and stern; RFC 3164 and RFC 5424; journalctl(1) ``-o short``,
``short-iso``, ``short-precise``, ``short-full``, ``short-unix``, ``short-monotonic`` and
``with-unit``.

A prefix is taken from a line's beginning only, has a fixed shape, and is bounded in length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from badgateway.envelopes import times
from badgateway.envelopes.peeled import Peeled

_ISO: Final = times.ISO
INDENT: Final = "indent"
"""The kind of what was moved to the right: indentation may also be the program's own."""
_HOST: Final = r"(?:[A-Za-z0-9_](?:[\w.:-]{0,253}[\w-])?|<[^<>\s]{1,64}>|\*{1,16})"
_TAG: Final = r"(?P<tag>[^\s:\[\]\"=|]{1,128}|\([^()\[\]:\s]{1,64}\))(?:\[(?P<pid>\d{1,10})\])?"
_MESSAGE: Final = r":(?: (?P<text>.*)|$)"
# other languages put the day first, or a dot after the month
_MONTH_DAY: Final = (
    r"(?:(?:[^\W\d_]{2,10}\.?,? )?"
    r"(?P<date>[^\W\d_]{3,9}\.? {1,2}\d{1,2}|\d{1,2}\.? [^\W\d_]{3,9}\.?)"
    r"(?P<year> \d{4})?,? (?P<clock>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: [AP]M)?))"
)

_QUOTE: Final = re.compile(r"(?:> ?){1,5}(?=.*\S)", re.S)
_COMPOSE: Final = re.compile(
    r"(?:\d{1,3}\|)?(?P<writer>[A-Za-z0-9][\w.-]{0,127}) *\|(?: (?P<text>.*)|$)", re.S
)
_CRI: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d{0,9}(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) "
    r"(?P<tag>[FP])(?:[:\w]{0,16})(?: (?P<text>.*)|$)",
    re.S,
)
_KUBECTL: Final = re.compile(r"\[pod/(?P<writer>[^\]\s]{1,250})\] ?(?P<text>.*)", re.S)
_STERN: Final = re.compile(
    r"(?P<writer>(?:[\w.-]{1,64}/)?[a-z0-9][a-z0-9.-]{0,120}[ /›]{1,3}[a-z0-9][a-z0-9-]{0,62}) "
    rf"(?P<text>(?=[\[\"]?{_ISO}|[\[{{]).*)",
    re.S,
)
_SYSLOG: Final = re.compile(
    rf"(?:<\d{{1,3}}>)?{_MONTH_DAY} (?:{_HOST} )?{_TAG}{_MESSAGE}", re.S
)  # fmt: skip
_SYSLOG_BARE: Final = re.compile(rf"(?:<\d{{1,3}}>)?{_MONTH_DAY} (?P<text>.*\S.*)", re.S)
_SYSLOG_ISO: Final = re.compile(
    r"(?:<\d{1,3}>)?(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    r"|(?:[A-Z][a-z]{2} )\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [A-Z]{2,5})?"
    rf"|\d{{10}}\.\d{{6}}) {_HOST} {_TAG}{_MESSAGE}",
    re.S,
)
_MONOTONIC: Final = re.compile(
    rf"\[ {{0,12}}(?P<since>\d{{1,10}}\.\d{{6}})\] {_HOST} {_TAG}{_MESSAGE}", re.S
)
_RFC5424: Final = re.compile(
    r"(?:<\d{1,3}>)?1 (?P<time>\S{1,40}) \S{1,255} (?P<tag>\S{1,48}) (?P<pid>\S{1,128}) \S{1,32} "
    r"(?:-|(?:\[(?:[^\]\\]|\\.){0,2000}\]){1,8})(?: \ufeff?(?P<text>.*)|$)",
    re.S,
)
_TIME: Final = re.compile(
    rf"\[?(?P<time>{_ISO})\]?(?: ?[:|-]{{1,2}} | \[?-\]? |[ \t])?(?P<text>.*\S.*)", re.S
)
_CLOCK: Final = re.compile(
    r"\[?\d\d?:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[AP]M)?\]?(?::? |(?=[A-Z]))(?P<text>\S.*)", re.S
)
_DYNO: Final = re.compile(
    rf"(?P<time>{_ISO}) (?P<writer>[a-z]{{2,16}}\[[\w.-]{{1,40}}\])"
    r"(?:: | [a-z]{3} \[[a-z]{1,10}\] ?)(?P<text>.*)",
    re.S,
)
_INDENT: Final = re.compile(r"(?:[ \t]{1,16}|[ \t]{0,8}[-*•] )(?=\S)")
_PID: Final = re.compile(r"[\[(](?:pid|PID)[ :=]{1,2}(?P<pid>\d{1,10})[\])]:? ?(?P<text>.*)", re.S)
# signs of a quotation, a table or a terminal's frame before what begins like a line
_DECORATION: Final = re.compile(
    r"[`*_~\"'│┃║|┊•·]{1,3} ?(?=[\d\[{A-Za-z])|[#$%] (?=\d{4}[-/]\d\d[-/]\d\d[T ])"
)
_CLOSING: Final = "`*_~ │┃║"
_LABEL: Final = re.compile(
    r"(?:[\w.-]{0,60}(?:/[\w./-]{0,120}|\.(?:log|json)[\w.-]{0,40}):(?:\d{1,9}[:-])?(?P<any>\S.*)"
    r"|(?:\d{1,9}[:-]|(?:[A-Za-z]{2,8} )?[Ll]og:|\[?(?:stdout|stderr|nginx|caddy|haproxy)\]?:?) ?"
    rf"(?P<text>\[?(?:{_ISO})[ \]].*|\{{\".*))",
    re.S,
)
# as log viewers write it; which of two numbers is the day is not told
_VIEWED: Final = re.compile(
    r"(?:(?:[^\W\d_]{2,4}\.? )?[^\W\d_]{3,9}\.? {1,2}\d{1,2},? (?:\d{4},? )?(?:@ )?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{4},? )"
    r"\d\d?:\d\d:\d\d(?:[.,]\d{1,9})?(?: [AP]M)?(?: \d{4})?[|:]? (?P<text>.*\S.*)",
    re.S,
)
# a time of which something is missing, but whose line says who wrote it
_HEADLESS_SYSLOG: Final = re.compile(
    r"[\w:., +-]{0,24}?\d\d:\d\d:\d\d\S{0,16} (?:[\w.-]{1,128} )?"
    r"(?P<tag>[A-Za-z][\w.@-]{0,127})\[(?P<pid>\d{1,10})\]: (?P<text>.*)",
    re.S,
)
_LEVEL: Final = r"DEBUG|INFO|WARNING|ERROR|CRITICAL"
_LOGGER: Final = re.compile(
    rf"(?:[A-Za-z][\w.-]{{0,63}}: )?\[?(?P<time>{_ISO})?\]?[\s|:-]{{0,12}}"
    rf"(?:\[?(?P<before>{_LEVEL})\]?[\s:|-]{{1,8}})?"
    r"\[?(?P<name>uvicorn(?:\.error)?|gunicorn(?:\.error)?)\]?[\s:|-]{1,8}"
    rf"(?:\[?(?P<after>{_LEVEL})\]?[\s:|-]{{1,8}})?(?P<text>\S.*)",
    re.S,
)
_STEP: Final = re.compile(r"#\d{1,5} (?:\d{1,6}\.\d{1,6} )?(?P<text>\S.*)", re.S)


def _quote(text: str) -> Peeled | None:
    found = _QUOTE.match(text)
    return Peeled(text[found.end() :], kinds=("quote",)) if found else None


def compose(text: str) -> Peeled | None:
    """Peel ``web-1  | ``; the text's own indentation stays."""
    found = _COMPOSE.match(text)
    if not found:
        return None
    return Peeled(found["text"] or "", None, found["writer"], kinds=("compose",))


def cri(text: str) -> Peeled | None:
    """Peel kubelet's ``2026-11-21T08:00:00.123456789Z stderr F ``."""
    found = _CRI.match(text)
    if not found:
        return None
    partial = found["tag"] == "P"
    return Peeled(found["text"] or "", times.read(found["time"]), partial=partial, kinds=("cri",))


def _kubectl(text: str) -> Peeled | None:
    found = _KUBECTL.match(text)
    return Peeled(found["text"], None, found["writer"], kinds=("kubectl",)) if found else None


def _stern(text: str) -> Peeled | None:
    found = _STERN.match(text)
    return Peeled(found["text"], None, found["writer"], kinds=("pod",)) if found else None


def _syslog(text: str) -> Peeled | None:
    found = _SYSLOG.match(text)
    if not found:
        return None
    at = times.read(f"{found['date']}{found['year'] or ''} {found['clock']}")
    return _tagged(found, at, "syslog")


def _syslog_bare(text: str) -> Peeled | None:
    found = _SYSLOG_BARE.match(text)
    if not found:
        return None
    at = times.read(f"{found['date']}{found['year'] or ''} {found['clock']}")
    return Peeled(found["text"], at, kinds=("date",))


def _syslog_iso(text: str) -> Peeled | None:
    found = _SYSLOG_ISO.match(text)
    if not found:
        return None
    written = found["time"]
    if written[0].isalpha():
        words = written[4:].split(" ")
        zone = " UTC" if words[2:] in (["UTC"], ["GMT"]) else ""
        at = times.read(f"{words[0]} {words[1]}{zone}")
    else:
        at = float(written) if "-" not in written else times.read(written)
    return _tagged(found, at, "syslog-iso")


def _monotonic(text: str) -> Peeled | None:
    """Peel ``journalctl -o short-monotonic``; seconds since a start that nobody tells."""
    found = _MONOTONIC.match(text)
    return _tagged(found, None, "monotonic") if found else None


def _rfc5424(text: str) -> Peeled | None:
    found = _RFC5424.match(text)
    return _tagged(found, times.read(found["time"]), "rfc5424") if found else None


def _dyno(text: str) -> Peeled | None:
    found = _DYNO.match(text)
    if not found:
        return None
    return Peeled(found["text"], times.read(found["time"]), found["writer"], kinds=("dyno",))


def _indent(text: str) -> Peeled | None:
    found = _INDENT.match(text)
    return Peeled(text[found.end() :], kinds=(INDENT,)) if found else None


def _time(text: str) -> Peeled | None:
    found = _TIME.match(text)
    return Peeled(found["text"], times.read(found["time"]), kinds=("time",)) if found else None


def _clock(text: str) -> Peeled | None:
    found = _CLOCK.match(text)
    return Peeled(found["text"], kinds=("clock",)) if found else None


def _pid(text: str) -> Peeled | None:
    found = _PID.match(text)
    return Peeled(found["text"], None, "", int(found["pid"]), kinds=("pid",)) if found else None


def _step(text: str) -> Peeled | None:
    found = _STEP.match(text)
    return Peeled(found["text"], kinds=("step",)) if found else None


def _decoration(text: str) -> Peeled | None:
    found = _DECORATION.match(text)
    if not found:
        return None
    return Peeled(text[found.end() :].rstrip(_CLOSING), kinds=("decoration",))


def _label(text: str) -> Peeled | None:
    """Peel a file's name as ``grep`` writes it, or what somebody called the line."""
    found = _LABEL.match(text)
    return Peeled(found["any"] or found["text"], kinds=("label",)) if found else None


def _viewed(text: str) -> Peeled | None:
    found = _VIEWED.match(text)
    return Peeled(found["text"], kinds=("viewed",)) if found else None


def _headless_syslog(text: str) -> Peeled | None:
    found = _HEADLESS_SYSLOG.match(text)
    return _tagged(found, None, "syslog") if found else None


def _logger(text: str) -> Peeled | None:
    """Peel how Python's ``logging`` was told to write a server's lines, in the server's own way."""
    found = _LOGGER.match(text)
    level = (found["before"] or found["after"]) if found else None
    if not found or not level:
        return None
    at = times.read(found["time"]) if found["time"] else None
    if found["name"].startswith("uvicorn"):
        return Peeled(f"{level + ':':<10}{found['text']}", at, kinds=("logger",))
    if found["text"].startswith("["):
        return None
    said = f"[2001-01-01 00:00:00] [0] [{level}] {found['text']}"  # the process is not told
    return Peeled(said, at, kinds=("logger",))


def _tagged(found: re.Match[str], at: float | None, kind: str) -> Peeled:
    tag, pid = found["tag"], found["pid"]
    return Peeled(
        found["text"] or "",
        at,
        "" if tag == "-" else tag,
        int(pid) if pid and pid.isdigit() and len(pid) <= 10 else None,
        kinds=(kind,),
    )


PREFIXES: Final[tuple[Callable[[str], Peeled | None], ...]] = (
    cri, _dyno, _rfc5424, _syslog_iso, _syslog, _monotonic, _kubectl, compose, _stern, _logger,
    _time, _syslog_bare, _clock, _pid, _step, _quote, _label, _decoration, _viewed,
    _headless_syslog, _indent,
)  # fmt: skip
"""The shapes, the more telling before what could be a part of them."""
