"""The child of ``scan``: a request as JSON on stdin, a report as JSON on stdout."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Final

import msgspec

from badgateway.packages import files
from badgateway.packages.assess import assess
from badgateway.packages.findings import Report
from badgateway.packages.roots import Root
from badgateway.packages.scan import Request

MEMORY_LIMIT: Final = 1536 << 20
_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Answer one request; return the exit status."""
    confine(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    root = request.target.root
    try:
        with files.seen_in(Root.of(root) if root else None):
            report = assess(request.target, request.seconds)
    except (Exception, MemoryError) as error:
        # The kind of error is enough to report; its text may hold what it was reading.
        report = Report("unknown", problem=f"the scan failed: {type(error).__name__}")
    sys.stdout.buffer.write(msgspec.json.encode(report))
    return 0


def confine(seconds: int) -> None:
    """Give this process little priority, memory and time, and end it with its parent."""
    os.nice(19)
    limits = (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, limit in limits:
        _, hard = resource.getrlimit(kind)
        ceiling = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (ceiling, ceiling))
    signal.alarm(seconds)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
