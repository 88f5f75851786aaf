"""What a person is told: every reason has a meaning and a next step, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from badgateway import vocabulary
from badgateway.explanation.hints import FAILURES, OTHERS, hint
from tests.cli.test_explain import run

HTTPLOG = (
    "Nov 21 08:53:47 vm haproxy[7]: 127.0.0.1:49580 [21/Nov/2026:08:53:44.070] fe be/s1 "
    '0/0/-1/-1/3003 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /a HTTP/1.1"'
)


def test_every_reason_of_a_failure_has_a_next_step() -> None:
    assert set(FAILURES) == {*vocabulary.UPSTREAM_FAILURE_REASONS, "app_5xx", "proxy_local"}
    assert all(hint("upstream_failure", reason) for reason in FAILURES)


def test_ends_that_are_no_trouble_have_none() -> None:
    for reason in ("stop", "reload", "max_requests", "scale_down"):
        assert hint("worker_end", reason) == ""
    ends = {*vocabulary.WORKER_END_REASONS, *vocabulary.SERVER_END_REASONS}
    assert set(OTHERS) <= ends | {"boot_failure", "client_abort"}


def test_reasons_that_another_log_format_would_tell_better_name_it() -> None:
    text = " ".join(run("-", given=HTTPLOG).output.split())
    assert "1 failure in haproxy are told only roughly" not in text
    assert "1 failure in haproxy is told only roughly with this log format." in text
    assert "badgateway explain --advice haproxy" in text


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_the_table_holds_its_reasons_at_any_width(
    width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert "connect_failed" in run("-", given=HTTPLOG).output


def test_times_of_several_days_bear_their_day(tmp_path: Path) -> None:
    log = tmp_path / "log"
    later = HTTPLOG.replace("21/Nov", "22/Nov").replace("Nov 21", "Nov 22")
    log.write_text(f"{HTTPLOG}\n{later}\n")
    days = [json.loads(line)["at"][:10] for line in run("--json", str(log)).stdout.splitlines()]
    assert days == ["2026-11-21", "2026-11-22"]
    text = run(str(log)).output
    assert text.index("2026-11-21") < text.index("2026-11-22")
