"""`badgateway explain` as people and scripts run it."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from badgateway.cli import main

PROGRAM = (sys.executable, "-m", "badgateway", "explain")
REFUSED = (
    "2026/11/21 08:35:14 [error] 9001#9001: *12 connect() failed (111: Connection refused) while "
    "connecting to upstream, client: 127.0.0.1, server: app.test, request: "
    '"GET /a?token=hunter2 HTTP/1.1", upstream: "http://127.0.0.1:18101/a?token=hunter2", '
    'host: "app.test"'
)
ACCESS = (
    '127.0.0.1 - - [21/Nov/2026:08:35:14 +0000] "GET /a?token=hunter2 HTTP/1.1" 502 157 "-" "curl"'
)
TIMEOUT = "[2026-11-21 08:20:37 +0000] [20661] [CRITICAL] WORKER TIMEOUT (pid:20664)"


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], input=given)


def records(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def error_log(tmp_path: Path) -> Path:
    path = tmp_path / "error.log"
    path.write_text(REFUSED + "\n")
    return path


def test_each_event_is_one_json_object_on_one_line(error_log: Path, tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    access.write_text(ACCESS + "\n")
    done = run("--json", str(error_log), str(access))
    assert done.exit_code == 0
    assert records(done) == [
        {
            "type": "upstream_failure", "reason": "connect_refused", "upstream": "127.0.0.1:18101",
            "status": 502, "at": moment("2026-11-21T08:35:14"), "file": str(error_log), "line": 1,
            "dialect": "nginx-error", "site": "app.test", "request": "GET /a",
            "detail": "connect() failed (111: Connection refused) while connecting to upstream",
        }
    ]  # fmt: skip


def moment(text: str) -> str:
    """Return a local time with this machine's offset."""
    return datetime.fromisoformat(text).astimezone().isoformat()


