"""Which reading of the files is the one that was loaded."""

from __future__ import annotations

from badgateway.topology.nginx.loads import Generation
from badgateway.topology.proxies.loaded import Held, Reading, applied
from badgateway.topology.proxies.place import ProxyFound
from badgateway.topology.routes import Route


def reading(digest: str, changed: float, until: float) -> Reading:
    return Reading(digest, changed, (Route("*", ":80", f"{digest}:80"),), until)


def at(loaded_at: float, floor: float | None = None, master: int = 1) -> Generation:
    return Generation((master, 1), frozenset({(2, 2)}), loaded_at, floor or loaded_at)


def loaded(held: Held) -> str | None:
    return held.loaded.digest if held.loaded else None


def test_files_older_than_the_load_are_what_was_loaded() -> None:
    assert loaded(Held(at(100)).reads(reading("a", 50, 110))) == "a"


def test_files_changed_since_are_what_the_next_load_brings() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110)).reads(reading("b", 120, 121))
    assert loaded(held) == "a"
    assert loaded(held.loads(at(130)).reads(reading("b", 120, 131))) == "b"


def test_a_change_right_after_a_load_does_not_take_its_place() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110)).reads(reading("b", 120, 131))
    # b was there until 131 and then loaded at 130; c came later
    assert loaded(held.loads(at(130)).reads(reading("c", 132, 133))) == "b"


def test_a_load_between_two_readings_is_unknown() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110))
    # at 130 something was loaded, and by 140 the files are others: a, or one in between
    assert loaded(held.loads(at(130)).reads(reading("c", 140, 141))) is None


def test_what_was_edited_and_taken_back_around_a_load_is_unknown() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110))
    assert loaded(held.loads(at(130)).reads(reading("a", 131, 132))) is None


def test_a_touch_changes_nothing() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110)).reads(reading("a", 120, 121))
    assert loaded(held) == "a"


def test_files_changed_before_it_was_watched_leave_it_unknown() -> None:
    held = Held(at(200, 100)).reads(reading("a", 150, 210))
    assert loaded(held) is None
    assert loaded(Held(at(200, 100)).reads(reading("a", 50, 210))) == "a"
    found = applied(ProxyFound(on_disk=reading("a", 150, 210).routes, digest="a"), held)
    assert (found.loaded, found.loaded_digest, found.loaded_at) == (None, "", 200)
    assert found.routes == found.on_disk


def test_a_load_out_of_sight_is_known_where_only_one_thing_was_on_disk() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110))
    doubt = held.loads(at(130, 100))
    assert loaded(doubt.reads(reading("a", 50, 140))) == "a"
    assert loaded(doubt.reads(reading("b", 120, 140))) is None
    known = doubt.reads(reading("b", 120, 140)).loads(at(150)).reads(reading("b", 120, 151))
    assert loaded(known) == "b"


def test_another_master_has_loaded_anew() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110)).reads(reading("b", 120, 121))
    assert loaded(held.loads(at(130, master=9)).reads(reading("b", 120, 131))) == "b"


def test_what_is_loaded_is_shown_beside_what_is_on_disk() -> None:
    held = Held(at(100)).reads(reading("a", 50, 110)).reads(reading("b", 120, 121))
    found = applied(ProxyFound(on_disk=reading("b", 120, 121).routes, digest="b"), held)
    assert [route.upstream for route in found.routes] == ["a:80"]
    assert found.loaded_digest == "a"
    assert found.loaded_at == 100
