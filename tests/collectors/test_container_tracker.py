"""What Docker's events and descriptions say happened; the events are recordings of 20.10."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from badgateway.collectors.container_ends import Life
from badgateway.collectors.container_happenings import (
    Amended,
    Happened,
    Missed,
    OutOfMemory,
    Told,
)
from badgateway.collectors.container_tracker import ContainerTracker
from badgateway.collectors.service_tracker import Exited, Started

RECORDED = Path(__file__).parents[1] / "corpus/docker/events-20.10.jsonl"
SECOND = 10**9
ZERO = "0001-01-01T00:00:00Z"


def events(name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    ids = {e["Actor"]["ID"] for e in found if e["Actor"]["Attributes"]["name"] == name}
    return [event for event in found if event["Actor"]["ID"] in ids]


def reasons(told: list[Told]) -> list[str]:
    """Ends and starts as (what reason), later corrections applied."""
    found: list[tuple[str, str]] = []
    for one in told:
        if isinstance(one, Happened):
            found.append(("exit" if isinstance(one.event, Exited) else "start", one.event.reason))
        elif isinstance(one, Amended):
            last = max(n for n, (what, _) in enumerate(found) if what == one.what)
            found[last] = (one.what, one.reason)
    return [" ".join(pair) for pair in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t-exit7", ["exit exit_code"]),
        ("t-exit0", ["exit clean_exit"]),
        ("t-kill", ["exit killed"]),
        ("t-stop", ["exit stop_timeout"]),
        ("t-restart", ["exit stop_timeout", "start manual"]),
        ("t-noexec", ["exit exec_failed"]),
        ("t-oom", ["exit oom"]),
        ("t-oomchild", ["exit clean_exit"]),
        ("t-rename", []),
        ("t-pause", []),
        ("t-health", []),
    ],
)
def test_recorded_events_give_each_end_its_reason(name: str, expected: list[str]) -> None:
    tracker = ContainerTracker("boot")
    told = [one for event in events(name) for one in tracker.event(event)]
    assert reasons(told) == expected


def test_events_told_twice_count_once() -> None:
    tracker = ContainerTracker("boot")
    for event in events("t-loop"):
        tracker.event(event)
    assert [one for event in events("t-loop") for one in tracker.event(event)] == []


def test_a_child_killed_for_memory_is_told_though_its_container_lives() -> None:
    tracker = ContainerTracker("boot")
    told = [one for event in events("t-oomchild") for one in tracker.event(event)]
    assert [one.unit for one in told if isinstance(one, OutOfMemory)] == ["shop/oomchild"]


def test_restarts_by_policy_have_the_reason_of_the_end_before() -> None:
    tracker = ContainerTracker("boot")
    told = [one for event in events("t-onfail") for one in tracker.event(event)]
    assert reasons(told) == ["exit exit_code", "start exit_code"] * 3 + ["exit exit_code"]
    starts = [one.event for one in told if isinstance(one, Happened)]
    assert all(start.automatic for start in starts if isinstance(start, Started))


def test_a_container_created_anew_is_the_same_service() -> None:
    tracker = ContainerTracker("boot")
    told = [one for event in events("t-web") for one in tracker.event(event)]
    assert "start recreated" in reasons(told)
    assert {one.unit for one in told if isinstance(one, Happened)} == {"shop/web"}


def stamp(nanosecond: int) -> str:
    seconds, rest = divmod(nanosecond, SECOND)
    minutes, seconds = divmod(seconds, 60)
    return f"1970-01-01T00:{minutes:02d}:{seconds:02d}.{rest:09d}Z" if nanosecond else ZERO


def described(
    started: float, ended: float = 0, status: str = "running", code: int = 0, restarts: int = 0,
    identifier: str = "a", policy: str = "always", retries: int = 0,
) -> dict[str, Any]:  # fmt: skip
    return {
        "Id": identifier,
        "Name": "/web",
        "RestartCount": restarts,
        "State": {
            "Status": status, "ExitCode": code, "OOMKilled": False,
            "StartedAt": stamp(int(started * SECOND)), "FinishedAt": stamp(int(ended * SECOND)),
        },
        "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": retries}},
        "Config": {"Labels": {}},
    }  # fmt: skip


def event(action: str, at: float, identifier: str = "a", **attributes: str) -> dict[str, Any]:
    attributes = {"name": "web", **attributes}
    return {
        "Action": action, "timeNano": int(at * SECOND),
        "Actor": {"ID": identifier, "Attributes": attributes},
    }  # fmt: skip


def test_what_is_there_at_first_is_no_restart() -> None:
    tracker = ContainerTracker("boot")
    assert tracker.look(described(10, 5)) == []


def test_a_start_and_its_description_are_one_in_either_order() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.event(event("die", 20, exitCode="3"))
    told += tracker.look(described(20.5, 19.9))
    told += tracker.event(event("start", 20.6))
    assert reasons(told) == ["exit exit_code", "start exit_code"]


def test_events_that_come_later_than_the_description_of_what_followed_count_nothing() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.look(described(30, 20, restarts=1))
    told += tracker.event(event("die", 20.1, exitCode="4"))
    told += tracker.event(event("start", 30.1))
    assert reasons(told) == ["exit exit_code", "start unknown"]
    assert reasons(tracker.event(event("die", 40, exitCode="0"))) == ["exit clean_exit"]


def test_a_start_and_its_end_described_before_their_events_are_counted_once() -> None:
    tracker = ContainerTracker("boot")
    given: dict[str, Any] = {"restarts": 1, "policy": "on-failure", "retries": 1}
    tracker.look(described(10, policy="on-failure", retries=1))
    told = tracker.event(event("die", 20, exitCode="3"))
    told += tracker.look(described(30, 31, "exited", 3, **given))
    assert reasons(told) == [
        "exit exit_code", "start exit_code", "exit exit_code", "exit start_limit",
    ]  # fmt: skip
    late = tracker.event(event("start", 30.1)) + tracker.event(event("die", 31.1, exitCode="3"))
    late += tracker.look(described(30, 31, "exited", 3, **given))
    assert [one for one in late if not isinstance(one, Amended)] == []


def test_lives_between_those_described_are_counted_when_they_are_told() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.look(described(50, 40, restarts=2))
    for action, at in (("die", 20), ("start", 30), ("die", 40.1), ("start", 50.1)):
        told += tracker.event(event(action, at, exitCode="3"))
    assert sorted(reason.split()[0] for reason in reasons(told)) == ["exit"] * 2 + ["start"] * 2


def test_an_end_and_its_description_are_one_in_either_order() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.look(described(10, 19.9, "exited", 3))
    told += tracker.event(event("die", 20, exitCode="3"))
    assert reasons(told) == ["exit exit_code"]
    told = tracker.event(event("start", 30))
    assert tracker.look(described(29.9, 19.9)) == []
    told += tracker.event(event("die", 40, exitCode="0"))
    assert tracker.look(described(29.9, 39.9, "exited")) == []
    assert reasons(told) == ["start exit_code", "exit clean_exit"]


def test_a_stale_description_says_nothing_new() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    tracker.event(event("die", 20, exitCode="1"))
    tracker.event(event("start", 21))
    assert tracker.look(described(10, 19.9, "restarting", 1, restarts=1)) == []


def test_more_restarts_than_were_seen_are_a_gap() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    assert Missed("web") not in tracker.look(described(20, 19, restarts=1))
    assert Missed("web") in tracker.look(described(90, 89, restarts=5))


def test_a_policy_that_gives_up_is_told_once() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10, policy="on-failure", retries=2))
    tracker.event(event("die", 20, exitCode="1"))
    given_up = described(10, 19.9, "exited", 1, 2, policy="on-failure", retries=2)
    assert reasons(tracker.look(given_up)) == ["exit start_limit"]
    assert tracker.look(given_up) == []
    assert reasons(tracker.event(event("start", 60))) == ["start manual"]


def test_a_start_after_somebody_stopped_it_is_manual() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.event(event("kill", 20, signal="15"))
    told += tracker.event(event("die", 20.1, exitCode="0"))
    told += tracker.event(event("stop", 20.2))
    told += tracker.event(event("start", 30))
    assert reasons(told) == ["exit manual", "start manual"]


def test_a_harmless_signal_does_not_explain_an_end() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    tracker.event(event("kill", 20, signal="1"))
    assert reasons(tracker.event(event("die", 20.1, exitCode="1"))) == ["exit exit_code"]


def test_the_first_start_after_the_host_booted_is_no_crash() -> None:
    before = ContainerTracker("boot 1")
    before.look(described(10))
    tracker = ContainerTracker("boot 2")
    tracker.recall(before.lives, before.slots)
    assert reasons(tracker.look(described(100, 50))) == ["start host_boot"]


def test_a_daemon_that_came_back_has_restarted_its_containers() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    tracker.daemon_returned(100 * SECOND)
    told = tracker.event(event("die", 99, exitCode="137")) + tracker.event(event("start", 100))
    assert reasons(told) == ["exit daemon_restart", "start daemon_restart"]
    told = tracker.event(event("die", 200, exitCode="1")) + tracker.event(event("start", 201))
    assert reasons(told) == ["exit exit_code", "start exit_code"]


def test_what_ends_after_its_daemon_came_back_is_not_the_daemons_doing() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10, policy="no"))
    tracker.daemon_returned(100 * SECOND)
    tracker.look(described(10, policy="no"))
    assert reasons(tracker.event(event("die", 102, exitCode="137"))) == ["exit signal"]


def test_a_start_no_policy_asks_for_is_manual_also_after_the_daemon_came_back() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10, policy="no"))
    tracker.daemon_returned(100 * SECOND)
    told = tracker.look(described(10, 99, "exited", 137, policy="no"))
    told += tracker.event(event("start", 105))
    assert reasons(told) == ["exit daemon_restart", "start manual"]


def test_a_container_replaced_in_the_absence_ended_and_was_created_anew() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    told = tracker.look(described(50, identifier="b")) + tracker.look_for_absent(["b"])
    assert reasons(told) == ["start recreated", "exit recreated"]
    assert set(tracker.lives) == {"b"}


def test_another_replica_is_no_restart() -> None:
    tracker = ContainerTracker("boot")
    compose = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
    for number in ("1", "2"):
        document = described(10, identifier=number)
        document["Config"]["Labels"] = {**compose, "com.docker.compose.container-number": number}
        assert tracker.look(document) == []
    assert {life.unit for life in tracker.lives.values()} == {"shop/web"}


def test_a_renamed_container_goes_on_under_its_new_name() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    tracker.event(event("rename", 20, name="api", oldName="/web"))
    (told,) = tracker.event(event("die", 30, exitCode="1"))
    assert isinstance(told, Happened)
    assert told.unit == "api"
    assert tracker.slots == {"api 1": "a"}


def test_a_life_survives_being_saved() -> None:
    tracker = ContainerTracker("boot")
    tracker.look(described(10))
    tracker.event(event("kill", 20, signal="15"))
    saved = json.loads(json.dumps({i: dataclasses.asdict(x) for i, x in tracker.lives.items()}))
    again = ContainerTracker("boot")
    again.recall(msgspec.convert(saved, dict[str, Life]), tracker.slots)
    assert reasons(again.event(event("die", 20.1, exitCode="143"))) == ["exit killed"]
