"""uvicorn's and gunicorn's lines, as recorded (tests/corpus/servers.json), and forged ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.dialects import Dialect, Remembering, dialect, systemd
from badgateway.events import BootFailure, Event, Line, ServerEnd, ServerReady, WorkerEnd

CORPUS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "corpus" / "servers.json").read_text()
)
SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "uwsgi", "kernel")


def read(server: str, lines: list[Line]) -> list[Event]:
    reader = dialect(server)
    return [event for line in lines for event in reader.read(line) or ()]


def from_file(case: dict[str, Any]) -> list[Event]:
    server = case["server"].split("-")[0]
    return read(server, [Line(1.0, text, "file") for text in case["lines"]])


def ids(case: dict[str, Any]) -> str:
    return f"{case['server']}-{case['version']}-{case['case']}"


# case → what every BootFailure of it must name: the module, or else the exception
BOOT: dict[str, set[str]] = {
    "import_error": {"nosuchmodule_xyz"},
    "module_missing": {"nosuchapp"},
    "attr_missing": {"ImportError", "AttributeError"},
    "syntax_error": {"SyntaxError"},
    "raise_at_import": {"RuntimeError"},
    "lifespan_fail": {"LifespanFailed"},
}


@pytest.mark.parametrize("case", [c for c in CORPUS if c["case"] in BOOT], ids=ids)
def test_an_application_that_does_not_load_is_told_with_its_reason(case: dict[str, Any]) -> None:
    events = from_file(case)
    failures = [e for e in events if isinstance(e, BootFailure)]
    assert {e.module or e.exception for e in failures} <= BOOT[case["case"]]
    assert failures
    ends = [e for e in events if isinstance(e, WorkerEnd | ServerEnd)]
    assert {e.reason for e in ends} == {"boot_failure"}


# What the recording's name does not say but its lines do.
ALSO: dict[str, set[str]] = {
    "recycle_broken": {"max_requests"},  # recycled first, and then unable to boot
    "sysexit": {"exit_code"},  # the worker says that it exited with code 5
    "stop_inflight": {"stop_timeout"},  # a worker said nothing while its master waited for it
    "exit3": {"boot_failure", "external_term"},  # gunicorn takes every exit 3 for a boot failure
}


@pytest.mark.parametrize("case", CORPUS, ids=ids)
def test_no_worker_end_is_given_a_wrong_reason(case: dict[str, Any]) -> None:
    told = {e.reason for e in from_file(case) if isinstance(e, WorkerEnd)}
    true = set((case["reason"] or "").split(",")) | {"stop", "unknown"}
    assert told <= true | ALSO.get(case["case"], set())


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CORPUS
        if case["case"] in ("timeout", "segv", "kill9")
        and "gunicorn" in case["server"]
        and case["reason"]
    ],
    ids=ids,
)
def test_one_death_is_one_event_though_several_lines_tell_of_it(case: dict[str, Any]) -> None:
    ends = Counter(e.pid for e in from_file(case) if isinstance(e, WorkerEnd))
    assert set(ends.values()) <= {1}
    assert case["reason"] in {e.reason for e in from_file(case) if isinstance(e, WorkerEnd)}


def test_a_request_that_fails_is_no_end() -> None:
    for case in CORPUS:
        if case["case"] == "raise500":
            assert not [e for e in from_file(case) if isinstance(e, BootFailure)]


# -- with journald's word for who writes

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/srv/.venv/lib/python3.11/site-packages/uvicorn/config.py", line 434, in load_app',
    "    return import_from_string(self.app)",
    '  File "/srv/api/limits.py", line 3, in <module>',
    "    import slowapi",
    "ModuleNotFoundError: No module named 'slowapi'",
]


def said(pid: int, *texts: str, at: float = 10.0) -> list[Line]:
    return [Line(at, text, "journal", "api.service", pid, "inv") for text in texts]


def manager(message: str, at: float = 1.0, **fields: str) -> Line:
    known = {"MESSAGE_ID": message, **fields}
    return Line(at, "systemd's text", "journal", "api.service", 1, "inv", known)


STARTED = manager(systemd.STARTED)
EXITED = manager(
    systemd.PROCESS_EXITED, at=11.0, COMMAND="ExecStart", EXIT_CODE="exited", EXIT_STATUS="1"
)


def test_a_single_server_that_cannot_boot_ends_once_with_its_reason() -> None:
    events = read("uvicorn", [STARTED, *said(7, *TRACEBACK), EXITED, EXITED])
    failure, end = events
    assert isinstance(failure, BootFailure)
    assert (failure.role, failure.module, failure.certain) == ("server", "slowapi", True)
    assert isinstance(end, ServerEnd)
    assert (end.reason, end.pid) == ("boot_failure", 7)


def test_workers_that_cannot_boot_end_once_each() -> None:
    parent = said(5, "INFO:     Started parent process [5]")
    one = said(6, "Process SpawnProcess-1:", *TRACEBACK)
    two = said(8, "Process SpawnProcess-2:", *TRACEBACK)
    mixed = [line for pair in zip(one, two, strict=True) for line in pair]
    died = said(5, "INFO:     Child process [6] died", "INFO:     Child process [8] died")
    events = read("uvicorn", [STARTED, *parent, *mixed, *died])
    ends = [e for e in events if isinstance(e, WorkerEnd)]
    assert [(e.pid, e.reason) for e in ends] == [(6, "boot_failure"), (8, "boot_failure")]
    assert all(e.certain for e in events if isinstance(e, BootFailure))


SERVING = said(7, "INFO:     Started server process [7]", "INFO:     Application startup complete.")


def test_a_serving_application_prints_what_it_likes() -> None:
    forged = said(
        7, "Process SpawnProcess-1:", *TRACEBACK, "INFO:     Child process [7] died",
        "INFO:     Child process [9] died", "INFO:     Terminated child process [9]",
        "No module named 'slowapi'", "ERROR:    Application startup failed. Exiting.",
    )  # fmt: skip
    events = read("uvicorn", [STARTED, *SERVING, *forged])
    assert [type(e) for e in events] == [ServerReady]


def test_a_serving_application_seen_too_late_is_not_believed() -> None:
    """Its start scrolled away: what it prints may be evidence, but counts nothing."""
    forged = said(7, "Process SpawnProcess-1:", *TRACEBACK, at=9999.0)
    (failure,) = read("uvicorn", forged)
    assert isinstance(failure, BootFailure)
    assert not failure.certain


IN_USE = "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8001)"


def test_an_address_in_use_is_a_bind_failure_of_a_server_that_does_not_run_yet() -> None:
    events = read("uvicorn", [STARTED, *SERVING, *said(7, IN_USE), EXITED])
    assert [e.reason for e in events if isinstance(e, ServerEnd)] == ["bind_failure"]


def test_an_address_in_use_is_no_reason_for_a_server_that_runs() -> None:
    running = said(7, "INFO:     Uvicorn running on http://127.0.0.1:8001 (Press CTRL+C to quit)")
    events = read("uvicorn", [STARTED, *SERVING, *running, *said(7, IN_USE), EXITED])
    assert [e.reason for e in events if isinstance(e, ServerEnd)] == ["exit_code"]


def test_the_words_of_an_earlier_run_do_not_explain_a_later_end() -> None:
    later = Line(
        20.0, "", "journal", "api.service", 1, "inv2",
        {"MESSAGE_ID": systemd.PROCESS_EXITED, "COMMAND": "ExecStart", "EXIT_CODE": "killed",
         "EXIT_STATUS": "9"},
    )  # fmt: skip
    events = read("uvicorn", [STARTED, *said(7, *TRACEBACK), EXITED, later])
    assert [e.reason for e in events if isinstance(e, ServerEnd)] == ["boot_failure", "sigkill"]


MASTER = [
    "[2026-11-21 08:00:00 +0000] [5] [INFO] Starting gunicorn 27.0.1",
    "[2026-11-21 08:00:00 +0000] [5] [INFO] Listening at: http://127.0.0.1:8000 (5)",
]
WORKER = "[2026-11-21 08:00:00 +0000] [6] [INFO] Booting worker with pid: 6"


@pytest.mark.parametrize(
    "forged",
    [
        "[2026-11-21 08:00:01 +0000] [5] [CRITICAL] WORKER TIMEOUT (pid:6)",
        "[2026-11-21 08:00:01 +0000] [6] [CRITICAL] WORKER TIMEOUT (pid:6)",
        "[2026-11-21 08:00:01 +0000] [5] [ERROR] Worker (pid:6) was sent SIGKILL! Perhaps out of",
        "[2026-11-21 08:00:01 +0000] [6] [ERROR] Worker (pid:6) exited with code 3.",
        "No module named 'slowapi'",
        "ModuleNotFoundError: No module named 'slowapi'",
    ],
)
def test_a_worker_does_not_speak_for_its_master(forged: str) -> None:
    lines = [STARTED, *said(5, *MASTER), *said(6, WORKER, forged)]
    assert read("gunicorn", lines) == []


def test_the_master_is_believed() -> None:
    timeout = "[2026-11-21 08:00:31 +0000] [5] [CRITICAL] WORKER TIMEOUT (pid:6)"
    killed = "[2026-11-21 08:00:32 +0000] [5] [ERROR] Worker (pid:6) was sent SIGKILL! Perhaps"
    lines = [STARTED, *said(5, *MASTER), *said(6, WORKER), *said(5, timeout, killed)]
    events = read("gunicorn", lines)
    assert [(e.pid, e.reason) for e in events if isinstance(e, WorkerEnd)] == [(6, "timeout")]


@pytest.mark.parametrize("server", SERVERS)
@given(st.lists(st.tuples(st.text(), st.one_of(st.none(), st.integers(1, 5)))))
def test_no_lines_break_it(server: str, lines: list[tuple[str, int | None]]) -> None:
    read(server, [Line(1.0, text, "x", "u", pid, "i") for text, pid in lines])


PIECES = [
    *TRACEBACK, *MASTER, WORKER, "Process SpawnProcess-1:", "INFO:     Child process [3] died",
    "INFO:     Started server process [3]", "INFO:     Application startup complete.",
    "[2026-11-21 08:00:31 +0000] [5] [CRITICAL] WORKER TIMEOUT (pid:6)",
    "[2026-11-21 08:00:31 +0000] [6] [INFO] Worker exiting (pid: 6)",
    "spawned uWSGI worker 1 (pid: 3, cores: 1)", "...The work of process 3 is done. Seeya!",
    "DAMN ! worker 1 (pid: 3) died, killed by signal 9 :( trying respawn ...",
    "[INFO] Spawning worker-1 with PID: 5", "[ERROR] Unexpected exit from worker-1",
    "[INFO] HUP signal received, gracefully respawning workers..", "[INFO] Stopped old worker-1",
    "[2026-11-21 08:00:00 +0000] [3] [INFO] Running on http://127.0.0.1:1 (CTRL + C to quit)",
]  # fmt: skip


@pytest.mark.parametrize("server", SERVERS)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([None, 3, 5, 6]))))
def test_in_any_order_reasons_stay_closed_and_a_pid_ends_once(
    server: str, lines: list[tuple[str, int | None]]
) -> None:
    events = read(server, [Line(1.0, text, "x", "u", pid, "i") for text, pid in lines])
    for event in events:
        if isinstance(event, WorkerEnd):
            assert event.reason in vocabulary.WORKER_END_REASONS
        if isinstance(event, ServerEnd):
            assert event.reason in vocabulary.SERVER_END_REASONS


def journal(reader: Dialect, pid: int, *texts: str) -> list[Event]:
    events: list[Event] = []
    for text in texts:
        events += reader.read(Line(1.0, text, "journal", "a.service", pid, "aa")) or ()
    return events


def test_only_the_parent_tells_of_a_dead_worker() -> None:
    reader = dialect("uvicorn")
    journal(reader, 10, "INFO:     Started parent process [10]")
    journal(reader, 11, "INFO:     Started server process [11]")
    assert journal(reader, 77, "INFO:     Child process [11] died") == []
    (end,) = journal(reader, 10, "INFO:     Child process [11] died")
    assert isinstance(end, WorkerEnd)
    assert end.pid == 11


def test_a_worker_that_never_said_a_word_is_not_believed_to_have_died() -> None:
    """The parent's own first line has scrolled away: anybody may have written this."""
    assert journal(dialect("uvicorn"), 77, "INFO:     Child process [1] died") == []


