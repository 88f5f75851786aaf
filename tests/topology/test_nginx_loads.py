"""Loads of a configuration told from worker processes: reloads, crashes, and what is neither."""

from __future__ import annotations

from badgateway.topology.nginx.loads import (
    End,
    Generation,
    Identity,
    NginxWorker,
    Seen,
    begin,
    follow,
    misses,
)

MASTER: Identity = (100, 1)
KILLED = 9


def worker(pid: int, started: float, leaving: bool = False) -> NginxWorker:
    return NginxWorker((pid, pid), started, leaving)


def seen(*workers: NginxWorker, master: Identity = MASTER, started: float = 1000.0) -> Seen:
    return Seen(master, started, workers)


def generation(*pids: int, loaded_at: float = 1000.0) -> Generation:
    return Generation(MASTER, frozenset((pid, pid) for pid in pids), loaded_at, loaded_at)


def test_workers_as_old_as_their_master_have_what_it_started_with() -> None:
    known = begin(seen(worker(101, 1000.1), worker(102, 1000.2)))
    assert known == Generation(MASTER, frozenset({(101, 101), (102, 102)}), 1000.0, 1000.0)
    assert known.certain


def test_younger_workers_leave_open_when_it_was_loaded() -> None:
    known = begin(seen(worker(101, 5000.0), worker(102, 4000.0)))
    assert (known.loaded_at, known.floor, known.certain) == (4000.0, 1000.0, False)


def test_old_workers_that_shut_down_beside_new_ones_are_a_reload() -> None:
    known = generation(101, 102)
    now = seen(worker(101, 1000, leaving=True), worker(102, 1000, leaving=True),
               worker(103, 2000.0), worker(104, 2000.1))  # fmt: skip
    after = follow(known, now, {})
    assert after == Generation(MASTER, frozenset({(103, 103), (104, 104)}), 2000.0, 2000.0)


def test_old_workers_that_ended_well_after_new_ones_began_are_a_reload() -> None:
    known, now = generation(101), seen(worker(103, 2000.0))
    assert follow(known, now, {(101, 101): End(2000.1, 0)}).loaded_at == 2000.0
    assert follow(known, now, {(101, 101): End(2000.1, None)}).loaded_at == 2000.0


def test_new_workers_before_the_old_were_told_are_no_reload_yet() -> None:
    known = generation(101)
    now = seen(worker(101, 1000.0), worker(103, 2000.0))
    assert follow(known, now, {}) == known
    later = seen(worker(101, 1000.0, leaving=True), worker(103, 2000.0))
    assert follow(known, later, {}).loaded_at == 2000.0


def test_all_workers_killed_and_born_again_have_loaded_nothing() -> None:
    known = generation(101, 102)
    ends = {(101, 101): End(2000.0, KILLED), (102, 102): End(2000.0, KILLED)}
    after = follow(known, seen(worker(103, 2000.0), worker(104, 2000.01)), ends)
    assert after.loaded_at == 1000.0
    assert after.workers == {(103, 103), (104, 104)}


def test_a_worker_that_somebody_asked_to_end_is_no_reload() -> None:
    known = generation(101)
    after = follow(known, seen(worker(103, 2000.01)), {(101, 101): End(2000.0, 0)})
    assert after.loaded_at == 1000.0
    busy = follow(known, seen(worker(101, 1000.0, leaving=True)), {})
    assert busy == known


def test_one_after_the_other_crashing_is_no_reload() -> None:
    known, ends = generation(101, 102), {(101, 101): End(2000.0, KILLED)}
    known = follow(known, seen(worker(102, 1000.0), worker(103, 2000.0)), ends)
    assert known.workers == {(102, 102), (103, 103)}
    ends[102, 102] = End(3000.0, 11)
    known = follow(known, seen(worker(103, 2000.0), worker(104, 3000.0)), ends)
    assert known.workers == {(103, 103), (104, 104)}
    assert known.loaded_at == 1000.0


def test_a_reload_just_after_a_crash_is_one() -> None:
    known, ends = generation(101, 102), {(101, 101): End(2000.0, KILLED)}
    # the successor of the crashed one, and the first two of the reload
    now = seen(worker(102, 1000.0), worker(103, 2000.0), worker(104, 2001.0), worker(105, 2001.0))
    known = follow(known, now, ends)
    assert known.workers == {(102, 102), (103, 103)}
    ends |= {(102, 102): End(2001.1, 0), (103, 103): End(2001.1, 0)}
    known = follow(known, seen(worker(104, 2001.0), worker(105, 2001.0)), ends)
    assert known.loaded_at == 2001.0
    assert known.certain


def test_a_failed_reload_replaces_nobody() -> None:
    known = generation(101)
    assert follow(known, seen(worker(101, 1000.0)), {}) == known


def test_ends_out_of_sight_leave_it_open() -> None:
    after = follow(generation(101), seen(worker(103, 2000.0)), {})
    assert (after.loaded_at, after.floor, after.certain) == (2000.0, 1000.0, False)


def test_a_survivor_shows_that_nothing_was_loaded_out_of_sight() -> None:
    after = follow(generation(101, 102), seen(worker(102, 1000.0), worker(103, 2000.0)), {})
    assert after.loaded_at == 1000.0
    assert after.certain


def test_a_new_master_has_loaded() -> None:
    now = seen(worker(201, 3000.1), master=(200, 2), started=3000.0)
    after = follow(generation(101), now, {})
    assert (after.master, after.loaded_at, after.certain) == ((200, 2), 3000.0, True)


def test_without_workers_nothing_shows_a_reload() -> None:
    after = begin(Seen(MASTER, 1000.0, (), alone=True))
    assert not after.certain
    # it had only not got so far
    assert begin(seen(worker(101, 1000.1))) == follow(after, seen(worker(101, 1000.1)), {})


def test_whose_end_must_be_told_first() -> None:
    known = generation(101, 102)
    assert misses(known, seen(worker(102, 1000.0, leaving=True))) == {(101, 101)}
    assert misses(known, seen(master=(200, 2))) == frozenset()
