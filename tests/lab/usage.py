"""What a service of a machine uses, from /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from tests.lab.machine import Machine


@dataclass(frozen=True)
class Usage:
    """Memory and time of one process."""

    rss_bytes: int
    cpu_seconds: float
    """User and system time since it started."""
    at: float
    """When it was read (time.monotonic)."""

    def share_since(self, earlier: Usage) -> float:
        """Return the share of one core used since ``earlier``."""
        return (self.cpu_seconds - earlier.cpu_seconds) / max(self.at - earlier.at, 1e-9)


def usage(machine: Machine, service: str) -> Usage:
    """Return the usage of a service's main process; raises CalledProcessError when it is gone."""
    stat = machine.run(["cat", f"/proc/{machine.pid(service)}/stat"]).stdout
    fields = stat.rpartition(")")[2].split()  # from the third field on: a name may hold anything
    ticks = int(fields[11]) + int(fields[12])
    pages = int(fields[21])
    return Usage(
        rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        at=time.monotonic(),
    )
