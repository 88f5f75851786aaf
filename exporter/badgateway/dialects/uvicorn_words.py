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
USAGE: Final = re.compile(r"^Usage: (?:python\S* -m )?uvicorn ")
REFUSED: Final = re.compile(r"^Error: (.{1,200})")
SPAWNED: Final = re.compile(r"^Process SpawnProcess-\d+:$")
IN_USE: Final = re.compile(r"^\[Errno (\d+)\] ")
