"""gunicorn's words: what wins when several lines tell of one end, and what silence tells."""

from __future__ import annotations

import json

import pytest

from badgateway.dialects import Remembering, dialect, systemd
from tests.dialects.speaking import ends, exited, from_file, manager, said


def at(second: int, pid: int, text: str, level: str = "INFO") -> str:
    return f"[2026-11-21 08:00:{second:02} +0000] [{pid}] [{level}] {text}"


def begun(version: str = "23.0.0", pid: int = 5, workers: tuple[int, ...] = (6, 7)) -> list[str]:
    return [
        at(0, pid, f"Starting gunicorn {version}"),
        at(0, pid, f"Listening at: http://127.0.0.1:8000 ({pid})"),
        *(at(0, worker, f"Booting worker with pid: {worker}") for worker in workers),
    ]


TIMEOUT = at(31, 5, "WORKER TIMEOUT (pid:6)", "CRITICAL")
SIGKILL = at(32, 5, "Worker (pid:6) was sent SIGKILL! Perhaps out of memory?", "ERROR")
GOOD_BYE = at(20, 6, "Worker exiting (pid: 6)")
TERM = at(40, 5, "Handling signal: term")
DOWN = at(40, 5, "Shutting down: Master")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([TIMEOUT, SIGKILL], "timeout"),
        ([TIMEOUT, at(32, 5, "Worker (pid:6) was sent SIGABRT!", "ERROR")], "timeout"),
        ([TIMEOUT, GOOD_BYE, at(32, 5, "Worker (pid:6) exited with code 1", "ERROR")], "timeout"),
        ([SIGKILL], "sigkill"),
        ([at(9, 5, "Worker with pid 6 was terminated due to signal 9", "WARNING")], "sigkill"),
        ([at(9, 5, "Worker (pid:6) was sent code 139!", "ERROR")], "segfault"),
        ([at(9, 5, "Worker (pid:6) was sent SIGBUS!", "WARNING")], "segfault"),
        ([at(9, 5, "Worker (pid:6) was sent SIGTERM!", "ERROR")], "external_term"),
        ([at(9, 5, "Worker (pid:6) was sent SIGUSR1!", "ERROR")], "signal"),
        ([at(9, 5, "Worker (pid:6) exited with code 7", "ERROR"),
          at(9, 5, "Worker (pid:6) exited with code 7.", "ERROR")], "exit_code"),
        ([at(9, 5, "Worker (pid:6) exited with code 3", "ERROR")], "boot_failure"),
        ([at(9, 6, "Autorestarting worker after current request."), GOOD_BYE], "max_requests"),
        ([at(9, 6, "Maximum request limit of 5 exceeded. Terminating process."),
          at(9, 5, "Worker (pid:6) was sent SIGTERM!")], "max_requests"),
        ([at(20, 6, "Worker reloading: /srv/a.py modified"), GOOD_BYE], "reload"),
        ([GOOD_BYE, at(20, 5, "Worker (pid:6) exited with code 5", "ERROR")], "exit_code"),
        ([GOOD_BYE, at(20, 5, "Worker (pid:6) exited with code 1", "ERROR")], "unknown"),
        ([GOOD_BYE], "external_term"),
        ([GOOD_BYE, at(24, 7, "something of the application")], "external_term"),
        ([at(1, 6, "Started server process [6]"), GOOD_BYE], "unknown"),
        ([at(20, 6, "Parent changed, shutting down: <Worker 6>"), GOOD_BYE], "orphaned"),
    ],
)  # fmt: skip
def test_one_worker_ends_once_with_the_reason_that_wins(lines: list[str], reason: str) -> None:
    found = [end for end in ends(from_file("gunicorn", *begun(), *lines)) if end[0] == "worker"]
    assert found == [("worker", reason, 6)]


def test_a_version_that_logs_no_exit_codes_does_not_tell_who_asked() -> None:
    assert ends(from_file("gunicorn", *begun("20.1.0"), GOOD_BYE)) == [("worker", "unknown", 6)]


