"""What systemd's signals say, on signals recorded from systemd 252 (tests/corpus/systemd)."""

import json
from collections import Counter
from pathlib import Path

import pytest

from badgateway.collectors.service_tracker import Exited, Known, ServiceTracker, Started

SIGNALS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "corpus/systemd/signals.jsonl")
    .read_text()
    .splitlines()
]


def replay(unit: str, tracker: ServiceTracker | None = None) -> Counter[tuple[str, str]]:
    tracker = tracker or ServiceTracker("boot", Known(boot="boot"))
    happened: Counter[tuple[str, str]] = Counter()
    for signal in SIGNALS:
        if signal["unit"] == unit:
            for event in tracker.change(signal["ch"]):
                happened[type(event).__name__, event.reason] += 1
    return happened


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        # restarted by systemd four times, then stopped by hand
        ("w-crash", {("Exited", "exit_code"): 4, ("Started", "exit_code"): 4,
                     ("Exited", "manual"): 1}),
        # five runs, four restarts, and one refused start, which systemd's own counter counts
        ("w-limit", {("Exited", "exit_code"): 5, ("Started", "exit_code"): 4,
                     ("Exited", "start_limit"): 1}),
        ("w-noexec", {("Exited", "exec_failed"): 5, ("Started", "exec_failed"): 4,
                      ("Exited", "start_limit"): 1}),
        ("w-okexit-always", {("Exited", "clean_exit"): 3, ("Started", "clean_exit"): 3,
                             ("Exited", "manual"): 1}),
        ("w-okexit-onfail", {("Exited", "clean_exit"): 1}),
        ("w-segv", {("Exited", "signal"): 1}),
        ("w-abrtcore", {("Exited", "core_dump"): 1}),
        ("w-watchdog", {("Exited", "watchdog"): 2, ("Started", "watchdog"): 2,
                        ("Exited", "manual"): 1}),
        ("w-badcwd", {("Exited", "exec_failed"): 1}),
        ("w-baduser", {("Exited", "exec_failed"): 1}),
        ("w-badenvfile", {("Exited", "resources"): 1}),
        ("w-starttimeout", {("Exited", "start_timeout"): 1}),
        ("w-stoptimeout", {("Exited", "stop_timeout"): 1}),
        ("w-runtimemax", {("Exited", "runtime_limit"): 1}),
    ],
)  # fmt: skip
def test_a_recorded_life_is_told_as_it_was(unit: str, expected: dict[tuple[str, str], int]) -> None:
    assert replay(f"{unit}.service") == expected


def running(invocation: str, restarts: int = 0, exited: int = 0) -> dict[str, object]:
    return {
        "ActiveState": "active", "SubState": "running", "Result": "success", "MainPID": 10,
        "NRestarts": restarts, "InvocationID": bytes.fromhex(invocation * 16),
        "ExecMainStartTimestamp": 1_000_000_000_000_000, "ExecMainExitTimestamp": exited,
    }  # fmt: skip


def test_the_first_sight_of_a_unit_is_no_start() -> None:
    assert ServiceTracker("boot").look(running("aa", restarts=5)) == []


def test_restarts_while_nobody_looked_are_counted_once_each() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=2))
    after = ServiceTracker("boot", before.known)
    starts = [e for e in after.look(running("bb", restarts=5)) if isinstance(e, Started)]
    assert [(e.automatic, e.missed) for e in starts] == [(True, True)] * 3


def test_a_manual_restart_while_nobody_looked_is_counted_with_those_after_it() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=7))
    after = ServiceTracker("boot", before.known)
    starts = [e for e in after.look(running("bb", restarts=2)) if isinstance(e, Started)]
    assert [e.reason for e in starts] == ["manual", "unknown", "unknown"]


def test_the_same_run_seen_again_is_nothing() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa"))
    assert ServiceTracker("boot", before.known).look(running("aa")) == []


def test_the_first_start_after_a_boot_is_the_boots() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=3))
    (start,) = ServiceTracker("another", before.known).look(running("bb"))
    assert start.reason == "host_boot"


def test_reset_failed_while_it_runs_is_no_start() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa", restarts=4))
    assert tracker.change({"NRestarts": 0}) == []


def test_reset_failed_while_it_waits_to_be_started_again_is_no_order() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa", restarts=4))
    tracker.change({"SubState": "auto-restart", "ActiveState": "activating", "NRestarts": 0})
    (start,) = tracker.change(running("bb", restarts=1))
    assert isinstance(start, Started)
    assert start.automatic


def test_an_order_while_it_waits_to_be_started_again_is_one() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa", restarts=4))
    tracker.change({"SubState": "auto-restart", "ActiveState": "activating"})
    (start,) = tracker.change(running("bb", restarts=0))
    assert isinstance(start, Started)
    assert start.reason == "manual"


def test_reset_failed_between_a_restart_that_is_due_and_its_start_is_no_order() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa", restarts=4))
    tracker.change({"SubState": "auto-restart", "ActiveState": "activating"})
    tracker.change({"SubState": "dead", "ActiveState": "inactive", "NRestarts": 5})
    tracker.change({"NRestarts": 0})
    (start,) = tracker.change(running("bb", restarts=0))
    assert isinstance(start, Started)
    assert start.automatic
    (start,) = tracker.change(running("cc", restarts=0))
    assert isinstance(start, Started)
    assert start.reason == "manual"


