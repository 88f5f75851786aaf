"""Whether a unit was stopped or started only because another was."""

from __future__ import annotations

from badgateway.collectors.propagation import Propagation, bonds

OTHERS = ("whole.service",)


def test_what_a_unit_follows_is_read_from_its_properties() -> None:
    properties = {
        "PartOf": ["whole.service"], "BindsTo": ["anchor.service", "dev-sda.device"],
        "Requires": ["sysinit.target", "system.slice", "-.mount", "db.service"], "Wants": ["x"],
    }  # fmt: skip
    assert bonds(properties) == {"whole.service", "anchor.service", "db.service"}


def test_jobs_of_one_moment_are_one_order() -> None:
    known = Propagation()
    known.job("part.service", 100.0, followed=True)
    known.job("whole.service", 100.01, followed=False)
    assert known.led("part.service", OTHERS, 101.0)
    # much later it is stopped by itself
    known.job("part.service", 300.0, followed=True)
    assert not known.led("part.service", OTHERS, 300.2)


def test_a_unit_that_is_started_along_leads_nothing() -> None:
    known = Propagation()
    known.change("whole.service", {"ActiveState": "inactive"}, 50.0)
    known.job("part.service", 100.0, followed=True)
    known.job("whole.service", 100.01, followed=False)
    assert not known.led("part.service", OTHERS, 101.0)


def test_the_end_of_what_it_is_bound_to_leads_it() -> None:
    known = Propagation()
    known.change("whole.service", {"ActiveState": "failed"}, 100.0)
    known.job("part.service", 100.1, followed=True)
    assert known.led("part.service", OTHERS, 100.4)
    known.job("part.service", 200.0, followed=True)
    assert not known.led("part.service", OTHERS, 200.1)


def test_without_a_job_nothing_was_ordered() -> None:
    known = Propagation()
    known.job("whole.service", 100.0, followed=False)
    assert not known.led("part.service", OTHERS, 100.1)


def test_a_host_with_very_many_units_is_not_remembered_for_ever() -> None:
    known = Propagation()
    for number in range(10_000):
        known.job(f"{number}.service", float(number), followed=False)
    known.job("part.service", 10_000.0, followed=True)
    known.job("whole.service", 10_000.0, followed=False)
    assert known.led("part.service", OTHERS, 10_000.1)
