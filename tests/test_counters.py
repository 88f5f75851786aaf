"""Counting, showing only what is durable, and the zero before the first value."""

import pytest

from badgateway import catalogue
from badgateway.counters import ZERO_SECONDS, Counters, Snapshot

LABELS = ("api", "edge", "edge", "502")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shown(counters: Counters, name: str, consume: bool = True) -> dict[tuple[str, ...], float]:
    return {n: dict(series) for n, series in counters.exposed(consume)}.get(name, {})


def commit(counters: Counters) -> None:
    counters.publish(counters.snapshot())


def test_nothing_is_shown_before_it_is_durable() -> None:
    counters = Counters()
    counters.declare("probe_responses_total", LABELS)
    commit(counters)
    shown(counters, "probe_responses_total")
    counters.add("probe_responses_total", LABELS)
    snapshot = counters.snapshot()
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    counters.publish(snapshot)
    assert shown(counters, "probe_responses_total") == {LABELS: 1.0}


def test_a_series_born_by_an_event_is_zero_for_one_scrape() -> None:
    counters = Counters(Clock())
    counters.add("probe_responses_total", LABELS, 7)
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 7.0}


def test_a_declared_series_that_counts_before_any_scrape_is_zero_for_one_scrape() -> None:
    counters = Counters(Clock())
    counters.declare("probe_responses_total", LABELS)
    counters.add("probe_responses_total", LABELS)
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 1.0}


def test_a_value_is_shown_only_once_it_is_durable_that_its_zero_was() -> None:
    counters = Counters(Clock())
    counters.add("probe_responses_total", LABELS, 7)
    commit(counters)
    saved = counters.snapshot()
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    after_a_kill = Counters(Clock())
    after_a_kill.restore(saved)
    assert shown(after_a_kill, "probe_responses_total") == {LABELS: 0.0}
    commit(after_a_kill)
    assert shown(after_a_kill, "probe_responses_total") == {LABELS: 7.0}


def test_a_value_that_was_shown_is_never_zero_again() -> None:
    counters = Counters(Clock())
    counters.add("probe_responses_total", LABELS, 7)
    commit(counters)
    shown(counters, "probe_responses_total")
    assert counters.dirty
    saved = counters.snapshot()
    counters.publish(saved)
    assert shown(counters, "probe_responses_total") == {LABELS: 7.0}
    after_a_kill = Counters(Clock())
    after_a_kill.restore(saved)
    assert shown(after_a_kill, "probe_responses_total") == {LABELS: 7.0}


def test_a_look_that_is_no_scrape_does_not_use_up_the_zero() -> None:
    counters = Counters(Clock())
    counters.add("probe_responses_total", LABELS)
    commit(counters)
    assert shown(counters, "probe_responses_total", consume=False) == {LABELS: 0.0}
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 1.0}


def test_the_zero_ends_after_twenty_seconds_without_a_scrape() -> None:
    clock = Clock()
    counters = Counters(clock)
    counters.add("probe_responses_total", LABELS)
    commit(counters)
    clock.now += ZERO_SECONDS + 0.1
    assert counters.dirty
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 1.0}


def test_a_scrape_before_it_is_durable_does_not_use_up_the_zero() -> None:
    counters = Counters(Clock())
    counters.add("probe_responses_total", LABELS)
    assert shown(counters, "probe_responses_total") == {}
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}


def test_restored_counters_are_shown_at_once_and_go_on() -> None:
    first = Counters()
    first.declare("probe_responses_total", LABELS)
    commit(first)
    shown(first, "probe_responses_total")
    first.add("probe_responses_total", LABELS, 5)
    second = Counters()
    second.restore(first.snapshot())
    assert shown(second, "probe_responses_total") == {LABELS: 5.0}
    second.add("probe_responses_total", LABELS)
    commit(second)
    assert shown(second, "probe_responses_total") == {LABELS: 6.0}


def test_a_metric_of_a_later_version_is_dropped_on_restore() -> None:
    counters = Counters()
    counters.restore(Snapshot({"of_the_future_total": {("x",): 1.0}}))
    assert shown(counters, "of_the_future_total") == {}


def test_series_past_the_limit_fold_into_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SERIES_LIMIT", 3)
    counters = Counters()
    for number in range(10):
        counters.add("upstream_failures_total", ("b", "p", f"10.0.0.{number}:80", "reset"))
    commit(counters)
    shown(counters, "upstream_failures_total")
    commit(counters)
    series = shown(counters, "upstream_failures_total")
    assert len(series) == 4
    assert series["b", "p", "other", "reset"] == 7.0
    assert counters.folded() == {"upstream_failures_total": 3}


def test_a_value_outside_its_vocabulary_is_refused() -> None:
    counters = Counters()
    with pytest.raises(AssertionError, match="made_up"):
        counters.add("upstream_failures_total", ("b", "p", "u", "made_up"))


def test_forgotten_series_vanish_with_the_next_commit() -> None:
    counters = Counters()
    counters.add("probe_responses_total", LABELS)
    counters.add("probe_responses_total", ("other", *LABELS[1:]))
    counters.forget("probe_responses_total", LABELS)
    commit(counters)
    assert set(shown(counters, "probe_responses_total")) == {("other", *LABELS[1:])}


def test_a_series_born_while_hidden_is_shown_as_zero_when_it_is_shown_again() -> None:
    clock = Clock()
    counters = Counters(clock)
    key = ("probe_responses_total", LABELS)
    counters.add("probe_responses_total", LABELS, 7)
    commit(counters)
    counters.hide(frozenset({key}))
    clock.now += 10 * ZERO_SECONDS
    assert not counters.dirty
    commit(counters)
    assert shown(counters, "probe_responses_total") == {}
    counters.hide(frozenset())
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 0.0}
    commit(counters)
    assert shown(counters, "probe_responses_total") == {LABELS: 7.0}


def test_series_that_another_version_had_with_other_labels_are_left_out() -> None:
    counters = Counters()
    counters.restore(Snapshot({"probe_responses_total": {("api", "502"): 3.0, LABELS: 4.0}}))
    assert counters.series() == [("probe_responses_total", LABELS)]