@pytest.mark.parametrize(
    "lines",
    [
        [TERM, at(40, 6, "Worker exiting (pid: 6)"), at(40, 7, "Worker exiting (pid: 7)"), DOWN],
        [TERM, at(40, 5, "Worker (pid:6) was sent SIGTERM!", "ERROR"),
         at(40, 5, "Worker (pid:7) was sent SIGTERM!", "ERROR"), DOWN],
        # systemd and docker ask all processes at once, and a worker may be the first to say so
        [at(40, 6, "Worker exiting (pid: 6)"), TERM, at(40, 7, "Worker exiting (pid: 7)"), DOWN],
    ],
)  # fmt: skip
def test_a_stop_is_a_stop(lines: list[str]) -> None:
    assert ends(from_file("gunicorn", *begun(), *lines)) == [
        ("worker", "stop", 6), ("worker", "stop", 7), ("server", "stop", 5),
    ]  # fmt: skip


def test_a_worker_killed_in_a_stop_is_no_lack_of_memory() -> None:
    killed = at(50, 5, "Worker (pid:6) was sent SIGKILL! Perhaps out of memory?", "ERROR")
    assert ends(from_file("gunicorn", *begun(), TERM, killed)) == [
        ("worker", "stop_timeout", 6), ("server", "stop", 5),
    ]  # fmt: skip


def test_a_worker_that_is_waited_for_in_vain_is_told() -> None:
    lines = [TERM, at(40, 6, "Worker exiting (pid: 6)"), at(50, 5, "Shutting down: Master")]
    assert ends(from_file("gunicorn", *begun(), *lines)) == [
        ("worker", "stop", 6), ("worker", "stop_timeout", 7), ("server", "stop", 5),
    ]  # fmt: skip


def test_a_worker_that_is_missed_in_a_stop_was_gone() -> None:
    lines = [TERM, at(40, 6, "Worker exiting (pid: 6)"), DOWN]
    assert ends(from_file("gunicorn", *begun(), *lines)) == [
        ("worker", "stop", 6), ("worker", "unknown", 7), ("server", "stop", 5),
    ]  # fmt: skip


def test_a_birth_that_nothing_announced_tells_of_an_end() -> None:
    only = begun(workers=(6,))
    again = at(30, 8, "Booting worker with pid: 8")
    assert ends(from_file("gunicorn", *only, again)) == [("worker", "unknown", 6)]
    assert ends(from_file("gunicorn", *begun(), again)) == [("worker", "unknown", None)]


@pytest.mark.parametrize(
    "before",
    [
        [at(30, 5, "Handling signal: ttin")],
        [at(30, 5, "Handling signal: hup"), at(30, 5, "Hang up: Master")],
        [at(30, 5, "Handling signal: usr2"), at(30, 9, "Starting gunicorn 23.0.0")],
        [SIGKILL.replace(":32 ", ":29 ")],
    ],
)
def test_a_birth_that_was_asked_for_tells_of_none(before: list[str]) -> None:
    again = at(30, 8, "Booting worker with pid: 8")
    found = ends(from_file("gunicorn", *begun(), *before, again))
    assert ("worker", "unknown", None) not in found


