"""What must hold of a dialect for any bytes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from badgateway import vocabulary
from badgateway.dialects import Tallying, dialect
from badgateway.events import (
    Batch,
    ProcessKilled,
    Response,
    ServerEnd,
    UpstreamFailure,
    WorkerEnd,
    lines_of,
)
from tests.dialects.reading import by_the_thousand, corpus, one_by_one

_SOURCES: Final = {
    "nginx-error": "error", "nginx-access": "access_json", "caddy": "log", "haproxy": "json",
}  # fmt: skip
_SEEDS: Final = 40
KERNEL: Final = [
    "gunicorn invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a.service,mems_allowed=0,"
    "oom_memcg=/a,task_memcg=/system.slice/a.service,task=gunicorn,pid=274,uid=0",
    "Memory cgroup out of memory: Killed process 274 (gunicorn) total-vm:121528kB, "
    "anon-rss:103040kB, file-rss:1856kB, shmem-rss:0kB, UID:0 pgtables:272kB oom_score_adj:0",
    "oom_reaper: reaped process 274 (gunicorn), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    "gunicorn[25354]: segfault at 0 ip 00007fa949d85ad8 sp 00007ffc error 4 in libc.so.6[7f+1]",
]
"""What Linux 6.1 wrote about one worker that was killed, and 6.18 of another."""


def seeds(name: str) -> list[bytes]:
    """Return recorded lines of a dialect to begin with."""
    if name in _SOURCES:
        cases = corpus(name.partition("-")[0])
        found = [case["lines"].get(_SOURCES[name], []) for case in cases]
    elif name == "kernel":
        found = [KERNEL]
    else:
        stream = "stdout" if name == "granian" else "log"
        recorded = (case for case in _workers() if case["server"].startswith(name))
        found = [case[stream].splitlines() for case in recorded]
    length = 3 if name in _SOURCES else 60
    return ["\n".join(lines[:length]).encode() for lines in found if lines][:_SEEDS]


def _workers() -> list[dict[str, str]]:
    packed = Path(__file__).parents[1] / "corpus" / "workers.json.gz"
    cases: list[dict[str, str]] = json.loads(gzip.decompress(packed.read_bytes()))
    return cases


def target(name: str) -> Callable[[bytes], None]:
    """Return a function that fails for bytes which a dialect does not take as it must.

    It may raise for none, yields only what the closed lists know, and counts by the thousand what
    it counts one by one.
    """

    def run(data: bytes) -> None:
        reader: Any = dialect(name)
        for line in lines_of(Batch("f", (), True, None, data=data)):
            for event in reader.read(line) or ():
                _check(event)
        if isinstance(reader, Tallying):
            whole: Any = dialect(name)
            alone: Any = dialect(name)
            assert by_the_thousand(whole, data) == one_by_one(alone, data)

    return run


def _check(event: object) -> None:
    if isinstance(event, Response):
        assert event.origin in (None, *vocabulary.ERROR_ORIGINS)
        for attempt in event.attempts:
            _check(attempt)
    elif isinstance(event, UpstreamFailure):
        assert event.reason in vocabulary.UPSTREAM_FAILURE_REASONS
    elif isinstance(event, WorkerEnd):
        assert event.reason in vocabulary.WORKER_END_REASONS
    elif isinstance(event, ServerEnd):
        assert event.reason in vocabulary.SERVER_END_REASONS
    elif isinstance(event, ProcessKilled):
        assert event.reason in ("oom", "segfault")