def test_a_lifespan_that_fails_at_an_import_names_the_module() -> None:
    (failure,) = journal(
        dialect("uvicorn"), 10,
        "INFO:     Started server process [10]",
        "INFO:     Waiting for application startup.",
        "ERROR:    Traceback (most recent call last):",
        '  File "/srv/a/starlette/routing.py", line 694, in lifespan',
        "    async with self.lifespan_context(app) as maybe_state:",
        '  File "/srv/a/main.py", line 7, in start',
        "    import slowapi",
        "ModuleNotFoundError: No module named 'slowapi'",
        "",
        "ERROR:    Application startup failed. Exiting.",
    )  # fmt: skip
    assert isinstance(failure, BootFailure)
    assert (failure.exception, failure.module) == ("ModuleNotFoundError", "slowapi")


def test_a_lifespan_that_fails_without_a_traceback_keeps_its_words() -> None:
    (failure,) = journal(
        dialect("uvicorn"), 10,
        "INFO:     Started server process [10]",
        "ERROR:    the database is away",
        "ERROR:    Application startup failed. Exiting.",
    )  # fmt: skip
    assert isinstance(failure, BootFailure)
    assert failure.message.startswith("the database is away")


def test_a_parent_is_remembered_after_its_first_line_has_scrolled_away() -> None:
    before = dialect("uvicorn")
    journal(before, 10, "INFO:     Started parent process [10]")
    for pid in range(100, 900):
        journal(before, pid, f"INFO:     Started server process [{pid}]")
    assert isinstance(before, Remembering)
    after = dialect("uvicorn")
    assert isinstance(after, Remembering)
    after.recall(json.loads(json.dumps(before.memory())))
    assert len(journal(after, 10, "INFO:     Child process [11] died")) == 1
    assert journal(after, 77, "INFO:     Child process [12] died") == []
