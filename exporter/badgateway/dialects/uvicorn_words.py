"""uvicorn's words (0.17 to 0.54)."""

from __future__ import annotations

import re
from typing import Final

STARTED: Final = re.compile(r"^Started (server|parent) process \[(\d+)\]")
WAITING: Final = re.compile(r"^Waiting for child process \[(\d+)\]")
DIED: Final = re.compile(r"^Child process \[(\d+)\] died")
NOT_STARTED: Final = re.compile(r"^Child process \[(\d+)\] failed to start")
TERMINATED: Final = re.compile(r"^Terminated child process \[(\d+)\]")
NO_APPLICATION: Final = re.compile(
    r'^Error loading ASGI app\. (?:Could not import module "([^"]{1,200})"|(Attribute .{1,200}))'
)
RECEIVED: Final = re.compile(r"^Received (SIG[A-Z]+)\b")
PHASES: Final = {"SIGHUP": "reload", "SIGTTOU": "scale_down"}
STOPPED: Final = re.compile(r"^(?:Finished server|Stopping parent) process \[(\d+)\]")
ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
TRACEBACK: Final = "Traceback (most recent call last):"
ERROR: Final = re.compile(r"^(?:\x1b\[[0-9;]*m)*ERROR")
LEVEL: Final = re.compile(r"^(?:INFO|WARNING|ERROR|CRITICAL|DEBUG): +(.*)$", re.S)
LOADER: Final = ("/uvicorn/config.py", "/uvicorn/importer.py", "/uvicorn/main.py")
OTHERS: Final = ("/hypercorn/", "/granian/", "/gunicorn/")
"""Servers that start processes in the same way."""
LEAVING: Final = (
    "Shutting down", "Waiting for application shutdown", "Application shutdown complete",
    "Finished server process", "Stopping parent process", "Waiting for connections to close",
    "Waiting for background tasks", "Cancel ", "Received SIG", "Terminated child process",
    "Waiting for child process", "ASGI 'lifespan' protocol",
)  # fmt: skip
"""How what is said begins while processes end."""
USAGE: Final = re.compile(r"^Usage: (?:python\S* -m )?uvicorn ")
REFUSED: Final = re.compile(r"^Error: (.{1,200})")
SPAWNED: Final = re.compile(r"^Process SpawnProcess-\d+:$")
IN_USE: Final = re.compile(r"^\[Errno (\d+)\] ")
