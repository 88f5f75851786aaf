"""Workers that end while they answer: why, since when, on which route."""

from __future__ import annotations

from dataclasses import replace

import pytest

from badgateway.diagnosis.rules import diagnose
from badgateway.diagnosis.words import facts
from badgateway.topology.containers.container import Container
from tests.diagnosis.builders import NOW, SITE, UP, failure, healthy, hurt, probe, worker_end


@pytest.mark.parametrize("seen", ["reset", "premature_close", "upstream_closed"])
def test_a_worker_timeout_is_told_whichever_way_the_connection_broke(seen: str) -> None:
    verdict = diagnose(hurt(seen=seen))
    assert verdict.cause == "worker_timeout"
    assert verdict.subject == "timeout 30 s"
    assert verdict.since == NOW - 200
    assert "30 s" in verdict.summary
    assert "nginx would have waited longer: 180 s" in verdict.summary
    said = " ".join(verdict.evidence)
    assert "GET /reports/:id/pdf" in said
    assert "secret" not in said
    assert "event loop" in said


def test_it_is_told_although_every_probe_is_answered_again() -> None:
    assert all(not one.failing for one in hurt().probes)
    assert diagnose(hurt()).cause == "worker_timeout"


def test_it_is_over_once_nobody_has_felt_it_for_a_while() -> None:
    later = hurt(now=NOW + 400)
    assert diagnose(later).cause == "none"


def test_what_was_felt_before_it_was_started_anew_is_over() -> None:
    assert diagnose(hurt(service=replace(UP, started=NOW - 30))).cause == "none"
    crashing = replace(UP, started=NOW + 20, restarts=3)  # its end took the service with it
    assert diagnose(hurt(service=crashing, now=NOW + 30)).cause == "none"
    taken_along = hurt(service=replace(UP, started=NOW - 20, restarts=1))
    assert diagnose(taken_along).cause == "worker_timeout"


def test_a_worker_that_ends_without_a_client_of_it_is_no_failure() -> None:
    assert diagnose(hurt(failures=())).cause == "none"
    assert diagnose(hurt(failures=(failure(-30), failure(-100)))).cause == "none"


@pytest.mark.parametrize("reason", ["max_requests", "reload", "stop", "scale_down"])
def test_a_planned_end_is_no_failure(reason: str) -> None:
    assert diagnose(hurt(reason)).cause == "none"


@pytest.mark.parametrize(
    ("reason", "cause"),
    [("oom", "worker_oom"), ("segfault", "worker_crash"), ("sigkill", "worker_crash"),
     ("exit_code", "worker_crash"), ("unknown", "worker_crash")],
)  # fmt: skip
def test_other_ends_have_causes_of_their_own(reason: str, cause: str) -> None:
    verdict = diagnose(hurt(reason, "premature_close"))
    assert verdict.cause == cause
    assert "GET /reports/:id/pdf" in " ".join(verdict.evidence)


def test_a_request_that_is_only_slow_is_no_worker_timeout() -> None:
    slow = healthy(probes=(probe("edge", 3, "response_timeout", 0),), listening=True)
    assert diagnose(slow).cause == "upstream_slow"
    timed_out = hurt(worker_ends=(), failures=(failure(-10, "response_timeout"),))
    assert diagnose(timed_out).cause == "none"


def test_workers_that_die_one_after_the_other_are_a_loop_though_the_server_listens() -> None:
    ends = tuple(worker_end(-60 + i, "unknown") for i in range(20))
    hanging = healthy(probes=(probe("edge", 3, "response_timeout", 0),), worker_ends=ends)
    verdict = diagnose(hanging)
    assert verdict.cause == "crash_loop"
    assert "20 ended" in verdict.summary
    stuck = tuple(replace(end, reason="timeout") for end in ends)
    assert diagnose(replace(hanging, worker_ends=stuck)).cause == "upstream_slow"


def test_a_failing_health_check_explains_what_nothing_else_does() -> None:
    container = Container("shop/web", "12345678901234567890", health="unhealthy")
    site = replace(SITE, manager="docker", unit="shop/web", container=container)
    assert diagnose(healthy(backend=site)).cause == "none"
    failing = healthy(backend=site, probes=(probe("edge", 3),))
    assert diagnose(failing).cause == "container_unhealthy"


def test_the_gap_of_a_container_that_waits_first_is_no_outage() -> None:
    container = Container("shop/web", "1234", shell_first=True, pauses=10.0)
    site = replace(SITE, manager="docker", unit="shop/web", container=container)
    starting = healthy(
        backend=site, service=replace(UP, started=NOW - 4), listening=False,
        probes=(probe("edge", 1), probe("origin", 1, "reset", 0)),
    )  # fmt: skip
    verdict = diagnose(starting)
    assert verdict.cause == "deploying"
    assert "waits 10 s" in verdict.summary
    stuck = replace(starting, service=replace(UP, started=NOW - 60), probes=(probe("edge", 9),))
    assert diagnose(stuck).cause == "undetermined"


def test_how_its_container_starts_is_said() -> None:
    container = Container("shop/web", "1234", shell_first=True, pauses=10.0, health="healthy")
    site = replace(SITE, manager="docker", unit="shop/web", container=container)
    said = " ".join(diagnose(hurt(backend=site)).evidence)
    assert "health check says healthy" in said
    assert "hands no signal on" in said
    assert "waits 10 s" in said


def test_another_unit_at_its_address_is_named() -> None:
    evidence = healthy()
    own = evidence.backend.unit
    assert replace(evidence, listener=own).stranger == ""
    for relay in ("", "init.scope", "docker.service"):
        assert replace(evidence, listener=relay).stranger == ""
    evidence = replace(evidence, listener="other.service")
    assert evidence.stranger == "other.service"
    assert any(
        fact.startswith("Something else (other.service) listens") for fact in facts(evidence)
    )
