"""uvicorn's words about its workers, over its versions."""

from __future__ import annotations

from badgateway.dialects import dialect
from tests.dialects.speaking import ends, exited, from_file, said

PARENT = "INFO:     Started parent process [5]"
READY = ("INFO:     Waiting for application startup.", "INFO:     Application startup complete.")
STOPPING = "INFO:     Stopping parent process [5]"


def born(pid: int) -> tuple[str, ...]:
    return (f"INFO:     Started server process [{pid}]", *READY)


def finished(pid: int) -> tuple[str, ...]:
    return ("INFO:     Shutting down", f"INFO:     Finished server process [{pid}]")


def test_a_worker_whose_startup_failed_ends_once() -> None:
    failed = ("INFO:     Started server process [6]", "INFO:     Waiting for application startup.",
              "ERROR:    Application startup failed. Exiting.")  # fmt: skip
    died = "INFO:     Child process [6] died"
    assert ends(from_file("uvicorn", PARENT, *failed, died)) == [("worker", "boot_failure", 6)]
    assert ends(from_file("uvicorn", PARENT, *failed)) == [("worker", "boot_failure", None)]
    waited = "INFO:     Waiting for child process [6]"
    found = from_file("uvicorn", PARENT, *failed, waited, died)
    assert ends(found) == [("worker", "boot_failure", 6)]


def test_the_limit_is_the_reason_of_the_worker_that_finishes_next() -> None:
    limit = "WARNING:  Maximum request limit of 5 exceeded. Terminating process."
    lines = (PARENT, *born(6), *born(7), limit, *finished(6), "INFO:     Child process [6] died",
             "INFO:     Child process [7] died")  # fmt: skip
    assert ends(from_file("uvicorn", *lines)) == [
        ("worker", "max_requests", 6), ("worker", "unknown", 7),
    ]  # fmt: skip
    assert ends(from_file("uvicorn", *born(6), limit, *finished(6))) == [
        ("worker", "max_requests", 6)
    ]


def test_signals_to_the_parent_say_why_workers_are_terminated() -> None:
    for signal, reason in (("SIGTTOU, decreasing", "scale_down"), ("SIGHUP, restarting", "reload"),
                           ("SIGTERM, exiting", "stop")):  # fmt: skip
        lines = (PARENT, *born(6), f"INFO:     Received {signal} the number of processes.",
                 "INFO:     Terminated child process [6]")  # fmt: skip
        assert ends(from_file("uvicorn", *lines)) == [("worker", reason, 6)]


def test_a_worker_that_is_missed_when_its_parent_stops_was_gone() -> None:
    lines = (PARENT, *born(6), *born(7), *finished(7), STOPPING)
    assert ends(from_file("uvicorn", *lines)) == [
        ("worker", "unknown", 6), ("worker", "stop", 7), ("server", "stop", 5),
    ]  # fmt: skip


def test_a_worker_that_left_while_its_parent_stayed_is_not_told_as_stopped() -> None:
    access = 'INFO:     127.0.0.1:4000 - "GET / HTTP/1.1" 200 OK'
    lines = (PARENT, *born(6), *born(7), *finished(6), access, *finished(7), STOPPING)
    assert ends(from_file("uvicorn", *lines)) == [
        ("worker", "unknown", 6), ("worker", "stop", 7), ("server", "stop", 5),
    ]  # fmt: skip


def test_in_the_journal_workers_that_finish_are_not_missed() -> None:
    reader = dialect("uvicorn")
    events = said(reader, 5, PARENT)
    for pid in (6, 7):
        events += said(reader, pid, *born(pid))
    for pid in (6, 7):
        events += said(reader, pid, *finished(pid))
    events += said(reader, 5, "INFO:     Shutting down", STOPPING)
    assert ends(events) == []
    assert ends(exited(reader, "exited", "0")) == [("server", "stop", 5)]


def test_a_worker_does_not_say_that_another_one_finished() -> None:
    reader = dialect("uvicorn")
    said(reader, 5, PARENT)
    said(reader, 6, *born(6))
    said(reader, 7, *born(7), "INFO:     Finished server process [6]", STOPPING)
    assert ends(said(reader, 5, STOPPING)) == [("worker", "unknown", 6), ("worker", "unknown", 7)]
