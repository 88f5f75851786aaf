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


def test_a_row_says_where_it_failed_and_what_clients_got(tmp_path: Path) -> None:
    error = (
        "2026/11/21 08:35:{0} [error] 9#9: *{0} connect() failed (111: Connection refused) while "
        'connecting to upstream, client: 10.0.0.7, server: a, request: "GET /{0} HTTP/1.1", '
        'upstream: "http://10.0.0.{1}:80/", host: "a"'
    )
    access = '10.0.0.7 - - [21/Nov/2026:08:35:{0} +0000] "GET /{0} HTTP/1.1" {1} 1 "-" "-"'
    log = tmp_path / "log"
    tries = ((10, 1), (11, 1), (12, 2), (13, 2))
    answers = ((10, 502), (11, 502), (12, 200))
    lines = [error.format(*each) for each in tries] + [access.format(*each) for each in answers]
    log.write_text("\n".join(lines))
    text = run(str(log)).output
    assert "  at 10.0.0.1:80 (2), 10.0.0.2:80 (2)\n" in text
    assert "  the client got 502 (2), 200 (1)\n" in text


@pytest.mark.parametrize("width", ["40", "80"])
def test_what_is_piped_on_is_not_cut_at_a_width(
    width: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    log = tmp_path / ("x" * 90)
    log.write_text(HTTPLOG)
    text = run(str(log)).output
    assert f"  {log}:1  127.0.0.1:49580" in text
    assert '"GET /a HTTP/1.1"' in text


def test_what_the_proxy_refused_is_called_an_answer() -> None:
    line = (
        "2026/11/21 08:35:14 [error] 9#9: *12 limiting requests, excess: 0.9 by zone "
        '"one", client: 10.0.0.7, server: a, request: "GET / HTTP/1.1"'
    )
    assert "answer" in next(row for row in run("-", given=line).output.split("\n") if "  1" in row)
