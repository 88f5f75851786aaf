"""What looks like a mistake in a proxy's configuration and is none: nothing may be said of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.host import Host
from tests.rehearsal import Rehearsal, rehearsal, until
from tests.test_causes_on_proxies import NGINX, server, to

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

WATCHED_SECONDS = 20
SITES = "".join(
    (
        "upstream colours { server 127.0.0.1:8101; server 127.0.0.1:8102 down; }\n",
        "upstream spared { server 127.0.0.1:8103; server 127.0.0.1:8104 backup; }\n",
        server("colours", to("colours")),
        server("spared", to("spared")),
        server("shut", f"return 503; {to('127.0.0.1:8101')}"),
        server("closed", f"if (-f /run/closed) {{ return 503; }} {to('127.0.0.1:8103')}"),
        server("forgotten", to("127.0.0.1:7777")),
        server("nobody", to("unix:/run/nobody.sock:")),
        server("far", to("10.9.0.2:80")),
    )
)
CADDY = """\
{
	admin localhost:2019
}
http://shut.test:81 {
	respond "back soon" 503
}
http://nobody.test:81 {
	reverse_proxy 127.0.0.1:7778
}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("benign", "nginx", "nginx-common") as site:
        host = site.host
        for number, name in enumerate(("blue", "green", "main", "spare", "inner")):
            site.application(name, 8101 + number)
        host.write("/etc/nginx/nginx.conf", NGINX)
        host.write("/etc/nginx/conf.d/sites.conf", SITES)
        host.write("/etc/caddy/Caddyfile", CADDY)
        host.write("/run/closed", "")
        host.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
        another_host(host)
        host.systemctl("start", "blue", "green", "main", "spare", "inner", "nginx", "caddy")
        site.start_exporter("probes: {interval: 1s, timeout: 900ms}\ndiscovery: {interval: 2s}\n")
        until(lambda: {"blue", "main", "spare"} <= site.answers().keys(), 40)
        # the side that does not serve is stopped, and so is the spare
        host.systemctl("stop", "green", "spare")
        yield site


def another_host(host: Host) -> None:
    """Have another host, by its network, answer at 10.9.0.2."""
    serve = "/usr/bin/python3 -m http.server 80 --directory /srv/one"
    host.run(["mkdir", "-p", "/srv/one"])
    host.unit("far.service", f"[Service]\nPrivateNetwork=yes\nExecStart={serve}\n")
    host.systemctl("start", "far")
    inside = str(host.pid("far"))
    host.run(["ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", inside])
    host.run(["ip", "addr", "add", "10.9.0.1/24", "dev", "near"])
    host.run(["ip", "link", "set", "near", "up"])
    for words in ("addr add 10.9.0.2/24 dev far", "link set far up"):
        host.run(["nsenter", "-t", inside, "-n", "ip", *words.split()])


def told(site: Rehearsal) -> dict[str, object]:
    """What is said of anything, and what would page."""
    found: dict[str, object] = {
        name: (said["diagnosis"]["name"], said["risks"])
        for name, said in site.answers().items()
        if said["diagnosis"]["name"] != "none" or said["risks"]
    }
    for vantage in ("edge", "proxy"):
        failures = max(site.values("probe_consecutive_failures", vantage=vantage), default=0)
        if failures >= 3:
            found[vantage] = failures
    return found


def test_nothing_is_said_of_what_is_meant(site: Rehearsal) -> None:
    time.sleep(5)
    end = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < end:
        assert told(site) == {}
        time.sleep(1)
    # they are what they seem to be
    assert site.get("colours") == site.get("spared") == "200"
    assert site.get("far") == "200"
    assert site.get("shut") == site.get("closed") == "503"


def test_a_forgotten_upstream_that_clients_ask_for_is_told(site: Rehearsal) -> None:
    """It was only the lack of traffic that made it nobody's concern."""
    for _ in range(5):
        assert site.get("forgotten") == "502"
    until(lambda: site.cause("127.0.0.1:7777")[0] not in ("", "none"), 30)


def test_the_spare_is_told_of_when_it_is_needed(site: Rehearsal) -> None:
    site.host.systemctl("stop", "main")
    until(lambda: site.cause("main") == ("service_stopped", "main.service"), 20)
    site.host.systemctl("start", "main")
    until(lambda: site.cause("main") == ("none", ""), 20)
