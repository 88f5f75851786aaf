"""Caddy on a real host: where its admin API and its logs are, and what happens to both."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.rehearsal import Rehearsal, rehearsal, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ACCESS = "/var/log/caddy/access.log"
ALL = "/var/log/caddy/all.log"


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("caddy") as site:
        site.application("one", 8101)
        site.application("two", 8102)
        caddyfile(site)
        site.host.systemctl("daemon-reload")
        site.host.systemctl("start", "caddy", "one", "two")
        site.start_exporter("discovery: {interval: 3s}\n")
        until(lambda: len(site.answers()) == 2, 40)
        yield site


def caddyfile(site: Rehearsal, options: str = "", one: int = 8101, roll: str = "") -> None:
    """Everything goes to the journal and to a file too; access lines of one site to another."""
    everything = f"\tlog default {{\n\t\toutput stderr\n\t}}\n\tlog all {{\n\t\toutput file {ALL}"
    log = f"\tlog {{\n\t\toutput file {ACCESS} {{\n{roll}\n\t\t}}\n\t}}"
    site.caddyfile(
        f"{everything}\n\t}}\n{options}",
        one=f"\treverse_proxy 127.0.0.1:{one}\n{log}",
        two="\treverse_proxy 127.0.0.1:8102",
    )


def reload(site: Rehearsal, how: str = "reload") -> None:
    site.host.systemctl(how, "caddy")
    until(lambda: site.get("two") == "200", 10)


def failures(site: Rehearsal) -> float:
    return site.total("upstream_failures_total", backend="one")


def provoke(site: Rehearsal, number: int, name: str = "one") -> None:
    for _ in range(number):
        assert site.get(name) == "502"


def test_what_stands_in_the_journal_and_in_a_file_is_counted_once(site: Rehearsal) -> None:
    site.host.systemctl("stop", "one")
    before = failures(site)
    provoke(site, 12)
    until(lambda: failures(site) >= before + 12, 5)
    site.host.systemctl("kill", "-s", "KILL", "badgateway")
    provoke(site, 8)
    until(lambda: failures(site) >= before + 20, 30)
    time.sleep(2)
    assert failures(site) == before + 20
    assert site.total("proxy_errors_total", backend="one", code="502") == before + 20
    site.host.systemctl("start", "one")


def test_a_client_that_leaves_is_no_failure(site: Rehearsal) -> None:
    until(lambda: site.get("one") == "200", 15)
    before = site.settled("upstream_failures_total", backend="one")
    left = site.total("client_aborts_total", backend="one")
    site.get("one", "/slow", 1)
    until(lambda: site.total("client_aborts_total", backend="one") == left + 1, 5)
    assert failures(site) == before


def test_a_thousand_host_names_make_no_series(site: Rehearsal) -> None:
    before = len(site.scrape())
    asked = 'url = "127.0.0.1/"\nheader = "Host: h{}.test"\noutput = "/dev/null"\n'
    text = "next\n".join(asked.format(number) for number in range(1000))
    site.host.run(["curl", "-s", "-K", "-"], text=text)
    time.sleep(3)
    assert len(site.scrape()) - before < 12


@pytest.mark.parametrize("listen", ["localhost:2020", "unix//run/caddy-admin.sock"])
def test_the_admin_api_is_found_where_the_configuration_puts_it(
    site: Rehearsal, listen: str
) -> None:
    path = listen.removeprefix("unix/")
    if path.startswith("/"):
        site.host.write("/etc/systemd/system/caddy.service.d/run.conf", "[Service]\nUser=root\n")
        site.host.systemctl("daemon-reload")
    caddyfile(site, f"\tadmin {listen}")
    reload(site, "restart")
    if path.startswith("/"):
        until(lambda: site.host.run(["test", "-S", path], check=False).returncode == 0, 5)
        # as Caddy makes it, others may not connect; the remedy is the file's group
        site.host.run(["chmod", "666", path])
    until(lambda: site.values("source_up", source="caddy-admin") == [1.0], 15)
    caddyfile(site, f"\tadmin {listen}", one=8109)
    # loaded still leads to 8101: only the admin API knows
    time.sleep(4)
    assert site.values("backend_info", backend="one", upstream="127.0.0.1:8101") == [1.0]


def test_the_upstream_of_the_next_reload_is_there_at_zero(site: Rehearsal) -> None:
    caddyfile(site)
    reload(site, "restart")
    caddyfile(site, one=8102)
    labels = {"upstream": "127.0.0.1:8109", "reason": "connect_refused"}
    assert site.values("backend_info", upstream="127.0.0.1:8109") == []
    caddyfile(site, one=8109)
    until(lambda: site.values("upstream_failures_total", **labels) == [0.0], 10)
    reload(site)
    provoke(site, 3)
    until(lambda: site.values("upstream_failures_total", **labels) == [3.0], 5)
    # it is still the site of `one`, which answers at its own address
    until(lambda: site.cause("one") == ("wrong_upstream", "127.0.0.1:8109"), 20)
    caddyfile(site)
    reload(site)
    until(lambda: site.values("backend_info", upstream="127.0.0.1:8109") == [], 10)


def test_an_unreadable_log_is_told_with_its_remedy_and_heals(site: Rehearsal) -> None:
    source = "caddy-log"
    site.host.run(["chmod", "600", ACCESS, ALL])
    site.host.systemctl("restart", "badgateway")
    until(lambda: site.values("source_up", source=source) == [0.0], 15)
    until(lambda: site.cause("one") == ("none", ""), 20)
    said = site.host.run(["/usr/bin/badgateway", "diagnose", "--json"], check=False).stdout
    assert "Permission denied" in said
    assert "ACL" in said
    assert site.values("source_up", source="journal") == [1.0]
    site.host.run(["chmod", "644", ACCESS, ALL])
    until(lambda: site.values("source_up", source=source) == [1.0], 15)


@pytest.mark.parametrize("away", [False, True], ids=["watching", "away"])
def test_what_caddy_rotates_by_itself_is_counted_once(site: Rehearsal, away: bool) -> None:
    caddyfile(site, roll="\t\t\troll_size 1mb\n\t\t\troll_keep 20")
    reload(site, "restart")
    labels = {"backend": "one", "code": "200"}
    before = site.settled("proxy_responses_total", **labels)
    until(lambda: site.get("one") == "200", 15)
    before += 1
    # what was asked for is counted: the log is being read
    until(lambda: site.total("proxy_responses_total", **labels) >= before, 30)
    assert site.settled("proxy_responses_total", **labels) == before
    if away:
        site.host.systemctl("kill", "-s", "STOP", "badgateway")
        site.host.systemctl("kill", "-s", "KILL", "badgateway")
    long = "x" * 6000
    script = f"for i in $(seq 500); do printf 'url=127.0.0.1/{long}\\noutput=/dev/null\\n'; done"
    script += " | curl -s -H 'Host: one.test' -K - >/dev/null"
    site.host.run(["sh", "-c", script])
    rotated = site.host.run(["sh", "-c", "ls /var/log/caddy/access-* | wc -l"]).stdout
    assert int(rotated) >= 2
    until(lambda: site.total("proxy_responses_total", **labels) >= before + 500, 40)
    time.sleep(2)
    assert site.total("proxy_responses_total", **labels) == before + 500
    assert site.total("source_gaps_total") == 0


def test_routes_are_remembered_when_neither_file_nor_admin_api_can_be_asked(
    site: Rehearsal,
) -> None:
    caddyfile(site, "\tadmin off")
    reload(site, "restart")
    site.host.run(["chmod", "600", "/etc/caddy/Caddyfile"])
    site.host.systemctl("restart", "badgateway")
    until(lambda: site.cause("one") == ("none", ""), 30)
    assert site.values("backend_info", backend="one", site="one.test") == [1.0]
    assert site.values("source_up", source="caddy-config") == [0.0]
    site.host.systemctl("stop", "one")
    until(lambda: site.cause("one") == ("service_stopped", "one.service"), 15)
    site.host.run(["chmod", "644", "/etc/caddy/Caddyfile"])
    site.host.systemctl("start", "one")


def test_a_stopped_proxy_is_not_blamed_on_the_application(site: Rehearsal) -> None:
    site.host.systemctl("stop", "caddy")
    until(lambda: site.cause("two") == ("proxy_down", "caddy"), 20)
    time.sleep(6)
    assert site.cause("two") == ("proxy_down", "caddy")
    site.host.systemctl("start", "caddy")
    until(lambda: site.cause("two") == ("none", ""), 20)
