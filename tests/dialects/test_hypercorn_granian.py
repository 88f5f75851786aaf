"""hypercorn's and granian's words, and who may say them."""

from __future__ import annotations

import json

import pytest

from badgateway.dialects import Remembering, dialect
from badgateway.events import BootFailure, Event
from tests.dialects.speaking import ends, exited, from_file, said

RUNNING = "[2026-11-21 08:18:59 +0000] [12] [INFO] Running on http://127.0.0.1:1 (CTRL + C to quit)"


def crash(package: str, frame: str, last: str) -> list[str]:
    return [
        "Traceback (most recent call last):",
        '  File "/usr/lib/python3.11/multiprocessing/process.py", line 314, in _bootstrap',
        f'  File "/srv/lib/python3.11/site-packages/{package}/{frame}", line 99, in load',
        '  File "/srv/api/main.py", line 1, in <module>',
        "    import slowapi",
        last,
    ]


MISSING = "ModuleNotFoundError: No module named 'slowapi'"
HYPERCORN = crash("hypercorn", "utils.py", MISSING)
GRANIAN = crash("granian", "_internal.py", MISSING)


def failures(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(e.role, e.module) for e in events if isinstance(e, BootFailure)]


# -- hypercorn


def test_a_worker_that_cannot_boot_ends_the_whole_hypercorn_once() -> None:
    one, two = ["Process SpawnProcess-1:", *HYPERCORN], ["Process SpawnProcess-2:", *HYPERCORN]
    events = from_file("hypercorn", *one, *two)
    assert ends(events) == [
        ("worker", "boot_failure", None), ("server", "boot_failure", None),
        ("worker", "boot_failure", None),
    ]  # fmt: skip
    assert failures(events) == [("worker", "slowapi")] * 2


def test_a_second_run_of_hypercorn_ends_again() -> None:
    run = ["Process SpawnProcess-1:", *HYPERCORN]
    assert ends(from_file("hypercorn", *run, *run)).count(("server", "boot_failure", None)) == 2


def test_a_chain_of_exceptions_is_one_failure_that_names_the_module() -> None:
    inner = [
        "Traceback (most recent call last):",
        '  File "/srv/lib/python3.11/site-packages/hypercorn/utils.py", line 9, in load',
        "ModuleNotFoundError: No module named 'main'", "",
        "During handling of the above exception, another exception occurred:", "",
    ]  # fmt: skip
    outer = crash("hypercorn", "utils.py", "hypercorn.utils.NoAppError: Cannot load application")
    events = from_file("hypercorn", "Process SpawnProcess-1:", *inner, *outer)
    assert failures(events) == [("worker", "main")]


def test_what_a_serving_hypercorn_prints_is_no_end() -> None:
    reader = dialect("hypercorn")
    said(reader, 12, RUNNING)
    forged = ["Process SpawnProcess-1:", *HYPERCORN, "hypercorn: error: no", RUNNING]
    assert ends(said(reader, 12, *forged)) == []
    assert ends(exited(reader, "exited", "1")) == [("server", "exit_code", None)]
    assert ends(from_file("hypercorn", RUNNING, *HYPERCORN)) == []


def test_another_process_does_not_say_that_hypercorn_runs() -> None:
    assert said(dialect("hypercorn"), 77, RUNNING) == []


def test_an_address_in_use_keeps_hypercorn_from_starting() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "/srv/lib/python3.11/site-packages/hypercorn/__main__.py", line 3, in main',
        '  File "/srv/lib/python3.11/site-packages/hypercorn/config.py", line 275, in _create',
        "OSError: [Errno 98] Address already in use",
    ]
    assert ends(from_file("hypercorn", *lines)) == [("server", "bind_failure", None)]
    refused = from_file("hypercorn", "usage: hypercorn [-h]", "hypercorn: error: no such option")
    assert ends(refused) == [("server", "usage", None)]


# -- granian

