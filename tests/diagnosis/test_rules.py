"""Which cause which evidence leads to, and which evidence leads to none."""

from dataclasses import replace

import pytest

from badgateway import vocabulary
from badgateway.collectors.records import Happening
from badgateway.collectors.service_tracker import ServiceState
from badgateway.diagnosis import risks, rules
from badgateway.events import ServerEnd, WorkerEnd
from badgateway.packages.findings import Finding, Report
from badgateway.topology.containers.container import Container
from tests.diagnosis.builders import (
    BACKEND,
    FAILED,
    LOOPING,
    NOW,
    REPORT,
    SLOWAPI,
    STOPPED,
    UP,
    WITHOUT_SLOWAPI,
    boot_failure,
    broken,
    healthy,
    hurt,
    probe,
    restarts,
)
from tests.diagnosis.routes import EACH


def test_a_healthy_path_is_none() -> None:
    assert rules.diagnose(healthy()).cause == "none"


def test_a_missing_dependency_is_named_with_its_declaration_and_its_cure() -> None:
    verdict = rules.diagnose(broken(drift_since=NOW - 600))
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")
    assert verdict.confidence >= 0.9
    assert "declared in pyproject.toml as slowapi>=0.1.9" in verdict.summary
    assert "/srv/api/.venv" in verdict.summary
    assert verdict.next_steps == (
        "/srv/api/.venv/bin/pip install -e /srv/api",
        "systemctl restart api.service",
    )


def test_the_failure_began_with_its_first_sign() -> None:
    evidence = broken()
    verdict = rules.diagnose(evidence)
    assert verdict.since == min(h.at for h in evidence.happenings if h.what == "exit")
    assert verdict.since < min(p.since for p in evidence.failing_probes)


def test_the_same_evidence_gives_the_same_verdict() -> None:
    assert rules.diagnose(broken()) == rules.diagnose(broken())


def test_the_import_name_need_not_be_the_distributions() -> None:
    finding = replace_finding(SLOWAPI, subject="pyyaml", module="yaml")
    evidence = broken(
        boot_failures=(boot_failure(message="No module named 'yaml'", module="yaml"),),
        next_start=report("will_fail", finding),
    )
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "pyyaml")


def test_a_guessed_package_is_said_to_be_guessed() -> None:
    failure = boot_failure(message="No module named 'obscure'", module="obscure")
    finding = replace_finding(SLOWAPI, subject="obscure", module="obscure", fix="")
    verdict = rules.diagnose(
        broken(boot_failures=(failure,), next_start=report("will_fail", finding))
    )
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "obscure")
    assert "declared nowhere; the package's name is assumed" in verdict.summary


def test_a_leftover_directory_does_not_hide_the_package() -> None:
    failure = boot_failure(message="No module named 'slowapi.errors'", module="slowapi.errors")
    verdict = rules.diagnose(broken(boot_failures=(failure,)))
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")


def test_a_misspelt_module_of_its_own_is_a_boot_failure() -> None:
    failure = boot_failure(message="No module named 'api.limitz'", module="api.limitz")
    finding = replace_finding(SLOWAPI, subject="api.limitz", module="api.limitz")
    verdict = rules.diagnose(
        broken(boot_failures=(failure,), next_start=report("will_fail", finding))
    )
    assert (verdict.cause, verdict.subject) == ("boot_failure", "api.limitz")


def test_another_exception_at_boot_is_a_boot_failure() -> None:
    failure = boot_failure(exception="KeyError", message="'DATABASE_URL'", module=None)
    verdict = rules.diagnose(broken(boot_failures=(failure,), next_start=REPORT))
    assert (verdict.cause, verdict.subject) == ("boot_failure", "KeyError")
    assert "DATABASE_URL" in verdict.summary


def test_systemd_sees_nothing_when_workers_cannot_boot() -> None:
    """uvicorn --workers 2: the unit is active, the parent lives, nothing accepts."""
    failures = tuple(boot_failure(at=NOW - i, role="worker", pid=100 + i) for i in (3, 2, 1))
    evidence = broken(service=replace(UP, started=NOW - 60), boot_failures=failures, happenings=())
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")


def test_words_of_a_serving_application_are_not_believed_against_the_disk() -> None:
    """It prints `No module named 'slowapi'` in answer to a request, and then is slow."""
    evidence = healthy(
        probes=(probe("edge", 3), probe("origin", 3, "response_timeout", 0)),
        boot_failures=(boot_failure(certain=False),),
    )
    assert rules.diagnose(evidence).cause == "undetermined"


def test_words_of_a_serving_application_do_no_harm_while_it_serves() -> None:
    assert rules.diagnose(healthy(boot_failures=(boot_failure(certain=False),))).cause == "none"


