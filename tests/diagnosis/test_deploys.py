"""When a backend that fails is only being deployed or restarted, and when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.announcing import Announcement
from badgateway.collectors.records import Happening
from badgateway.diagnosis import rules
from badgateway.diagnosis.deploys import DISK_SECONDS, START_SECONDS, STOP_SECONDS
from badgateway.diagnosis.evidence import Evidence
from badgateway.events import WorkerEnd
from tests.diagnosis.builders import (
    BACKEND,
    LOOPING,
    NOW,
    REPORT,
    STOPPED,
    UP,
    WITHOUT_SLOWAPI,
    boot_failure,
    broken,
    healthy,
    probe,
    restarts,
)

ANNOUNCED = Announcement("api", NOW - 20, NOW + 100, "deploy")
REFUSED = (probe("edge", 3), probe("origin", 3, "connect_refused", 0))


def loading(ago: float, **changes: object) -> Evidence:
    """Restarted by somebody ``ago`` seconds before, and not listening yet."""
    evidence = healthy(
        probes=REFUSED,
        listening=False,
        service=replace(UP, started=NOW - ago),
        happenings=(
            Happening(NOW - ago - 0.1, "exit", "manual"), Happening(NOW - ago, "start", "manual"),
        ),
    )  # fmt: skip
    return replace(evidence, **changes)  # type: ignore[arg-type]


def stopped(ago: float, **changes: object) -> Evidence:
    evidence = healthy(
        probes=REFUSED,
        listening=False,
        service=replace(STOPPED, exited=NOW - ago, changed=NOW - ago),
        happenings=(Happening(NOW - ago, "exit", "manual"),),
    )
    return replace(evidence, **changes)  # type: ignore[arg-type]


def cause(evidence: Evidence) -> str:
    return rules.diagnose(evidence).cause


def test_what_was_just_restarted_is_deploying_until_its_time_is_up() -> None:
    assert cause(loading(START_SECONDS - 1)) == "deploying"
    assert cause(loading(START_SECONDS + 1)) == "undetermined"


def test_a_unit_that_prepares_its_start_is_deploying() -> None:
    preparing = replace(UP, active="activating", sub="start-pre", changed=NOW - 12, main_pid=0)
    assert cause(loading(3600, service=preparing)) == "deploying"


@pytest.mark.parametrize("announced", [None, ANNOUNCED])
def test_real_evidence_is_told_at_once(announced: Announcement | None) -> None:
    failure = boot_failure(at=NOW - 1)
    missing = loading(2, boot_failures=(failure,), next_start=WITHOUT_SLOWAPI, announced=announced)
    assert rules.diagnose(missing).cause == "missing_dependency"
    other = replace(failure, exception="KeyError", module=None)
    assert cause(loading(2, boot_failures=(other,), announced=announced)) == "boot_failure"
    assert cause(broken(boot_failures=(), next_start=REPORT, announced=announced)) == "crash_loop"


def test_what_it_said_before_somebody_started_it_anew_explains_nothing() -> None:
    before = loading(5, boot_failures=(boot_failure(at=NOW - 8),))
    assert cause(before) == "deploying"
    late = loading(START_SECONDS + 5, boot_failures=(boot_failure(at=NOW - START_SECONDS - 8),))
    assert cause(late) == "undetermined"


def test_a_loop_that_somebody_ended_by_a_restart_is_a_loop_no_more() -> None:
    earlier = tuple(replace(h, at=h.at - 60) for h in restarts(6))
    assert cause(loading(5, happenings=earlier)) == "deploying"


def test_a_start_by_systemd_itself_is_no_deploy() -> None:
    started = replace(UP, started=NOW - 3, restarts=1)
    assert cause(loading(3, service=started)) == "undetermined"
    assert cause(broken(boot_failures=(), next_start=REPORT, service=LOOPING)) == "crash_loop"


def test_who_starts_it_again_and_again_while_it_fails_is_not_deploying() -> None:
    def restarted(times: int, failing: float) -> Evidence:
        starts = [
            Happening(NOW - 5 - 20 * number, what, "manual")
            for number in reversed(range(times))
            for what in ("exit", "start")
        ]
        edge = replace(probe("edge", 9), since=NOW - failing, succeeded=NOW - failing - 5)
        return loading(5, happenings=tuple(starts), probes=(edge,))

    assert cause(restarted(2, failing=60)) == "deploying"
    assert cause(restarted(3, failing=60)) == "undetermined"
    assert cause(restarted(9, failing=4)) == "deploying"  # it answered between
    assert (
        "announced"
        in rules.diagnose(replace(restarted(3, failing=60), announced=ANNOUNCED)).summary
    )


def test_an_application_that_answers_does_not_explain_its_proxy_for_long() -> None:
    def behind(answering: float) -> Evidence:
        origin = replace(probe("origin"), since=NOW - answering)
        return loading(25, probes=(probe("edge", 3), origin), listening=True)

    assert cause(behind(4)) == "deploying"
    assert cause(behind(14)) == "undetermined"


def test_a_restart_that_no_probe_missed_may_keep_its_proxy_waiting_all_the_same() -> None:
    origin = replace(probe("origin"), since=NOW - 3600)
    probes = (probe("edge", 2), origin)
    assert cause(loading(4, probes=probes, listening=True)) == "deploying"
    assert cause(loading(14, probes=probes, listening=True)) == "undetermined"


def test_workers_that_die_one_after_the_other_are_no_deploy() -> None:
    ends = tuple(WorkerEnd(NOW - i, "uvicorn", "unknown", i) for i in (1, 2, 3))
    assert cause(loading(5, worker_ends=ends)) == "undetermined"


def test_a_stop_may_be_the_first_half_of_a_restart() -> None:
    assert cause(stopped(STOP_SECONDS - 1)) == "deploying"
    assert cause(stopped(STOP_SECONDS + 1)) == "service_stopped"
    just_now = stopped(0.1, happenings=())
    assert cause(just_now) == "deploying"


def test_a_stop_lasts_longer_while_the_disk_is_changed() -> None:
    assert cause(stopped(40, disk_changed=NOW - 5)) == "deploying"
    assert cause(stopped(40, disk_changed=NOW - DISK_SECONDS - 5)) == "service_stopped"
    assert cause(stopped(DISK_SECONDS + 5, disk_changed=NOW - 5)) == "service_stopped"


@pytest.mark.parametrize("hour", [-3600, 3600])
def test_a_clock_that_is_set_makes_no_deploy_last(hour: float) -> None:
    assert cause(stopped(hour + 1)) == "service_stopped"
    assert cause(loading(hour + 1)) == "undetermined"
    stopping = replace(UP, active="deactivating", sub="stop-sigterm", changed=NOW - hour - 1)
    assert cause(loading(5000, service=stopping)) == "undetermined"


def test_an_end_that_nobody_ordered_is_no_restart() -> None:
    clean = (Happening(NOW - 2, "exit", "clean_exit"),)
    assert cause(stopped(2, happenings=clean)) == "service_stopped"
    killed = replace(STOPPED, active="failed", result="signal", exited=NOW - 2)
    assert cause(stopped(2, service=killed, happenings=())) == "service_stopped"


def test_a_slow_stop_is_a_restart_for_a_while() -> None:
    stopping = replace(UP, active="deactivating", sub="stop-sigterm", changed=NOW - 10)
    assert cause(loading(3600, service=stopping)) == "deploying"
    hangs = replace(stopping, changed=NOW - START_SECONDS - 5)
    assert cause(loading(3600, service=hangs)) == "undetermined"


def test_an_announced_deploy_covers_what_nothing_else_explains() -> None:
    for evidence in (stopped(50), loading(60), healthy(probes=(probe("edge", 3),))):
        verdict = rules.diagnose(replace(evidence, announced=ANNOUNCED))
        assert verdict.cause == "deploying"
        assert "announced by deploy" in verdict.summary
        assert "badgateway verify api" in verdict.next_steps


def test_an_announced_deploy_that_fails_nobody_is_none() -> None:
    assert cause(healthy(announced=ANNOUNCED)) == "none"


def test_without_a_manager_only_the_first_start_is_believed() -> None:
    backend = replace(BACKEND, manager="process", unit="")
    once = loading(5, backend=backend, happenings=())
    assert cause(once) == "deploying"
    long = replace(probe("origin", 20, "connect_refused", 0), since=NOW - 60)
    assert cause(replace(once, probes=(long,))) == "undetermined"


def test_a_disk_that_is_being_changed_explains_no_start() -> None:
    deaf = loading(
        15, next_start=WITHOUT_SLOWAPI, disk_moving=True, happenings=(), boot_failures=()
    )
    assert cause(deaf) == "deploying"
    assert cause(replace(deaf, disk_moving=False)) == "missing_dependency"
