"""uvicorn's words, and what is known of one process that writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from badgateway.dialects.tracebacks import Collector, Traceback

STARTED: Final = re.compile(r"^Started (server|parent) process \[(\d+)\]")
WAITING: Final = re.compile(r"^Waiting for child process \[(\d+)\]")
DIED: Final = re.compile(r"^Child process \[(\d+)\] died")
NOT_STARTED: Final = re.compile(r"^Child process \[(\d+)\] failed to start")
TERMINATED: Final = re.compile(r"^Terminated child process \[(\d+)\]")
NO_APPLICATION: Final = re.compile(
    r'^Error loading ASGI app\. (?:Could not import module "([^"]{1,200})"|(Attribute .{1,200}))'
)
STOPPED: Final = re.compile(r"^(?:Finished server|Stopping parent) process \[(\d+)\]")
USAGE: Final = re.compile(r"^Usage: (?:python\S* -m )?uvicorn ")
REFUSED: Final = re.compile(r"^Error: (.{1,200})")
SPAWNED: Final = re.compile(r"^Process SpawnProcess-\d+:$")
IN_USE: Final = re.compile(r"^\[Errno (\d+)\] ")


@dataclass(slots=True)
class Writer:
    """What is known of one process that writes."""

    traceback: Collector = field(default_factory=Collector)
    spawned: bool = False
    serving: bool = False
    bound: bool = False
    parent: bool = False
    ended: bool = False
    last_words: str | None = None
    detail: str = ""
    lifespan: Traceback | None = None
    said: str = ""
    waited_for: int | None = None
    failed: int = 0
    starting: list[int] = field(default_factory=list)
    complete: int = 0