def test_an_old_boot_failure_does_not_explain_a_new_outage() -> None:
    evidence = broken(
        boot_failures=(boot_failure(at=NOW - 3000),),
        next_start=REPORT,
        service=UP,
        happenings=(),
        listening=True,
    )
    assert rules.diagnose(evidence).cause == "undetermined"


def test_a_boot_failure_before_the_last_success_is_of_the_past() -> None:
    evidence = broken(ready=NOW - 1, service=UP, listening=True, next_start=REPORT, happenings=())
    assert rules.diagnose(evidence).cause == "undetermined"


def test_the_last_words_of_a_unit_that_lies_dead_stay_true() -> None:
    dead = replace(FAILED, started=NOW - 50_000, exited=NOW - 49_999)
    evidence = broken(
        service=dead, boot_failures=(boot_failure(at=NOW - 49_999),), happenings=(), ready=0.0
    )
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")


def test_without_a_log_the_disk_explains_a_service_that_does_not_come_up() -> None:
    verdict = rules.diagnose(broken(boot_failures=(), sources={"journal": "no permission"}))
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")
    assert verdict.confidence < 0.8


def test_a_failing_start_on_disk_does_not_explain_a_slow_application() -> None:
    evidence = healthy(
        probes=(probe("edge", 3), probe("origin", 3, "response_timeout", 0)),
        next_start=WITHOUT_SLOWAPI,
    )
    assert rules.diagnose(evidence).cause == "undetermined"


def test_a_crash_loop_without_a_known_reason_is_a_crash_loop() -> None:
    verdict = rules.diagnose(broken(boot_failures=(), next_start=REPORT))
    assert (verdict.cause, verdict.subject) == ("crash_loop", "api.service")


def test_a_unit_that_systemd_gave_up_is_a_crash_loop() -> None:
    verdict = rules.diagnose(broken(boot_failures=(), next_start=REPORT, service=FAILED))
    assert verdict.cause == "crash_loop"
    assert "given up" in verdict.summary


def test_dying_workers_of_a_deaf_server_are_a_crash_loop() -> None:
    ends = tuple(WorkerEnd(NOW - i, "uvicorn", "unknown", i) for i in range(1, 9))
    evidence = broken(
        service=replace(UP, started=NOW - 60),
        boot_failures=(), happenings=(), next_start=REPORT, worker_ends=ends,
    )  # fmt: skip
    assert rules.diagnose(evidence).cause == "crash_loop"


def test_a_stopped_service_is_stopped() -> None:
    evidence = broken(service=STOPPED, boot_failures=(), happenings=(), next_start=REPORT)
    verdict = rules.diagnose(evidence)
    assert (verdict.cause, verdict.subject) == ("service_stopped", "api.service")
    assert verdict.next_steps[0] == "systemctl start api.service"


def test_a_stopped_service_that_nobody_asks_for_is_no_incident() -> None:
    assert rules.diagnose(healthy(service=STOPPED, probes=(), listening=None)).cause == "none"


def test_one_failed_probe_during_a_restart_is_no_incident() -> None:
    evidence = healthy(
        probes=(probe("edge", 1), probe("origin", 1, "connect_refused", 0)),
        service=replace(UP, started=NOW - 2),
        listening=False,
    )
    assert rules.diagnose(evidence).cause == "none"


def test_failing_without_a_reason_is_undetermined_and_shows_what_is_known() -> None:
    verdict = rules.diagnose(healthy(probes=(probe("edge", 3), probe("origin"))))
    assert verdict.cause == "undetermined"
    assert verdict.confidence == 0
    assert any("edge" in fact and "502" in fact for fact in verdict.evidence)


def test_an_answer_from_before_the_last_start_is_no_answer() -> None:
    evidence = broken(probes=(probe("origin"),), service=replace(LOOPING, exited=NOW))
    assert rules.diagnose(evidence).cause == "missing_dependency"


@pytest.mark.parametrize("verdict", ["ok", "may_fail", "unknown"])
def test_no_risk_without_a_certain_obstacle(verdict: str) -> None:
    assert risks.find(healthy(next_start=report(verdict))) == ()


def test_the_risk_names_the_package_and_the_cure_while_all_is_well() -> None:
    evidence = healthy(next_start=WITHOUT_SLOWAPI, drift_since=NOW - 30)
    assert rules.diagnose(evidence).cause == "none"
    (risk,) = risks.find(evidence)
    assert (risk.risk, risk.subject, risk.since) == ("next_start_fails", "slowapi", NOW - 30)
    assert risk.next_steps == ("/srv/api/.venv/bin/pip install -e /srv/api",)