@pytest.mark.parametrize(("result", "at"), [("Condition", 7), ("Assert", 9)])
def test_a_check_that_fails_is_a_refused_start(result: str, at: int) -> None:
    stamps = {"ConditionTimestamp": 7, "AssertTimestamp": at, "InvocationID": b""}
    kept = {"ConditionResult": True, "AssertResult": True, f"{result}Result": False}
    if result == "Condition":
        stamps["AssertTimestamp"] = 0
    tracker = ServiceTracker("boot", Known(boot="boot"))
    (refused,) = tracker.change({**stamps, **kept})
    assert isinstance(refused, Exited)
    assert refused.reason == "condition"
    assert tracker.change({**stamps, **kept}) == []
    # and what was counted before the exporter was started anew is not counted again
    after = ServiceTracker("boot", tracker.known)
    assert after.look({**stamps, **kept}) == []


def test_a_start_that_a_dependency_kept_from_happening_is_refused() -> None:
    tracker = ServiceTracker("boot", Known(boot="boot"))
    tracker.change({"ActiveState": "inactive", "SubState": "dead"})
    assert tracker.job("", 1.0) == []
    (refused,) = tracker.job("dependency", 2.0)
    assert isinstance(refused, Exited)
    assert (refused.reason, refused.at) == ("dependency", 2.0)


def test_a_start_that_is_refused_for_the_limit_is_told_by_its_job_alone() -> None:
    tracker = ServiceTracker("boot")
    tracker.look({**running("aa"), "ActiveState": "failed", "SubState": "failed"})
    tracker.job("", 1.0)
    (refused,) = tracker.job("failed", 2.0)
    assert isinstance(refused, Exited)
    assert refused.reason == "start_limit"
    # a job that fails otherwise: its end was told
    tracker.job("", 3.0)
    ended = {"Result": "exit-code", "ExecMainExitTimestamp": 1_000_000_100_000_000}
    assert len(tracker.change(ended)) == 1
    assert tracker.job("failed", 4.0) == []


def test_a_process_killed_for_lack_of_memory_ends_a_unit_as_oom() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa"))
    ended = {
        "SubState": "stop-sigterm", "ActiveState": "deactivating", "Result": "oom-kill",
        "MainPID": 0, "ExecMainStatus": 0, "ExecMainExitTimestamp": 1_000_000_100_000_000,
    }  # fmt: skip
    # the server ended politely, as systemd asked it to
    assert tracker.change({"SubState": "stop-sigterm", "Result": "oom-kill"}) == []
    (exit_,) = tracker.change(ended)
    assert isinstance(exit_, Exited)
    assert exit_.reason == "oom"


def test_an_end_is_told_once_though_signals_repeat() -> None:
    tracker = ServiceTracker("boot")
    tracker.look(running("aa"))
    ended = {
        "MainPID": 0, "Result": "exit-code", "ExecMainStatus": 7, "ExecMainCode": 1,
        "ExecMainExitTimestamp": 1_000_000_100_000_000,
    }  # fmt: skip
    (exit_,) = tracker.change(ended)
    assert isinstance(exit_, Exited)
    assert (exit_.reason, exit_.status, exit_.at) == ("exit_code", 7, 1_000_000_100.0)
    assert tracker.change({"ActiveState": "failed", "SubState": "failed"}) == []
    assert tracker.change(ended) == []


def test_every_restart_while_nobody_looked_had_an_end_before_it() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=2))
    happened = ServiceTracker("boot", before.known).look(running("bb", restarts=5))
    assert [type(event).__name__ for event in happened] == ["Exited"] * 3 + ["Started"] * 3


def test_an_end_that_was_counted_is_not_inferred_from_the_start_after_it() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=2))
    before.change({"ExecMainExitTimestamp": 1_000_000_100_000_000, "Result": "exit-code"})
    happened = ServiceTracker("boot", before.known).look(running("bb", restarts=3))
    assert [type(event).__name__ for event in happened] == ["Started"]


def test_restarts_after_a_boot_are_counted_beside_it() -> None:
    before = ServiceTracker("boot")
    before.look(running("aa", restarts=3))
    happened = ServiceTracker("another", before.known).look(running("bb", restarts=2))
    starts = [event.reason for event in happened if isinstance(event, Started)]
    assert starts == ["host_boot", "unknown", "unknown"]


def test_a_unit_without_a_file_that_does_not_run_is_not_found() -> None:
    tracker = ServiceTracker("boot")
    tracker.look({**running("aa"), "LoadState": "not-found"})
    assert tracker.state.active == "active"
    tracker.change({"ActiveState": "inactive", "SubState": "dead"})
    assert (tracker.state.active, tracker.state.down) == ("not_found", True)


def test_a_unit_that_ended_while_nobody_looked_and_is_unloaded_has_ended_once() -> None:
    tracker = ServiceTracker("boot", Known("aa", 0, 0, "boot"))
    gone: dict[str, object] = {"ActiveState": "inactive", "SubState": "dead", "InvocationID": b""}
    (end,) = tracker.look(gone)
    assert isinstance(end, Exited)
    assert (end.reason, end.missed) == ("unknown", True)
    assert tracker.look(gone) == []
    again = ServiceTracker("boot", tracker.known)
    assert again.look(gone) == []
    assert [type(e).__name__ for e in again.look(running("bb"))] == ["Started"]
