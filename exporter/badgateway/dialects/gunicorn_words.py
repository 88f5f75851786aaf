"""gunicorn's words (20.1 to 27.0)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

PREFIX: Final = re.compile(
    r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?: [+-]\d{4})?\] \[(\d+)\] \[[A-Z]+\] (.*)$", re.S
)
NOT_OURS: Final = r"Running on \S{1,300} (?:over \S+ )?\(CTRL \+ C|Error in ASGI Framework"
"""What hypercorn writes behind the same prefix."""
STARTING: Final = re.compile(r"^Starting gunicorn (\d+)\.")
TIMEOUT: Final = re.compile(r"^WORKER TIMEOUT \(pid: ?(\d+)\)")
SENT: Final = re.compile(r"^Worker \(pid: ?(\d+)\) was sent (SIG[A-Z0-9+-]+|code \d+)!")
TERMINATED: Final = re.compile(r"^Worker with pid (\d+) was terminated due to signal (\d+)")
EXITED: Final = re.compile(r"^Worker \(pid: ?(\d+)\) exited with code (\d+)")
BOOTING: Final = re.compile(r"^Booting worker with pid: (\d+)")
EXITING: Final = re.compile(r"^Worker exiting \(pid: (\d+)\)")
HALTED: Final = re.compile(r"HaltServer: <HaltServer '([^']+)' (\d+)>")
SIGNAL: Final = re.compile(r"^Handling signal: (\w+)")
ATTRIBUTE: Final = re.compile(r"^Failed to find attribute '[^']{1,100}' in '[^']{1,100}'")
SHUT: Final = "Shutting down: Master"
REASON: Final = ("Reason: ", "Worker failed to boot", "App failed")
USAGE: Final = re.compile(r"^gunicorn(?:\.py)?: error: (.{1,200})")
REFUSED: Final = re.compile(
    r"^(Failed to read config file: .{1,200}|Error: class uri '?.{1,200} invalid or not found"
    r"|Error: '[^']{1,300}' doesn't exist$)"
)
BIND_FAILURES: Final = ("Connection in use: ", "Can't connect to ", "Invalid address: ")
LIFESPAN_FAILURES: Final = ("Application startup failed", "ASGI lifespan startup failed")
RECYCLED: Final = ("Autorestarting worker", "Maximum request limit of ")
RELOADED: Final = "Worker reloading: "
UVICORN: Final = "Started server process ["
BOOT_CODES: Final = (3, 4)

PHASES: Final = MappingProxyType(
    {"term": "stop", "int": "stop", "quit": "stop", "winch": "stop", "hup": "reload",
     "usr2": None, "ttou": "scale_down", "ttin": None}
)  # fmt: skip
"""A signal that a master handles → what the ends of workers mean afterwards."""
ENDING: Final = ("term", "int", "quit")
"""Signals upon which a master ends, too."""
_NOWHEN: Final = 2001
"""The year of a time that is none: lines whose own prefix was another one."""
_MEMORY_FAULTS: Final = {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "7", "11", "4", "8"}
_ASKED: Final = {"SIGTERM", "15", "SIGINT", "2", "SIGQUIT", "3"}


@lru_cache(maxsize=64)
def clock(stamp: str) -> float | None:
    """Return the seconds of a line's own time, to be compared with others of the same log."""
    try:
        moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if moment.year != _NOWHEN else None


def killed(signal: str) -> str:
    """Return why a worker died of a signal, or of ``code N`` with a core dump.

    Returns:
        ``external_term`` for a signal that asks to end, whoever asked.
    """
    if signal.startswith("code "):
        signal = str(int(signal.removeprefix("code ")) & 0x7F)
    if signal in _ASKED:
        return "external_term"
    if signal in ("SIGKILL", "9"):
        return "sigkill"
    return "segfault" if signal in _MEMORY_FAULTS else "signal"
