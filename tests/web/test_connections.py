"""Which connection is given up when there are too many."""

from __future__ import annotations

import pytest

from badgateway.web.connections import Pool


class Fake:
    def __init__(self) -> None:
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def dropped(connections: list[Fake]) -> list[bool]:
    return [connection.dropped for connection in connections]


def test_who_never_asked_goes_first_then_who_has_been_idle_for_longest() -> None:
    pool = Pool(4)
    busy, old, young, stranger = connections = [Fake() for _ in range(4)]
    for connection in connections:
        assert pool.make_room()
        pool.enter(connection)
    pool.busy(busy)
    for connection in (young, old, young):
        pool.idle(connection)
    order = []
    for victim in (stranger, old, young):
        assert pool.drop_one()
        order.append(victim.dropped)
    assert order == [True, True, True]
    assert dropped(connections) == [False, True, True, True]
    assert not pool.drop_one()


def test_there_is_no_room_where_all_are_answered() -> None:
    pool = Pool(2)
    connections = [Fake(), Fake()]
    for connection in connections:
        pool.enter(connection)
        pool.busy(connection)
    assert not pool.make_room()
    assert dropped(connections) == [False, False]
    pool.leave(connections[0])
    assert pool.make_room()


def test_who_does_not_take_his_answer_gives_way_last() -> None:
    pool = Pool(3)
    deaf, kept, stranger = connections = [Fake() for _ in range(3)]
    for connection in connections:
        pool.enter(connection)
    pool.busy(deaf)
    pool.blocked(deaf)
    pool.idle(kept)
    order = []
    for victim in (stranger, kept, deaf):
        assert pool.drop_one()
        order.append(victim.dropped)
    assert order == [True, True, True]
    assert len(pool) == 0
    pool.idle(deaf)  # what is gone does not come back
    assert len(pool) == 0


def test_there_are_never_more_than_the_limit() -> None:
    pool = Pool(3)
    connections = [Fake() for _ in range(50)]
    for connection in connections:
        assert pool.make_room()
        pool.enter(connection)
        assert len(pool) <= 3
    assert dropped(connections) == [True] * 47 + [False] * 3


def test_when_the_host_gives_no_more_fewer_are_kept_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("badgateway.web.connections.time.monotonic", lambda: now)
    pool = Pool(100)
    assert not pool.exhausted()  # there is nothing to give back
    now += 100
    for _ in range(10):
        assert pool.make_room()
        pool.enter(Fake())
    assert pool.exhausted()
    fewer = len(pool)
    assert fewer < 10
    for _ in range(50):
        assert pool.make_room()
        pool.enter(Fake())
        assert len(pool) == fewer
    now += 100
    for _ in range(50):
        assert pool.make_room()
        pool.enter(Fake())
    assert len(pool) == fewer + 50
