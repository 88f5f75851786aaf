"""Names looked up again and again: one answer may be a hiccup, two are a change."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from badgateway.sources import names
from badgateway.sources.names import Names, resolve
from badgateway.topology.destinations import Resolved

HERE = Resolved(("10.0.0.5",), True)
THERE = Resolved(("10.0.0.6",), True)
NOTHING = Resolved((), True)
SILENCE = Resolved()


def watched(monkeypatch: pytest.MonkeyPatch, answers: list[Resolved]) -> Callable[[], Names]:
    """Return what plays a list of answers to the name ``app`` and returns the keeper."""
    monkeypatch.setattr(names, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(names, "DOUBT_SECONDS", 0.0)
    monkeypatch.setattr(names, "resolve", lambda name: answers.pop(0))

    async def play() -> Names:
        kept = Names()
        kept.want(["app"])
        while answers:
            await kept._ask("app")
        return kept

    return lambda: asyncio.run(play())


def test_the_first_answer_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = watched(monkeypatch, [NOTHING])()
    assert kept.found["app"].is_nothing
    assert kept.changed.is_set()


def test_a_hiccup_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = watched(monkeypatch, [HERE, NOTHING, HERE, SILENCE, HERE])()
    assert kept.found["app"].addresses == HERE.addresses


def test_what_is_said_twice_holds_and_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = watched(monkeypatch, [HERE, THERE, THERE])()
    assert kept.found["app"].addresses == THERE.addresses
    assert kept.found["app"].since > 0


def test_addresses_given_in_turn_are_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Resolved(("10.0.0.5", "10.0.0.6"), True)
    kept = watched(monkeypatch, [HERE, both, both])()
    assert kept.found["app"].addresses == HERE.addresses


def test_a_resolver_that_does_not_answer_is_not_knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = watched(monkeypatch, [SILENCE, SILENCE])()
    assert not kept.found["app"].known
    assert not kept.found["app"].is_nothing


@pytest.mark.parametrize(
    ("number", "known"),
    [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False), (socket.EAI_FAIL, False)],
)
def test_only_a_resolvers_no_is_a_no(
    monkeypatch: pytest.MonkeyPatch, number: int, known: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "said")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert resolve("app") == Resolved(known=known)


def test_a_name_of_this_host_is_resolved() -> None:
    assert "127.0.0.1" in resolve("localhost").addresses


def test_a_name_that_no_resolver_would_take_is_not_known() -> None:
    assert resolve("x" * 300 + ".test").addresses == ()


def test_what_is_no_longer_wanted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = watched(monkeypatch, [HERE])()
    kept.want(["other"])
    assert kept.found == {}