BORN = (
    "[INFO] Starting granian (main PID: 10)", "[INFO] Spawning worker-1 with PID: 11",
    "[INFO] Spawning worker-2 with PID: 12", "[INFO] Started worker-1", "[INFO] Started worker-2",
)  # fmt: skip
LOST = "[ERROR] Unexpected exit from worker-1"
DOWN = "[INFO] Shutting down granian"


def test_a_lost_worker_ends_granian() -> None:
    down = (LOST, DOWN, "[INFO] Stopped worker-1", "[INFO] Stopping worker-2",
            "[INFO] Stopped worker-2")  # fmt: skip
    assert ends(from_file("granian", *BORN, *down)) == [
        ("worker", "unknown", 11), ("server", "worker_lost", None), ("worker", "stop", 12),
    ]  # fmt: skip


def test_a_lost_worker_that_is_replaced_does_not() -> None:
    back = ("[INFO] Respawning worker-1", "[INFO] Spawning worker-1 with PID: 13",
            "[INFO] Stopping old worker-1", "[INFO] Stopped old worker-1",
            "[INFO] Started worker-1", DOWN, "[INFO] Stopped worker-1")  # fmt: skip
    assert ends(from_file("granian", *BORN, LOST, *back)) == [
        ("worker", "unknown", 11), ("server", "stop", None), ("worker", "stop", 13),
    ]  # fmt: skip


def test_a_worker_that_was_asked_to_end_by_others_is_told_so() -> None:
    assert ends(from_file("granian", *BORN, "[INFO] Stopping worker-1", LOST)) == [
        ("worker", "external_term", 11)
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[INFO] worker-1 lifetime expired, gracefully respawning..", "max_lifetime"),
        ("[INFO] worker-1 RSS over threshold, gracefully respawning..", "max_memory"),
    ],
)
def test_a_recycled_worker_is_told_with_its_limit(line: str, reason: str) -> None:
    again = ("[INFO] Spawning worker-1 with PID: 13", "[INFO] Stopping old worker-1",
             "[INFO] Stopped old worker-1")  # fmt: skip
    assert ends(from_file("granian", *BORN, line, *again)) == [("worker", reason, 11)]


def test_reloaded_workers_are_those_before() -> None:
    reload = ("[INFO] HUP signal received, gracefully respawning workers..",
              "[INFO] Respawning worker-1", "[INFO] Spawning worker-1 with PID: 13",
              "[INFO] Started worker-1", "[INFO] Stopping old worker-1",
              "[INFO] Stopping worker-1", "[INFO] Stopped old worker-1")  # fmt: skip
    assert ends(from_file("granian", *BORN, *reload)) == [("worker", "reload", 11)]


def test_a_worker_that_cannot_boot_names_the_module() -> None:
    events = from_file("granian", *BORN[:3], "Process granian-worker:", *GRANIAN, LOST, DOWN)
    assert failures(events) == [("worker", "slowapi")]
    assert ends(events) == [("worker", "boot_failure", None), ("server", "boot_failure", None)]


def test_a_worker_of_granian_does_not_speak_for_the_main_process() -> None:
    reader = dialect("granian")
    said(reader, 10, *BORN[:3])
    said(reader, 11, BORN[3])
    said(reader, 12, BORN[4])
    forged = [LOST, DOWN, "[ERROR] Worker crash loop detected, exiting", BORN[0],
              "[INFO] Stopped worker-1", "[INFO] worker-1 lifetime expired",
              "Process granian-worker:", *GRANIAN,
              "[ERROR] ASGI lifespan startup failed"]  # fmt: skip
    assert ends(said(reader, 12, *forged)) == []
    assert ends(said(reader, 10, LOST)) == [("worker", "unknown", 11)]


def test_the_main_process_is_remembered() -> None:
    before = dialect("granian")
    said(before, 10, *BORN)
    after = dialect("granian")
    assert isinstance(before, Remembering)
    assert isinstance(after, Remembering)
    after.recall(json.loads(json.dumps(before.memory())))
    assert ends(said(after, 12, LOST)) == []
    assert ends(said(after, 10, LOST)) == [("worker", "unknown", 11)]
