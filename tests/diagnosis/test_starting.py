"""The rule about a server that refuses its options."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from badgateway.collectors.records import Happening
from badgateway.diagnosis.evidence import Evidence
from badgateway.diagnosis.starting import bad_option
from badgateway.events import ServerEnd
from badgateway.packages.findings import Finding, Report
from tests.diagnosis.builders import FAILED, LOOPING, NOW, REPORT, broken, healthy

KEEPALIVE = Finding(
    "option_unknown", "fatal", "--keepalive",
    "gunicorn 27.0.1 has no option --keepalive and will not start with it (in the command line); "
    "did you mean --keep-alive?",
    "write --keep-alive instead of --keepalive in the command line",
)  # fmt: skip
FORETOLD = msgspec.structs.replace(REPORT, verdict="will_fail", findings=(KEEPALIVE,))
SAID = ServerEnd(NOW - 2, "gunicorn", "usage", 10, "unrecognized arguments: --keepalive 5")
USAGE = (Happening(NOW - 2, "exit", "usage"),)


def refused(report: Report | None = FORETOLD, **changes: object) -> Evidence:
    return replace(
        broken(boot_failures=(), happenings=(), next_start=report), **changes  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_the_server_said_and_the_disk_tells_is_one_cause() -> None:
    verdict = bad_option(refused(server_ends=(SAID,)))
    assert verdict is not None
    assert (verdict.cause, verdict.subject, verdict.confidence) == (
        "bad_option", "--keepalive", 0.95,
    )  # fmt: skip
    assert "did you mean --keep-alive?" in verdict.summary
    assert verdict.next_steps[0] == KEEPALIVE.fix


def test_the_servers_word_alone_is_enough_and_its_values_are_not_repeated() -> None:
    said = replace(SAID, detail="unrecognized arguments: --pasword hunter2")
    verdict = bad_option(refused(REPORT, server_ends=(said,)))
    assert verdict is not None
    assert (verdict.subject, verdict.confidence) == ("--pasword", 0.85)
    assert "hunter2" not in verdict.summary + "".join(verdict.evidence)
    short = replace(SAID, detail="argument -t/--timeout: invalid int value: 'abc'")
    verdict = bad_option(refused(None, server_ends=(short,)))
    assert verdict is not None
    assert verdict.subject == "--timeout"


def test_an_exit_with_a_usage_status_is_explained_by_the_disk() -> None:
    verdict = bad_option(refused(happenings=USAGE))
    assert verdict is not None
    assert (verdict.subject, verdict.confidence) == ("--keepalive", 0.85)
    assert bad_option(refused(REPORT, happenings=USAGE)) is None


def test_a_service_that_keeps_exiting_is_explained_by_the_disk() -> None:
    exits = tuple(Happening(NOW - at, "exit", "exit_code") for at in (9, 5, 1))
    assert bad_option(refused(happenings=exits, service=LOOPING)) is not None
    assert bad_option(refused(happenings=exits[:1], service=LOOPING)) is None
    assert bad_option(refused(happenings=exits, service=LOOPING, disk_moving=True)) is None


def test_what_it_refused_before_it_was_loaded_or_started_anew_is_past() -> None:
    assert bad_option(refused(REPORT, server_ends=(SAID,), ready=NOW - 1)) is None
    assert bad_option(refused(REPORT, server_ends=(replace(SAID, at=NOW - 1000),))) is None
    anew = replace(LOOPING, active="active", sub="running", restarts=0, started=NOW - 0.5, exited=0)
    assert bad_option(refused(REPORT, server_ends=(SAID,), service=anew)) is None


def test_the_last_words_of_a_service_that_lies_dead_stay_true() -> None:
    said = replace(SAID, at=NOW - 2000)
    dead = replace(FAILED, started=NOW - 2001, exited=NOW - 2000)
    assert bad_option(refused(REPORT, server_ends=(said,), service=dead, ready=0.0)) is not None


def test_a_finding_alone_is_a_risk_and_no_cause() -> None:
    assert bad_option(healthy(next_start=FORETOLD)) is None
    assert bad_option(refused(service=None)) is None