def test_every_cause_a_rule_can_conclude_is_in_the_vocabulary() -> None:
    causes = {
        rules.diagnose(evidence).cause
        for evidence in (
            healthy(),
            broken(),
            broken(boot_failures=(), next_start=REPORT),
            broken(boot_failures=(boot_failure(module=None, exception="KeyError"),)),
            broken(service=STOPPED, boot_failures=(), happenings=(), next_start=REPORT),
            healthy(probes=(probe("edge", 3),)),
            broken(boot_failures=(), next_start=REPORT, service=replace(UP, started=NOW - 3)),
            broken(
                boot_failures=(),
                next_start=REPORT,
                server_ends=(ServerEnd(NOW - 2, "gunicorn", "usage"),),
            ),
            healthy(
                backend=replace(BACKEND, container=Container("api", "1", health="unhealthy")),
                probes=(probe("edge", 3),),
            ),
            hurt("timeout"),
            hurt("oom"),
            hurt("segfault"),
            healthy(probes=(probe("edge", 3, "response_timeout", 0),)),
            *EACH,
        )
    }
    assert causes == set(vocabulary.CAUSES)


def test_restarts_alone_while_it_answers_are_no_crash_loop() -> None:
    evidence = healthy(happenings=restarts(5, every=60), backend=BACKEND)
    assert rules.diagnose(evidence).cause == "none"


def report(verdict: str, *findings: Finding) -> Report:
    values = {name: getattr(REPORT, name) for name in REPORT.__struct_fields__}
    return Report(**values | {"verdict": verdict, "findings": findings})


def replace_finding(finding: Finding, **changes: str) -> Finding:
    values = {name: getattr(finding, name) for name in finding.__struct_fields__}
    return Finding(**values | changes)


def test_a_service_that_failed_once_is_stopped_and_no_loop() -> None:
    once = replace(FAILED, restarts=0, result="signal")
    ended = (Happening(NOW - 60, "exit", "signal"),)
    verdict = rules.diagnose(
        broken(service=once, boot_failures=(), happenings=ended, next_start=REPORT)
    )
    assert (verdict.cause, verdict.subject) == ("service_stopped", "api.service")
    assert "signal" in verdict.summary


def test_what_nobody_asks_for_may_be_stopped() -> None:
    stopped = broken(
        service=STOPPED, boot_failures=(), happenings=(), next_start=REPORT, asked_for=False
    )
    assert rules.diagnose(stopped).cause == "none"
    ended = (Happening(NOW - 60, "exit", "clean_exit"),)
    assert rules.diagnose(replace(stopped, happenings=ended)).cause == "service_stopped"
    assert rules.diagnose(replace(stopped, asked_for=True)).cause == "service_stopped"
    assert rules.diagnose(replace(stopped, asked_for=None)).cause == "service_stopped"


def test_one_failed_probe_is_no_recovery() -> None:
    evidence = healthy(probes=(probe("edge", 1), probe("origin", 1, "response_timeout", 0)))
    assert rules.diagnose(evidence).cause == "none"
    assert rules.diagnose(replace(evidence, was_failing=True)).cause == "undetermined"


def test_a_unit_that_systemd_has_forgotten_is_explained_by_its_last_words() -> None:
    """Ended with status 0 and unloaded: it no longer knows when it was started."""
    forgotten = ServiceState("inactive", "dead", "success")
    ended = NOW - 5000
    evidence = broken(
        service=forgotten,
        boot_failures=(boot_failure(at=ended - 1, exception="LifespanFailed", module=None),),
        happenings=(Happening(ended, "exit", "clean_exit"),),
        next_start=REPORT,
        ready=0.0,
    )
    verdict = rules.diagnose(evidence)
    assert verdict.cause == "boot_failure"
    assert verdict.since <= ended


def test_where_the_virtualenv_cannot_be_seen_nothing_is_said_of_it() -> None:
    unseen = report("unknown")
    unseen = Report(
        **{name: getattr(unseen, name) for name in unseen.__struct_fields__} | {"virtualenv": ""}
    )
    verdict = rules.diagnose(broken(next_start=unseen, drift_since=NOW - 600))
    assert (verdict.cause, verdict.subject) == ("missing_dependency", "slowapi")
    assert "its virtualenv" in verdict.summary
    assert not any("lacks it" in fact for fact in verdict.evidence)


def test_that_it_answers_is_said_of_what_was_seen_to_answer() -> None:
    assert rules.diagnose(healthy()).summary == "api answers."
    outside = healthy(probes=(probe("edge"),))
    assert rules.diagnose(outside).summary == "api answers."
    for unseen in (
        healthy(probes=()),
        healthy(probes=(), service=None, listening=None),
        healthy(probes=(), service=None, listening=None, asked_for=False),
        healthy(probes=(probe("edge", 1),)),
        healthy(probes=(probe("origin"),), service=replace(UP, started=NOW)),
    ):
        verdict = rules.diagnose(unseen)
        assert verdict.cause == "none"
        assert (
            verdict.summary == "Nothing is known to be wrong with api; it was not seen to answer."
        )
    stopped = healthy(probes=(), service=STOPPED, listening=False, asked_for=False)
    assert rules.diagnose(stopped).summary == "api does not run, and nobody asks for it."
