"""The exporter's life under real systemd, by its shipped unit: ready, reloaded, watched, ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.observers import CONFIG
from tests.rehearsal import Rehearsal, rehearsal, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

DROP_IN = "/etc/systemd/system/badgateway.service.d/test.conf"


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("lifecycle") as site:
        site.application("api", 8301)
        site.caddyfile(**site.proxied())
        site.host.systemctl("daemon-reload")
        site.host.systemctl("start", "caddy", "api")
        site.start_exporter()
        until(lambda: "api" in site.answers(), 60)
        yield site


def show(site: Rehearsal, name: str) -> str:
    return site.host.systemctl("show", "-P", name, "badgateway").strip()


def test_a_start_is_over_when_scrapes_are_answered(site: Rehearsal) -> None:
    assert show(site, "Type") == "notify"
    for _ in range(3):
        site.host.systemctl("restart", "badgateway")
        assert site.scrape(), "systemd was told too early"


def test_its_status_says_what_is_watched_and_what_fails(site: Rehearsal) -> None:
    until(lambda: show(site, "StatusText") == "watching 1 backend", 20)
    site.host.systemctl("stop", "api")
    wanted = "watching 1 backend, failing: api (service_stopped)"
    until(lambda: show(site, "StatusText") == wanted, 60)
    site.host.systemctl("start", "api")
    until(lambda: show(site, "StatusText") == "watching 1 backend", 60)


def test_a_reload_by_systemctl_takes_over_the_file_or_says_why_not(site: Rehearsal) -> None:
    pid = show(site, "MainPID")
    site.host.write(CONFIG, "environment: staging\n")
    site.host.systemctl("reload", "badgateway")
    until(lambda: site.values("backend_info", environment="staging"), 20)
    site.host.write(CONFIG, "environment: [1]\n")
    site.host.systemctl("reload", "badgateway")
    until(lambda: site.values("config_last_reload_successful") == [0.0], 20)
    assert site.values("backend_info", environment="staging")
    until(lambda: show(site, "StatusText").endswith("the last reload was refused"), 20)
    said = site.host.journal("badgateway", 20)
    assert f"not taken over: {CONFIG}:1:" in said, said
    site.host.write(CONFIG, "")
    site.host.systemctl("reload", "badgateway")
    until(lambda: site.values("config_last_reload_successful") == [1.0], 20)
    assert show(site, "MainPID") == pid
    assert show(site, "ActiveState") == "active"


def test_one_that_hangs_is_started_anew_and_loses_nothing(site: Rehearsal) -> None:
    site.host.write(DROP_IN, "[Service]\nWatchdogSec=3\nRestartSec=100ms\n")
    site.host.systemctl("daemon-reload")
    site.host.systemctl("restart", "badgateway")
    until(lambda: "api" in site.answers(), 30)
    time.sleep(7)  # one that is well is left alone
    assert show(site, "NRestarts") == "0"
    before = site.settled("service_restarts_total", backend="api")
    site.host.systemctl("kill", "-s", "STOP", "badgateway")
    until(lambda: show(site, "NRestarts") == "1", 40)
    until(lambda: "api" in site.answers(), 30)
    assert site.settled("service_restarts_total", backend="api") == before
    site.host.run(["rm", DROP_IN])
    site.host.systemctl("daemon-reload")


def test_it_ends_at_once_and_well(site: Rehearsal) -> None:
    begun = time.monotonic()
    site.host.systemctl("stop", "badgateway")
    assert time.monotonic() - begun < 3
    assert (show(site, "Result"), show(site, "ExecMainStatus")) == ("success", "0")
    site.host.systemctl("start", "badgateway")
