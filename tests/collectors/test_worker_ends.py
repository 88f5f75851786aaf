"""One worker's end is one event, whoever tells of it first, and whoever never does."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.collectors import workerends
from badgateway.collectors.workerends import WorkerEnds, reason_of
from badgateway.events import WorkerEnd
from badgateway.sources.proctree import Worker, clock, process, started

NOW = 1_800_000_000.0
MASTER = (3, 1)


@pytest.fixture(autouse=True)
def boot(monkeypatch: pytest.MonkeyPatch) -> None:
    # processes of these tests were started at their `start`, in seconds after NOW
    monkeypatch.setattr(workerends, "clock", lambda start: NOW + start)


class Place:
    def __init__(self, learnt: dict[str, object] | None = None) -> None:
        self.counted: list[str] = []
        self.ends = WorkerEnds(lambda b, s, reason: self.counted.append(reason), learnt)
        self.gone = False

    def told(self, reason: str, pid: int | None, at: float, counted: bool = True) -> None:
        self.ends.told("api", "gunicorn", WorkerEnd(NOW + at, "gunicorn", reason, pid), counted)

    def died(self, pid: int, at: float, status: int | None, start: int = 0, **how: bool) -> None:
        worker = Worker(pid, start, pid + 1000)
        self.ends.died("api", "gunicorn", worker, NOW + at, reason_of(status), master=MASTER, **how)

    def pass_time(self, monkeypatch: pytest.MonkeyPatch | None = None) -> list[str]:
        for ends in self.ends._ends.values():
            for end in ends:
                end.due = 0.0
        self.ends.tick(lambda master: self.gone and master == MASTER, settled=True)
        return self.counted


def test_a_log_line_and_a_death_are_one_end_in_either_order() -> None:
    for first_log in (True, False):
        place = Place()
        acts = [lambda p: p.told("timeout", 7, 10), lambda p: p.died(7, 11, 6)]
        for act in acts if first_log else reversed(acts):
            act(place)
        assert place.pass_time() == ["timeout"]


def test_a_worker_in_a_container_is_known_by_its_own_pid_too() -> None:
    place = Place()
    place.died(7, 11, 6)
    place.told("timeout", 1007, 10)
    assert place.pass_time() == ["timeout"]


def test_a_death_that_no_log_tells_of_is_counted_by_its_status() -> None:
    expected = {0: "unknown", 9: "sigkill", 11: "segfault", 139: "segfault", 6: "signal",
                15: "external_term", 7 << 8: "exit_code", 3 << 8: "boot_failure"}  # fmt: skip
    for status, reason in expected.items():
        place = Place()
        place.died(7, 11, status)
        assert place.counted == []
        assert place.pass_time() == [reason]


def test_a_plain_death_with_its_server_is_a_stop() -> None:
    place = Place()
    place.died(7, 11, 15)
    place.died(8, 11, 9)
    place.gone = True
    assert place.pass_time() == ["stop", "stop_timeout"]


def test_the_kernels_word_makes_a_kill_lack_of_memory() -> None:
    for order in itertools.permutations(range(3)):
        place = Place()
        acts = (
            lambda p: p.told("sigkill", 7, 10),
            lambda p: p.died(7, 10.1, 9),
            lambda p: p.ends.proof(NOW + 10, "oom", pid=7),
        )
        for number in order:
            acts[number](place)
        assert place.pass_time() == ["oom"], order


def test_a_containers_word_makes_a_kill_lack_of_memory_and_nothing_else() -> None:
    place = Place()
    place.ends.proof(NOW + 10, "oom", backend="api")
    place.ends.proof(NOW + 10, "oom", backend="shop")
    place.died(7, 10.1, 9)
    place.died(8, 10.1, 7 << 8)
    place.died(9, 30, 9)
    assert sorted(place.pass_time()) == ["exit_code", "oom", "sigkill"]


def test_a_number_used_again_is_another_worker() -> None:
    place = Place()
    place.told("timeout", 7, 10)
    place.died(7, 11, 6)
    place.died(7, 15, 9, start=12)
    assert sorted(place.pass_time()) == ["sigkill", "timeout"]


def test_a_late_line_does_not_count_what_was_counted() -> None:
    place = Place()
    place.died(7, 11, 9)
    assert place.pass_time() == ["sigkill"]
    place.told("timeout", 7, 10)
    assert place.pass_time() == ["sigkill"]
    assert [end.reason for end in place.ends.of("api")] == ["timeout"]


def test_a_worker_that_the_log_only_missed_is_the_one_the_table_saw() -> None:
    for first_log in (True, False):
        place = Place()
        acts = [lambda p: p.told("unknown", None, 11), lambda p: p.died(7, 10.5, 7 << 8)]
        for act in acts if first_log else reversed(acts):
            act(place)
        assert place.pass_time() == ["exit_code"], first_log


def test_a_worker_that_was_named_later_was_not_the_one_that_was_missed() -> None:
    acts = {
        "missed": lambda p: p.told("unknown", None, 11),
        "silent": lambda p: p.died(7, 10.5, 0),
        "left": lambda p: p.died(8, 10.4, 0),
        "named": lambda p: p.told("external_term", 8, 10.3),
    }
    for order in itertools.permutations(acts):
        place = Place()
        for number in order:
            acts[number](place)
        assert len(place.pass_time()) == 2, order


def test_lines_read_again_as_evidence_are_not_counted() -> None:
    place = Place()
    place.told("timeout", 7, 10, counted=False)
    place.died(7, 11, 6, missed=True)
    assert place.pass_time() == []
    assert [end.reason for end in place.ends.of("api")] == ["timeout"]


def test_what_is_held_when_the_exporter_is_killed_is_counted_by_the_next() -> None:
    monkey = time.time() - NOW
    place = Place()
    place.told("sigkill", 7, monkey)
    place.died(8, monkey, 9)
    assert place.counted == []
    assert Place(place.ends.memory()).pass_time() == ["sigkill", "sigkill"]
    assert place.pass_time() == ["sigkill", "sigkill"]
    assert Place(place.ends.memory()).pass_time() == []


@given(st.permutations([*((kind, pid) for kind in "ldp" for pid in (1, 2, 3))]), st.data())
def test_each_end_is_counted_once_whatever_comes_when(
    acts: list[tuple[str, int]], data: st.DataObject
) -> None:
    place = Place()
    told = {("l", 1), ("d", 1), ("d", 2), ("l", 3), ("d", 3), ("p", 3)}
    for kind, pid in acts:
        if (kind, pid) not in told:
            continue
        if kind == "l":
            place.told("sigkill" if pid == 3 else "timeout", pid, 10)
        elif kind == "d":
            place.died(pid, 10.5, 9)
        else:
            place.ends.proof(NOW + 10, "oom", pid=pid)
        if data.draw(st.booleans()) and pid != 3:
            place.pass_time()
    assert len(place.pass_time()) == 3
    assert {end.pid: end.reason for end in place.ends.of("api")}[1] == "timeout"


def test_a_process_is_known_by_when_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    own = process(os.getpid())
    assert own is not None
    assert (own.pid, own.inside) == (os.getpid(), os.getpid())
    assert 0 <= time.time() - clock(own.start) < 3600 * 24
    assert started(2**22 + 1) is None