def test_a_workers_end_has_its_pid_and_a_clients_abort_its_place(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{TIMEOUT}\n{ACCESS.replace(' 502 ', ' 499 ')}\n")
    worker, abort = records(run("--json", str(log)))
    assert (worker["type"], worker["reason"], worker["pid"]) == ("worker_end", "timeout", 20664)
    assert (abort["type"], abort["line"], "reason" in abort) == ("client_abort", 2, False)


def test_a_person_sees_a_table_an_example_and_what_to_look_at(error_log: Path) -> None:
    text = run(str(error_log)).output
    assert "connect_refused" in text
    assert f"{error_log}:1" in text.replace("\n", "")
    assert "nothing listens at the upstream address" in text
    assert "ss -ltnp" in text
    assert "Lines: 1 nginx-error." in text


def test_no_failure_is_said_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("hello\n")
    done = run(str(log))
    assert done.exit_code == 0
    assert "No failure is told." in done.output
    assert "1 not understood" in done.output
    assert run("--json", str(log)).stdout == ""


def test_what_the_logs_cannot_tell_is_said_with_the_setting_that_would(
    error_log: Path, tmp_path: Path
) -> None:
    access = tmp_path / "access.log"
    access.write_text(ACCESS.replace("/a?", "/b?") + "\n")
    alone = " ".join(run(str(access)).output.split())
    assert "give the proxy's error log too" in alone
    assert "badgateway explain --advice nginx" in alone
    both = " ".join(run(str(access), str(error_log)).output.split())
    assert "the application answered so itself, or the proxy was told to" in both


@pytest.mark.parametrize("options", [("--json",), ()])
def test_nothing_secret_is_shown(options: tuple[str, ...], tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = "ModuleNotFoundError: No module named 'x' password=hunter2"
    log.write_text(f"{REFUSED}\n{ACCESS}\n{ACCESS.replace('/a?', '/b?')}\n{trace}\n")
    done = run(*options, str(log))
    assert "hunter2" not in done.output
    assert "connect_refused" in done.output


def test_terminal_controls_in_a_log_do_not_reach_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(ACCESS.replace("/a?", "/\x1b]0;owned\x07\x9b[bold]a?") + "\n")
    for options in ((), ("--json",)):
        output = run(*options, str(log)).output
        assert not {"\x1b", "\x07", "\x9b"} & set(output)


def test_standard_input_is_read_where_it_is_named_or_a_pipe() -> None:
    for arguments in (("--json", "-"), ("--json",)):
        (failure,) = records(run(*arguments, given=REFUSED))
        assert (failure["file"], failure["line"]) == ("-", 1)


def test_compressed_files_are_known_by_their_content(tmp_path: Path) -> None:
    log = tmp_path / "error.log.1"
    log.write_bytes(gzip.compress(f"{REFUSED}\n".encode()))
    assert len(records(run("--json", str(log)))) == 1
    assert len(records(run("--json", "-", given=log.read_bytes()))) == 1


def test_windows_encodings_are_read(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(REFUSED.encode("utf-16"))
    assert len(records(run("--json", str(log)))) == 1


def test_an_unreadable_file_is_named_and_the_others_are_read(
    error_log: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(f"{REFUSED}\n".encode() * 3)[:-12])
    missing = tmp_path / "missing.log"
    done = run("--json", str(missing), str(tmp_path), str(broken), str(error_log))
    assert done.exit_code == 2
    assert str(error_log) in {r["file"] for r in records(done)}
    for path, reason in (
        (missing, "No such file or directory"), (tmp_path, "is a directory"), (broken, "line ")
    ):  # fmt: skip
        assert f"badgateway: {path}: {reason}" in done.stderr


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    done = run("--format", "nginxx", "-", given="")
    assert done.exit_code == 2
    assert "nginx-error" in done.stderr


def test_since_leaves_out_what_is_older(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    now = datetime.now()
    for_minutes = {
        minutes: REFUSED.replace(
            "2026/11/21 08:35:14", (now - timedelta(minutes=minutes)).strftime("%Y/%m/%d %H:%M:%S")
        ).replace("*12", f"*{minutes}")
        for minutes in (300, 90, 5)
    }
    log.write_text("\n".join(for_minutes.values()))
    assert [len(records(run("--json", "--since", s, str(log)))) for s in ("10m", "2h")] == [1, 2]
    earlier = (now - timedelta(minutes=100)).strftime("%Y-%m-%dT%H:%M")
    assert len(records(run("--json", "--since", earlier, str(log)))) == 2
    done = run("--since", "yesterday", str(log))
    assert done.exit_code == 2
    assert "2026-11-21T08:00" in done.stderr


# -- as a process of its own


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_following_tells_what_is_appended_over_rotation_and_truncation(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_text(REFUSED + "\n")
    with started("--json", "--follow", str(log)) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["line"] == 1
        with log.open("a") as file:
            file.write(REFUSED.replace("*12", "*13") + "\n")
        assert json.loads(process.stdout.readline())["line"] == 2
        log.rename(tmp_path / "error.log.1")
        log.write_text(REFUSED.replace("*12", "*14") + "\n")
        assert json.loads(process.stdout.readline())["line"] == 1
        os.truncate(log, 0)
        time.sleep(0.5)
        log.write_text(REFUSED.replace("*12", "*15").replace("08:35", "08:36")[:-1] + '"\n')
        assert "08:36" in json.loads(process.stdout.readline())["at"]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_following_joins_the_access_line_that_comes_after(tmp_path: Path) -> None:
    error, access = tmp_path / "error.log", tmp_path / "access.log"
    error.write_text("")
    access.write_text("")
    with started("--json", "--follow", str(error), str(access)) as process:
        time.sleep(0.7)
        error.write_text(REFUSED + "\n")
        time.sleep(0.5)
        access.write_text(ACCESS + "\n")
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        assert (found["reason"], found["status"]) == ("connect_refused", 502)


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    log.write_text("".join(REFUSED.replace("*12", f"*{n}") + "\n" for n in range(3000)))
    with started("--json", str(log)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(20)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stdout = None


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with started("--json", str(pipe)) as process:
        with pipe.open("w") as writer:
            writer.write(REFUSED + "\n")
            writer.flush()
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_colours_are_for_a_terminal_only(error_log: Path) -> None:
    piped = subprocess.run([*PROGRAM, str(error_log)], capture_output=True, timeout=30)
    assert b"\x1b" not in piped.stdout
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    try:
        subprocess.run(
            [*PROGRAM, str(error_log)], stdout=theirs, timeout=30, check=True, env=environment
        )
        assert b"\x1b[" in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)


def test_progress_is_shown_of_large_files_and_to_a_person_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes((b"x" * 60_000 + b"\n") * 360)
    assert subprocess.run([*PROGRAM, str(log)], capture_output=True, timeout=30).stderr == b""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    try:
        done = subprocess.run(
            [*PROGRAM, "--json", str(log)], stdout=subprocess.PIPE, stderr=theirs, timeout=30,
            env=environment,
        )  # fmt: skip
        assert done.stdout == b""
        assert b"reading" in os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)


def test_memory_does_not_grow_with_a_files_length(tmp_path: Path) -> None:
    def peak(lines: int) -> int:
        log = tmp_path / "access.log"
        with log.open("w") as file:
            for number in range(lines):
                second = number // 20
                file.write(
                    ACCESS.replace("08:35:14", f"{second // 3600:02}:{second // 60 % 60:02}:"
                                   f"{second % 60:02}").replace(" 502 ", " 200 ") + "\n"
                )  # fmt: skip
        code = (
            "import resource, subprocess, sys\n"
            "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", code, *PROGRAM, "--json", str(log)]
        return int(subprocess.run(command, capture_output=True, timeout=90, check=True).stdout)

    assert peak(60_000) - peak(15_000) < 4096  # KiB
