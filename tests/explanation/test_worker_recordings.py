"""What `explain` tells of 610 recorded ends of servers and workers.

Each recording is one provoked event in a real server (tests/corpus/workers.json.gz: its log, what
it printed to standard output, the reason that was provoked). What a log cannot tell is listed
here with why; everything else must be told exactly, and nothing may be told wrongly.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from badgateway import vocabulary
from tests.explanation.told import Found, told
from tests.explanation.untold import EXACT, NOT_TOLD

Case = dict[str, str]
CORPUS: Final = Path(__file__).parents[1] / "corpus" / "workers.json.gz"
CASES: Final[list[Case]] = json.loads(gzip.decompress(CORPUS.read_bytes()))


def named(case: Case) -> str:
    return f"{case['server']}-{case['version']}-{case['case']}"


@cache
def _found(name: str, both: bool) -> tuple[Counter[str], Counter[str], Counter[Any]]:
    case = next(case for case in CASES if named(case) == name)
    texts = [case["log"], case["stdout"]] if both else [case["log"]]
    records: list[Found] = told(*texts)
    workers = Counter(r["reason"] for r in records if r["type"] == "worker_end")
    servers = Counter(r["reason"] for r in records if r["type"] == "server_end")
    failures = Counter(r["exception"] for r in records if r["type"] == "boot_failure")
    return workers, servers, failures


# -- what is true of a recording beside the reason that was provoked

TRUE_TOO: Final[dict[tuple[str, str], set[str]]] = {
    ("*", "recycle_broken"): {"max_requests"},  # recycled first, and then unable to boot
    ("gunicorn", "hup_broken"): {"reload"},  # the old workers were replaced
    ("gunicorn", "sysexit"): {"exit_code"},  # `exited with code 5`
    ("*", "oom"): {"sigkill"},  # without the kernel's line it is a SIGKILL
    ("gunicorn-asgi", "stop_inflight"): {"stop_timeout"},  # the busy worker was killed
    ("gunicorn-gthread", "timeout_all_workers"): {"stop_timeout"},  # cleaned up with SIGKILL
    ("gunicorn-uvicorn", "usr2"): {"stop_timeout"},  # QUIT ignored, cleaned up with SIGKILL
    ("gunicorn-gthread", "usr2_broken"): {"stop"},
    # uWSGI says the same of a worker above its memory and above its requests
    ("uwsgi", "max_mem"): {"max_requests"},
}
SERVER_TRUE_TOO: Final[dict[tuple[str, str], set[str]]] = {
    ("gunicorn-gthread", "usr2_broken"): {"boot_failure"},  # the old master was broken, too
    ("granian", "exit0_at_import"): {"boot_failure"},  # its workers never started
    ("granian-respawn", "exit0_at_import"): {"boot_failure"},
}

TEARDOWN: Final = {"stop", "unknown"}
"""Each recording ends with its server being stopped; and not to know is not wrong."""


def also(table: dict[tuple[str, str], set[str]], case: Case) -> set[str]:
    server, name = case["server"], case["case"]
    families = ("*", server.split("-")[0], server)
    return set().union(*(table.get((family, name), set()) for family in families))


def true_workers(case: Case) -> set[str]:
    return set(filter(None, case["reason"].split(",")))


def true_servers(case: Case) -> set[str]:
    # a crash loop is not an end: the server lives, or tells what it gave up over
    return {case["server_event"]} & set(vocabulary.SERVER_END_REASONS)


def streams(case: Case) -> list[bool]:
    return [False, True] if case["stdout"].strip() else [False]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_nothing_is_told_wrongly(case: Case) -> None:
    for both in streams(case):
        workers, servers, _ = _found(named(case), both)
        assert set(workers) <= true_workers(case) | TEARDOWN | also(TRUE_TOO, case)
        assert set(servers) <= true_servers(case) | TEARDOWN | also(SERVER_TRUE_TOO, case)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_one_death_is_one_event(case: Case) -> None:
    records = told(case["log"])
    pids = Counter(r["pid"] for r in records if r["type"] == "worker_end" and r.get("pid"))
    assert set(pids.values()) <= {1}
    ends = Counter(
        (r.get("pid"), r["reason"]) for r in records if r["type"] == "server_end" and r.get("pid")
    )
    assert set(ends.values()) <= {1}


# -- what a log can tell (what it cannot: untold.py)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_everything_that_the_log_tells_is_told(case: Case) -> None:
    workers, servers, _ = _found(named(case), streams(case)[-1])
    missing = (true_workers(case) - set(workers)) | (true_servers(case) - set(servers))
    reasons = NOT_TOLD.get(f"{case['server']}-{case['version']}", {})
    listed = any(case["case"] in cases.split() for cases in reasons.values())
    assert bool(missing) == listed, missing


def test_an_application_that_did_not_load_is_told_whatever_else_is() -> None:
    broken = [case for case in CASES if "boot_failure" in (case["reason"], case["server_event"])]
    silent = [
        named(case) for case in broken if not _found(named(case), streams(case)[-1])[2]
        and case["case"] not in ("exit3", "exit4")
    ]  # fmt: skip
    assert len(broken) > 100
    assert silent == NO_BOOT


NO_BOOT: Final = [
    "uvicorn-single-0.17.6-recycle_broken", "uvicorn-single-0.54.0-recycle_broken",
    "uvicorn-workers-0.17.6-recycle_broken", "uvicorn-workers-0.23.2-recycle_broken",
]  # fmt: skip
"""Never started again: there is no supervisor, and no worker is replaced."""


def test_how_much_is_told() -> None:
    """Of each server's recordings: told exactly, and of how many."""
    told_exactly = Counter[str]()
    for case in CASES:
        name = f"{case['server']}-{case['version']}"
        listed = [cases.split() for cases in NOT_TOLD.get(name, {}).values()]
        told_exactly[name] += not any(case["case"] in cases for cases in listed)
    assert dict(told_exactly) == EXACT
