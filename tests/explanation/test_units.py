"""What is told of units where only systemd, a shell or a container runtime speaks."""

from __future__ import annotations

import pytest

from tests.explanation.told import brief, told

FAILED = "api.service: Failed with result '{}'."
LIMIT = "api.service: Start request repeated too quickly."
OOM = "api.service: A process of this unit has been killed by the OOM killer."
EXITED = "api.service: Main process exited, code={}, status={}"


def journal(*texts: str, by: str = "systemd[1]") -> str:
    return "\n".join(f"Nov 21 08:40:01 vm {by}: {text}" for text in texts)


@pytest.mark.parametrize(
    ("lines", "reason", "at"),
    [
        ([EXITED.format("exited", "203/EXEC"), FAILED.format("exit-code")], "exec_failed", 1),
        ([EXITED.format("exited", "217/USER"), FAILED.format("exit-code")], "exec_failed", 1),
        ([EXITED.format("exited", "1/FAILURE"), FAILED.format("exit-code")], "exit_code", 1),
        ([EXITED.format("dumped", "11/SEGV"), FAILED.format("core-dump")], "segfault", 1),
        ([EXITED.format("killed", "6/ABRT"), FAILED.format("watchdog")], "signal", 1),
        ([EXITED.format("killed", "9/KILL"), FAILED.format("signal")], "sigkill", 1),
        ([EXITED.format("killed", "9/KILL"), FAILED.format("oom-kill")], "oom", 1),
        ([OOM, EXITED.format("killed", "9/KILL"), FAILED.format("oom-kill")], "oom", 2),
        ([OOM, FAILED.format("oom-kill")], "oom", 2),
        (["api.service: start operation timed out. Terminating.", FAILED.format("timeout")],
         "signal", 2),
        (["api.service: Failed to load environment files: No such file or directory",
          FAILED.format("resources")], "exec_failed", 2),
        (["Stopping api.service...", "api.service: Deactivated successfully."], "stop", 2),
        ([LIMIT, FAILED.format("exit-code"), "Failed to start api.service."], "exit_code", 2),
        ([LIMIT, FAILED.format("start-limit-hit")], "unknown", 2),
    ],
)  # fmt: skip
def test_systemd_alone_tells_why_a_unit_ended(lines: list[str], reason: str, at: int) -> None:
    assert brief(told(journal(*lines)), "line") == [("server_end", reason, at)]


def test_a_start_that_is_refused_is_no_further_end() -> None:
    run = ["Started api.service.", EXITED.format("exited", "203/EXEC"), FAILED.format("exit-code")]
    again = [LIMIT, FAILED.format("exit-code"), "Failed to start api.service."]
    found = told(journal(*run, *run, *again))
    assert brief(found, "line") == [
        ("server_end", "exec_failed", 2),
        ("server_end", "exec_failed", 5),
    ]


def test_an_older_systemd_is_read() -> None:
    said = journal("api.service: main process exited, code=exited, status=127/n/a", by="systemd")
    assert brief(told(said)) == [("server_end", "exec_failed")]


@pytest.mark.parametrize(
    "lines",
    [
        ["logrotate.service: Main process exited, code=exited, status=1/FAILURE"],
        ["nginx.service: Main process exited, code=killed, status=9/KILL"],
        ["report.service: Deactivated successfully."],  # a job that is done
        ["Dependency failed for api.service.", "api.service: Scheduled restart job."],
    ],
)
def test_what_is_no_applications_end_is_not_told(lines: list[str]) -> None:
    assert told(journal(*lines)) == []


def test_anothers_unit_does_not_end_the_server() -> None:
    line = "[2026-11-21 08:40:00 +0000] [70] [INFO] Starting gunicorn 23.0.0"
    begun = journal(line, by="gunicorn[70]")
    others = journal(
        "report.service: Deactivated successfully.",
        "logrotate.service: Main process exited, code=exited, status=1/FAILURE",
    )
    own = journal("shop.service: Main process exited, code=killed, status=9/KILL")
    assert told(f"{begun}\n{others}") == []
    assert brief(told(f"{begun}\n{others}\n{own}"), "line") == [("server_end", "sigkill", 4)]


@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh: 1: exec: gunicorn: not found",
        "web-1  | /entrypoint.sh: line 4: gunicorn: command not found",
        "env: ‘gunicorn’: No such file or directory",
        "exec /venv/bin/gunicorn: no such file or directory",
        "/venv/bin/python: No module named uvicorn",
        "Error response from daemon: failed to create task for container: runc create failed: "
        'exec: "uvicorn": executable file not found in $PATH: unknown',
        journal("/bin/sh: 1: gunicorn: not found", by="sh[7]"),
    ],
)
def test_a_server_that_is_not_there_could_not_be_executed(line: str) -> None:
    assert brief(told(line)) == [("server_end", "exec_failed")]


def test_a_shell_and_systemd_tell_of_one_end() -> None:
    shell = journal("/bin/sh: 1: gunicorn: not found", by="sh[7]")
    manager = journal(EXITED.format("exited", "127/n/a"), FAILED.format("exit-code"))
    assert brief(told(f"{shell}\n{manager}"), "line") == [("server_end", "exec_failed", 2)]


def test_what_a_server_that_runs_prints_of_a_missing_command_is_its_own_affair() -> None:
    begun = "web-1 | [2026-11-21 08:40:00 +0000] [70] [INFO] Starting gunicorn 23.0.0"
    assert told(f"{begun}\nweb-1 | sh: 1: uvicorn: not found") == []
    assert told("GET /?q=sh: gunicorn: not found") == []
