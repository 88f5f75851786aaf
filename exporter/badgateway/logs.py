"""The exporter's own log, on standard error: one line for each event, as logfmt or JSON.

Who repeats itself is heard ``REPEATS`` times a minute; what was left out is said with the next
message after that minute. A source that fails every five seconds, or a client that knocks a
thousand times a second, must not fill the journal that the exporter itself reads.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("logfmt", "json")
REPEATS: Final = 5
VARIANTS: Final = 100
WINDOW_SECONDS: Final = 60.0
_REMEMBERED: Final = 1000
_KEY_LIMIT: Final = 1000
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


_Key = tuple[str, str, str | None]
"""Logger, form and text; no text for the form as a whole."""


@dataclass(slots=True)
class _Window:
    """How often something was said since a time, and how often it was left out."""

    begun: float
    level: int
    number: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """Lets each text pass ``REPEATS`` times a window, and ``VARIANTS`` texts of one form.

    A form is a message before it is filled in. Ten logs that cannot be read are ten texts of one
    form and are all told; what a client can vary without end, such as its address, is bounded.
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
        self._lock = threading.Lock()  # sources log from threads of their own
        self._seen: OrderedDict[_Key, _Window] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged."""
        if getattr(record, "is_summary", False) or record.levelno <= logging.DEBUG:
            return True
        with self._lock:
            now = self._clock()
            over = self._over(now)
            passes = self._passes(record, now)
        for summary in over:
            self._emit(summary)
        return passes

    def _passes(self, record: logging.LogRecord, now: float) -> bool:
        form = str(record.msg)
        try:
            text = record.getMessage()[:_KEY_LIMIT]
        except (TypeError, ValueError):  # what does not fit its form is the handler's to tell
            text = form
        key = (record.name, form, text)
        said = self._seen.get(key)
        if said is not None and said.number >= REPEATS:
            said.left_out += 1
            return False
        forms = self._seen.setdefault((record.name, form, None), _Window(now, record.levelno))
        if forms.number >= VARIANTS:
            forms.left_out += 1
            return False
        said = self._seen.setdefault(key, _Window(now, record.levelno))
        said.number += 1
        forms.number += 1
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def _over(self, now: float) -> list[logging.LogRecord]:
        """End the windows whose time is over; they are in the order of their begin."""
        summaries = []
        while self._seen:
            key, window = next(iter(self._seen.items()))
            if now - window.begun < WINDOW_SECONDS:
                break
            del self._seen[key]
            if window.left_out:
                summaries.append(_summary(key, window, now - window.begun))
        return summaries


def _summary(key: _Key, window: _Window, seconds: float) -> logging.LogRecord:
    name, form, text = key
    what = f"left out {window.left_out} times in {seconds:.0f} s: {form if text is None else text}"
    summary = logging.LogRecord(name, window.level, "", 0, "%s", (what,), None)
    summary.is_summary = True
    return summary


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