def test_an_upgrade_replaces_the_old_workers() -> None:
    lines = [
        at(20, 5, "Handling signal: usr2"), *begun(pid=9, workers=(10, 11)),
        at(30, 5, "Handling signal: quit"), at(30, 6, "Worker exiting (pid: 6)"),
        at(30, 7, "Worker exiting (pid: 7)"), at(30, 5, "Shutting down: Master"),
        at(31, 9, "Master has been promoted."),
    ]  # fmt: skip
    assert ends(from_file("gunicorn", *begun(), *lines)) == [
        ("worker", "reload", 6), ("worker", "reload", 7), ("server", "upgrade", 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "refused",
    [
        "gunicorn: error: unrecognized arguments: --keepalive",
        "Failed to read config file: /srv/gunicorn.conf.py",
        "Error: '/srv/none.py' doesn't exist",
        "Error: class uri 'nosuch.workers.Thing' invalid or not found: ",
    ],
)
def test_a_command_line_that_is_refused_is_told(refused: str) -> None:
    assert [end[:2] for end in ends(from_file("gunicorn", refused))] == [("server", "usage")]
    reader = dialect("gunicorn")
    said(reader, 5, *begun()[:2])
    said(reader, 6, begun()[2])
    assert ends(said(reader, 6, refused)) == []
    assert ends(exited(reader, "exited", "1")) == [("server", "exit_code", 5)]


def test_systemds_word_of_the_oom_killer_names_the_reason_of_a_sigkill() -> None:
    reader = dialect("gunicorn")
    said(reader, 5, *begun()[:2], at=10.0)
    said(reader, 6, begun()[2], at=10.0)
    manager(reader, systemd.OOM, at=19.9)
    assert ends(said(reader, 5, SIGKILL, at=20.0)) == [("worker", "oom", 6)]
    said(reader, 5, TERM, DOWN, at=21.0)
    failed = manager(reader, systemd.FAILED, at=22.0, UNIT_RESULT="oom-kill")
    assert ends(failed) == [("server", "oom", 5)]


FORGED = [
    TIMEOUT.replace("pid:6", "pid:1"), TIMEOUT.replace("pid:6", "pid:5"),
    TIMEOUT.replace("pid:6", "pid:77"), SIGKILL.replace("pid:6", "pid:77"),
]  # fmt: skip


@pytest.mark.parametrize("line", FORGED)
def test_in_a_file_a_forged_line_must_name_a_worker(line: str) -> None:
    assert ends(from_file("gunicorn", *begun(), line)) == []


def test_who_is_a_worker_is_remembered() -> None:
    before = dialect("gunicorn")
    said(before, 5, *begun()[:2])
    said(before, 6, begun()[2])
    said(before, 7, begun()[3])
    after = dialect("gunicorn")
    assert isinstance(before, Remembering)
    assert isinstance(after, Remembering)
    after.recall(json.loads(json.dumps(before.memory())))
    forged = TIMEOUT.replace("[5]", "[7]")
    assert ends(said(after, 7, forged)) == []
    assert ends(said(after, 5, TIMEOUT)) == [("worker", "timeout", 6)]


def test_a_worker_that_was_replaced_before_a_stop_was_no_part_of_it() -> None:
    gone = [at(40, pid, f"Worker exiting (pid: {pid})") for pid in (6, 7, 8)]
    lines = [gone[0], at(40, 8, "Booting worker with pid: 8"), TERM, *gone[1:], DOWN]
    assert ends(from_file("gunicorn", *begun(), *lines)) == [
        ("worker", "external_term", 6), ("worker", "stop", 7), ("worker", "stop", 8),
        ("server", "stop", 5),
    ]  # fmt: skip


def test_a_log_of_warnings_does_not_tell_who_asked_a_worker_to_end() -> None:
    sigterm = at(40, 5, "Worker (pid:6) was sent SIGTERM!", "ERROR")
    assert ends(from_file("gunicorn", sigterm)) == [("worker", "unknown", 6)]
    assert ends(from_file("gunicorn", at(1, 9, "said"), sigterm)) == [
        ("worker", "external_term", 6)
    ]


def test_a_stop_of_which_only_the_end_is_seen_is_one() -> None:
    lines = [at(40, 5, "Worker (pid:6) was sent SIGTERM!", "ERROR"), DOWN]
    assert ends(from_file("gunicorn", *lines)) == [("worker", "stop", 6), ("server", "stop", 5)]


def test_a_failed_start_of_which_only_the_end_is_seen_is_one() -> None:
    reason = at(40, 5, "Reason: Worker failed to boot.")
    assert ends(from_file("gunicorn", at(40, 6, "Worker exiting (pid: 6)"), DOWN, reason)) == [
        ("worker", "boot_failure", 6), ("server", "boot_failure", 5),
    ]  # fmt: skip


def test_a_master_that_was_asked_to_end_and_says_no_more_has_ended() -> None:
    killed = from_file("gunicorn", *begun(), TERM)
    assert ends(killed) == [("server", "stop", 5)]
    assert ends(from_file("gunicorn", *begun(), TERM, *begun())) == [("server", "stop", 5)]
