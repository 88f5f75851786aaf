"""Incidents on a real host, watched by the shipped unit: what is said, when, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.rehearsal import BASE, NEEDS, Rehearsal, rehearsal, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MISSING = ("missing_dependency", NEEDS)
WELL = ("none", "")


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("incidents") as site:
        site.application("pair", 8101, "--workers 2")
        site.application("quiet", 8102, "--log-level warning")
        site.application(
            "wrapped", 8103, "--workers 2", "Type=simple\nRestart=always\nRestartSec=1",
            "/bin/bash -c '{}; echo ended'",
        )  # fmt: skip
        site.application("life", 8104, "--workers 2", "Restart=on-failure")
        site.application("late", 8105, source=f"import time\n\n\ntime.sleep(20)\n\n\n{BASE}")
        site.application("secret", 8106, "", "EnvironmentFile=/etc/secret.env\nRestart=always")
        site.host.write("/etc/secret.env", "SECRET=hush\n", 0o600)
        site.application("blue", 8107, unit="blue@")
        site.caddyfile(**site.proxied())
        site.application("lonely", 8108)
        site.application("once", 8109, "", "Restart=no")
        site.host.systemctl("daemon-reload")
        units = [name.replace("blue", "blue@one") for name in site.sites]
        site.host.systemctl("start", "caddy", *units)
        site.start_exporter()
        until(lambda: len(site.answers()) == len(units), 60)
        until(lambda: all(site.cause(name) == WELL for name in ("late", "pair")), 60)
        yield site


def since(site: Rehearsal, name: str) -> float:
    return float(site.answers()[name]["diagnosis"]["since"])


def test_a_template_unit_and_an_unreadable_environment_are_no_obstacle(site: Rehearsal) -> None:
    found = site.answers()
    assert found["blue@one"]["diagnosis"]["name"] == "none"
    assert found["secret"]["diagnosis"]["name"] == "none"
    assert "hush" not in str(found)


def test_workers_behind_a_shell_are_counted(site: Rehearsal) -> None:
    assert site.values("workers", backend="wrapped") == [2.0]
    assert site.values("workers", backend="pair") == [2.0]


def test_a_restart_of_what_is_well_is_no_incident(site: Rehearsal) -> None:
    names = ("pair", "quiet", "wrapped", "secret")
    site.host.systemctl("restart", *names)
    begun = time.monotonic()
    while time.monotonic() - begun < 12:
        found = site.answers()
        assert {found[name]["diagnosis"]["name"] for name in names} == {"none"}
        assert not any(found[name]["risks"] for name in names)
        time.sleep(0.3)


def test_a_deploy_as_it_should_be_leaves_nothing_behind(site: Rehearsal) -> None:
    place = "/srv/quiet/.venv/lib/python3.11/site-packages"
    site.host.write(f"{place}/{NEEDS.replace('-', '_')}/__init__.py", "")
    site.host.write(
        f"{place}/slowapi_like-1.0.dist-info/METADATA",
        f"Metadata-Version: 2.1\nName: {NEEDS}\nVersion: 1.0\n",
    )
    site.host.write(f"{place}/slowapi_like-1.0.dist-info/RECORD", "slowapi_like/__init__.py,,\n")
    site.break_code("quiet")
    site.host.systemctl("restart", "quiet")
    begun = time.monotonic()
    while time.monotonic() - begun < 15:
        found = site.answers()["quiet"]
        assert (found["diagnosis"]["name"], found["risks"]) == ("none", [])
        time.sleep(0.3)


@pytest.mark.parametrize("name", ["pair", "wrapped"])
def test_the_package_is_named_while_systemd_sees_a_running_service(
    site: Rehearsal, name: str
) -> None:
    site.break_code(name)
    until(lambda: site.answers()[name]["risks"], 30)
    assert site.cause(name) == WELL
    restarted = time.time()
    site.host.systemctl("restart", name)
    until(lambda: site.get(name) == "502", 10)
    until(lambda: site.cause(name) == MISSING, 15)
    assert site.host.systemctl("is-active", name).strip() == "active"
    assert site.restarts(name) == 0
    assert abs(since(site, name) - restarted) < 3


def test_a_healthy_restart_before_an_outage_does_not_belong_to_it(site: Rehearsal) -> None:
    """With --log-level warning nothing ever says that it has loaded."""
    site.host.run(["rm", "-r", "/srv/quiet/.venv/lib/python3.11/site-packages/slowapi_like"])
    site.host.run(
        ["rm", "-r", "/srv/quiet/.venv/lib/python3.11/site-packages/slowapi_like-1.0.dist-info"]
    )
    restarted = time.time()
    site.host.systemctl("restart", "quiet")
    until(lambda: site.cause("quiet") == MISSING, 15)
    assert abs(since(site, "quiet") - restarted) < 3


@pytest.mark.parametrize("way", ["KILL", "TERM"])
def test_an_exporter_started_anew_in_mid_outage_says_the_same(site: Rehearsal, way: str) -> None:
    names = ("pair", "wrapped", "quiet")
    begun = {name: since(site, name) for name in names}
    for _ in range(2):
        site.host.systemctl("kill", "-s", way, "badgateway")
        seen: dict[str, set[str]] = {name: set() for name in names}
        until_then = time.monotonic() + 12
        while time.monotonic() < until_then:
            for name, found in site.answers().items():
                if name in seen:
                    seen[name].add(found["diagnosis"]["name"])
            time.sleep(0.3)
        assert seen == {name: {"missing_dependency"} for name in names}
    assert {name: since(site, name) for name in names} == pytest.approx(begun, abs=0.01)


def test_a_failed_lifespan_is_a_boot_failure_with_its_own_words(site: Rehearsal) -> None:
    """uvicorn 0.54 with workers ends with status 0: systemd calls it a success."""
    site.host.write("/run/lifespan-fails", "")
    site.host.systemctl("restart", "life")
    until(lambda: site.cause("life")[0] == "boot_failure", 20)
    said = site.answers()["life"]["diagnosis"]
    assert "the database is away" in said["summary"]
    site.host.systemctl("kill", "-s", "KILL", "badgateway")
    until(lambda: site.cause("life")[0] != "", 30)
    assert site.cause("life")[0] == "boot_failure"
    site.host.run(["rm", "/run/lifespan-fails"])
    site.host.systemctl("start", "life")
    until(lambda: site.cause("life") == WELL, 20)


def test_a_slow_start_is_never_explained_wrongly(site: Rehearsal) -> None:
    site.host.systemctl("restart", "late")
    seen = set()
    begun = time.monotonic()
    while time.monotonic() - begun < 30:
        seen.add(site.cause("late")[0])
        time.sleep(0.3)
    assert seen <= {"none", "deploying"}
    assert site.cause("late") == WELL


def test_answers_that_are_errors_of_the_application_are_no_incident(site: Rehearsal) -> None:
    for _ in range(20):
        assert site.get("secret", "/500") == "500"
        assert site.get("secret", "/404") == "404"
    time.sleep(6)
    assert site.cause("secret") == WELL


def test_a_hanging_application_is_not_blamed_on_a_missing_package(site: Rehearsal) -> None:
    site.break_code("secret")
    until(lambda: site.answers()["secret"]["risks"], 30)
    site.host.systemctl("kill", "-s", "STOP", "secret")
    until(lambda: site.cause("secret")[0] == "upstream_slow", 25)
    begun = time.monotonic()
    while time.monotonic() - begun < 8:
        assert site.cause("secret")[0] == "upstream_slow"
        time.sleep(0.3)
    site.host.systemctl("kill", "-s", "CONT", "secret")
    until(lambda: site.cause("secret") == WELL, 15)


def test_a_service_that_nobody_asks_for_may_be_stopped(site: Rehearsal) -> None:
    site.host.systemctl("stop", "lonely")
    begun = time.monotonic()
    while time.monotonic() - begun < 13:
        assert site.cause("lonely") == WELL
        time.sleep(0.3)


def test_a_service_that_ends_once_and_stays_down_is_no_loop(site: Rehearsal) -> None:
    site.host.systemctl("kill", "-s", "KILL", "once")
    until(lambda: site.cause("once") == ("service_stopped", "once.service"), 15)
    assert "killed" in site.answers()["once"]["diagnosis"]["summary"]
    site.host.systemctl("reset-failed", "once")
    site.host.systemctl("start", "once")
    until(lambda: site.cause("once") == WELL, 15)


def test_a_unit_written_later_is_found_by_itself(site: Rehearsal) -> None:
    site.application("newcomer", 8110)
    site.host.systemctl("daemon-reload")
    site.host.systemctl("start", "newcomer")
    until(lambda: site.cause("newcomer") == WELL, 35)


def test_what_clients_ask_for_is_remembered_after_its_unit_is_gone(site: Rehearsal) -> None:
    site.host.systemctl("stop", "blue@one")
    site.host.run(["rm", "/etc/systemd/system/blue@.service"])
    site.host.systemctl("daemon-reload")
    until(lambda: site.cause("blue@one") == ("service_stopped", "blue@one.service"), 20)
    until(lambda: site.total("service_state", backend="blue@one", state="not_found") == 1, 5)
    site.host.systemctl("restart", "badgateway")
    until(lambda: site.cause("blue@one") == ("service_stopped", "blue@one.service"), 30)
    assert "does not exist" in site.answers()["blue@one"]["diagnosis"]["summary"]
