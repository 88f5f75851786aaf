"""One death, one event: servers', the kernel's and systemd's lines about the same end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.explanation.told import brief, told

JOURNAL = (Path(__file__).parents[1] / "corpus" / "systemd" / "oom.txt").read_text()


def test_a_recorded_journal_tells_each_end_once_and_why() -> None:
    """Debian 12, three units with OOMPolicy stop, continue and kill: what was done to them."""
    assert brief(told(JOURNAL), "pid") == [
        ("worker_end", "oom", 274), ("worker_end", "external_term", 273),
        ("worker_end", "stop", 290), ("server_end", "oom", 246),
        ("worker_end", "stop", 313), ("worker_end", "stop", 314), ("server_end", "stop", 297),
        ("worker_end", "oom", 338), ("worker_end", "stop", 341), ("worker_end", "stop", 353),
        ("server_end", "stop", 323), ("worker_end", "oom", 401), ("worker_end", "oom", 400),
        ("server_end", "oom", 385), ("worker_end", "stop", 431), ("worker_end", "stop", 432),
        ("server_end", "stop", 418),
    ]  # fmt: skip


STARTED = """\
Nov 21 08:00:00 vm gunicorn[5]: [2026-11-21 08:00:00 +0000] [5] [INFO] Starting gunicorn 23.0.0
Nov 21 08:00:00 vm gunicorn[6]: [2026-11-21 08:00:00 +0000] [6] [INFO] Booting worker with pid: 6"""
SIGKILL = (
    "Nov 21 08:00:31 vm gunicorn[5]: [2026-11-21 08:00:31 +0000] [5] [ERROR] Worker (pid:6) was "
    "sent SIGKILL! Perhaps out of memory?"
)
TIMEOUT = (
    "Nov 21 08:00:30 vm gunicorn[5]: [2026-11-21 08:00:30 +0000] [5] [CRITICAL] WORKER TIMEOUT "
    "(pid:6)"
)
KILLED = "Memory cgroup out of memory: Killed process {} ({}) total-vm:1kB, anon-rss:1kB, file-rss"
KERNEL = "Nov 21 08:00:31 vm kernel: " + KILLED.format(6, "gunicorn")


def text(*lines: str) -> str:
    return "\n".join(lines)


def test_the_kernels_line_gives_the_reason_wherever_it_stands() -> None:
    for lines in ((STARTED, KERNEL, SIGKILL), (STARTED, SIGKILL, KERNEL)):
        (end,) = told(text(*lines))
        assert (end["reason"], end["pid"], end["server"]) == ("oom", 6, "gunicorn")
        assert end["dialect"] == "kernel"
    (end,) = told(text(STARTED, SIGKILL), text(KERNEL))
    assert (end["reason"], end["file"]) == ("oom", "1")


def test_a_timeout_stays_a_timeout() -> None:
    found = told(text(STARTED, TIMEOUT, KERNEL, SIGKILL))
    assert brief(found, "pid") == [("worker_end", "timeout", 6)]


def test_another_process_or_another_day_is_another_end() -> None:
    other = KERNEL.replace("process 6", "process 9")
    assert brief(told(text(STARTED, SIGKILL, other)), "pid") == [
        ("worker_end", "sigkill", 6), ("worker_end", "oom", 9),
    ]  # fmt: skip
    later = KERNEL.replace("08:00:31", "09:00:31")
    assert brief(told(text(STARTED, SIGKILL, later)), "pid") == [
        ("worker_end", "sigkill", 6), ("worker_end", "oom", 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "server"),
    [("gunicorn", "gunicorn"), ("gunicorn: work", "gunicorn"), ("uwsgi", "uwsgi"),
     ("mysqld", None), ("python3", None)],
)  # fmt: skip
def test_the_kernel_alone_names_a_worker_only_by_a_servers_name(
    name: str, server: str | None
) -> None:
    for prefix in ("Nov 21 08:00:31 vm kernel: ", "[  122.297601] "):
        found = told(prefix + KILLED.format(9, name))
        assert [(r["server"], r["reason"], r["pid"]) for r in found] == (
            [(server, "oom", 9)] if server else []
        )


def test_a_python_process_that_a_server_lost_is_told_with_the_kernels_reason() -> None:
    uvicorn = (
        "INFO:     Started parent process [5]\nINFO:     Started server process [9]\n"
        "INFO:     Application startup complete.\nINFO:     Child process [9] died"
    )
    assert brief(told(uvicorn, KILLED.format(9, "python3")), "pid", "server") == [
        ("worker_end", "oom", 9, "uvicorn")
    ]
    uwsgi = (
        "spawned uWSGI worker 1 (pid: 9, cores: 1)\n"
        "DAMN ! worker 1 (pid: 9) died :( trying respawn ..."
    )
    fault = "uwsgi[9]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[7f+1]"
    assert brief(told(uwsgi, fault), "pid") == [("worker_end", "segfault", 9)]


def test_what_a_container_prints_is_not_the_kernels_word() -> None:
    for prefix in ("web-1  | ", "[pod/web/app] ", "Nov 21 08:00:31 vm app[6]: "):
        assert told(prefix + KILLED.format(6, "gunicorn")) == []


# -- as people have them

PLAIN = [
    "[2026-11-21 08:20:30 +0000] [1] [INFO] Starting gunicorn 20.1.0",
    "[2026-11-21 08:20:30 +0000] [1] [INFO] Listening at: http://0.0.0.0:8000 (1)",
    "[2026-11-21 08:20:30 +0000] [8] [INFO] Booting worker with pid: 8",
    "[2026-11-21 08:21:37 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:8)",
    "[2026-11-21 08:21:38 +0000] [1] [WARNING] Worker with pid 8 was terminated due to signal 9",
    "[2026-11-21 08:21:38 +0000] [9] [INFO] Booting worker with pid: 9",
]
UWSGI = [
    "spawned uWSGI master process (pid: 1)", "spawned uWSGI worker 1 (pid: 7, cores: 1)",
    "DAMN ! worker 1 (pid: 7) died, killed by signal 11 :( trying respawn ...",
    "Respawned uWSGI worker 1 (new pid: 9)",
]  # fmt: skip
ONCE = [("worker_end", "timeout", 8)]


def test_the_newest_line_may_come_first() -> None:
    assert brief(told(text(*reversed(PLAIN))), "pid") == ONCE


@pytest.mark.parametrize(
    "prefix",
    ["web_1  | ", "Nov 21 08:21:40 vm gunicorn[99]: ", "2026-11-21T08:21:40.1Z stderr F ",
     "Nov 21 08:21:40 vm dockerd[7]: web-1 | ", "> "],
)  # fmt: skip
def test_prefixes_change_nothing(prefix: str) -> None:
    assert brief(told(text(*(prefix + line for line in PLAIN))), "pid") == ONCE


def test_two_servers_in_one_stream_are_told_apart() -> None:
    """As `docker compose logs` mixes them: each line belongs to who wrote it."""
    api = ["api-1   | " + line for line in PLAIN]
    old = ["old-1   | " + line for line in UWSGI]
    mixed = [line for pair in zip(api, old, strict=False) for line in pair] + api[len(old) :]
    assert sorted(brief(told(text(*mixed)), "pid", "server")) == [
        ("worker_end", "segfault", 7, "uwsgi"), ("worker_end", "timeout", 8, "gunicorn"),
    ]  # fmt: skip


def test_supervisords_lines_stand_in_between() -> None:
    between = [
        "2026-11-21 08:20:29,101 INFO spawned: 'api' with pid 1",
        *PLAIN[:4],
        "2026-11-21 08:21:37,900 INFO reaped unknown pid 8 (terminated by SIGKILL)",
        *PLAIN[4:],
        "2026-11-21 08:21:39,001 INFO success: api entered RUNNING state, process has stayed up",
    ]
    assert brief(told(text(*between)), "pid") == ONCE


def test_a_logging_frameworks_prefix_is_taken_off() -> None:
    line = "2026-11-21 08:21:37,120 gunicorn.error CRITICAL WORKER TIMEOUT (pid:8)"
    assert brief(told(line), "pid") == ONCE
    line = "app: gunicorn WARNING Worker with pid 8 was terminated due to signal 9"
    assert brief(told(line), "pid") == [("worker_end", "sigkill", 8)]
