"""The exporter's own log, on standard error: one line for each event, as logfmt or JSON.

Who repeats itself is heard ``REPEATS`` times a minute; what was left out is said afterwards. A
source that fails every five seconds, or a client that knocks a thousand times a second, must not
fill the journal that the exporter itself reads.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("logfmt", "json")
REPEATS: Final = 5
WINDOW_SECONDS: Final = 60.0
_REMEMBERED: Final = 1000
_LINE_LIMIT: Final = 16 * 1024
_NOISY: Final = ("httpx", "httpcore", "asyncio", "dbus_fast", "uvicorn")


def set_up(level: str, form: str) -> None:
    """Send log lines to standard error.

    Args:
        level: least severity that is logged, one of ``LEVELS``.
        form: one of ``FORMATS``.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if form == "json" else Logfmt())
    handler.addFilter(Repeats(handler.handle))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.raiseExceptions = False  # a full or closed standard error must not stop the exporter
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))


class Repeats(logging.Filter):
    """Lets each message pass ``REPEATS`` times a window; a message is its text before filling in.

    What differs only in its values, such as in a client's address, is the same message.
    """

    def __init__(
        self,
        emit: Callable[[logging.LogRecord], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            emit: takes the record that says what was left out.
            clock: seconds.
        """
        super().__init__()
        self._emit, self._clock = emit, clock
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged."""
        if getattr(record, "is_summary", False) or record.levelno <= logging.DEBUG:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        since, number = self._seen.get(key, (now, 0))
        if now - since >= WINDOW_SECONDS:
            if number > REPEATS:
                self._summarize(record, number - REPEATS, now - since)
            since, number = now, 0
        self._seen[key] = (since, number + 1)
        self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return number < REPEATS

    def _summarize(self, like: logging.LogRecord, number: int, seconds: float) -> None:
        text = f"the next message was left out {number} times in {seconds:.0f} s"
        summary = logging.LogRecord(like.name, like.levelno, "", 0, text, None, None)
        summary.is_summary = True
        self._emit(summary)


class Logfmt(logging.Formatter):
    """``time=… level=… logger=… msg="…"``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return (
            f"time={_stamp(record)} level={record.levelname.lower()} "
            f"logger={record.name} msg={json.dumps(_message(record, self), ensure_ascii=False)}"
        )


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return json.dumps(
            {
                "time": _stamp(record),
                "level": record.levelname.lower(),
                "logger": record.name,
                "msg": _message(record, self),
            }
        )


def _message(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + formatter.formatException(record.exc_info)
    if len(text) > _LINE_LIMIT:
        text = text[:_LINE_LIMIT] + "…"
    # what targets say may hold control characters, and the log may be read on a terminal
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _stamp(record: logging.LogRecord) -> str:
    seconds = time.gmtime(record.created)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', seconds)}.{int(record.msecs):03d}Z"
