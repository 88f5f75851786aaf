"""Real Docker with Compose, and nginx on the host and in a container: where each route leads.

An application keeps its name whatever its container's address is: published on the host, known by
its service's name to its network alone, or used as it stands in the bridge's network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.rehearsal import BASE, SITE, Rehearsal, rehearsal, until
from tests.test_causes_on_proxies import NGINX, SITES, reload, risks, says, server, to

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PACKAGES = (
    "nginx", "nginx-common", "docker.io", "containerd", "runc", "docker-compose/trixie",
    # Docker's name server is reached by rules in each container's network
    "iptables", "libip4tc2", "libip6tc2", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0",
    "libnftnl11", "libxtables12",
)  # fmt: skip
CONFIG = (
    "probes: {interval: 1s, timeout: 900ms}\ndiscovery: {interval: 2s}\n"
    "backends:\n  - name: shop/web\n    container: shop/web\n    probes:\n"
    '      - {name: edge, vantage: edge, url: "http://web.test/", expect: {status: [200]}}\n'
)
PROJECT = "/srv/shop"
COMPOSE, ANNEX = f"{PROJECT}/compose.yaml", "/srv/annex/compose.yaml"
PUBLISHED, FRONT = "127.0.0.1:8000", "127.0.0.1:81"
ADDRESSES = {"web": "172.30.0.10", "api": "172.30.0.11", "far": "172.30.0.12"}
MOVED = "172.30.0.22"
FAR = f"{ADDRESSES['far']}:8000"
NAMES = {"shop/web", "shop/api", "shop/far", "annex/api"}
IMAGE = """\
set -e
cd "$(mktemp -d)"
chmod 755 .
mkdir -p usr etc tmp srv proc sys dev var/lib/nginx var/log/nginx
chmod 1777 tmp var/lib/nginx var/log/nginx
for folder in bin sbin lib lib64; do ln -s usr/$folder $folder; done
echo www-data:x:33:33::/:/bin/sh >etc/passwd
tar -c . | docker import - plain
"""
INSIDE = """\
pid /tmp/nginx.pid;
events {}
http {
	access_log off;
	error_log stderr;
	server {
		listen 8080;
		server_name api.test;
		location / { proxy_pass http://api:8000; proxy_connect_timeout 1s; }
	}
	server {
		listen 8080;
		server_name later.test;
		resolver 127.0.0.11 valid=1s;
		set $service far;
		location / { proxy_pass http://$service:8000; proxy_connect_timeout 1s; }
	}
}
"""


PLAIN: dict[str, Any] = {
    "image": "plain",
    "working_dir": PROJECT,
    "environment": {"PATH": "/usr/bin:/usr/sbin", "PYTHONPATH": SITE},
    "volumes": ["/usr:/usr:ro", "/srv:/srv:ro"],
    "restart": "unless-stopped",
    "stop_grace_period": "1s",
    "cap_drop": ["ALL"],  # the lab has not all that Docker gives by default
}
APPLICATION = PLAIN | {
    "command": ["python3", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000"]
}
ANOTHER = {"name": "annex", "services": {"api": APPLICATION}}
"""A project with a service of the same name and port, in a network of its own."""


def composed(**moved: str) -> str:
    """Return the project: three applications, and nginx in front of one of them.

    Those of ``moved`` have another address than usual.
    """
    applications = {
        name: APPLICATION | {"networks": {"default": {"ipv4_address": address}}}
        for name, address in (ADDRESSES | moved).items()
    }
    applications["web"]["ports"] = [f"{PUBLISHED}:8000"]
    document = {
        "name": "shop",
        "services": {
            **applications,
            "front": PLAIN
            | {
                "command": ["nginx", "-c", f"{PROJECT}/front.conf", "-g", "daemon off;"],
                "user": "33:33",
                "ports": [f"{FRONT}:8080"],
                "depends_on": ["api"],
            },
        },
        "networks": {"default": {"ipam": {"config": [{"subnet": "172.30.0.0/24"}]}}},
    }
    return json.dumps(document, indent=2)  # which is YAML too


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("docked", *PACKAGES) as site:
        host = site.host
        host.write("/etc/hosts", "127.0.0.1 localhost web.test\n")
        host.write(f"{PROJECT}/app.py", BASE)
        host.write(f"{PROJECT}/front.conf", INSIDE)
        host.write(COMPOSE, composed())
        host.write(ANNEX, json.dumps(ANOTHER))
        host.write("/etc/default/docker", 'DOCKER_OPTS="--iptables=false --storage-driver=vfs"\n')
        host.write("/etc/sysusers.d/docker.conf", "g docker - -\n")
        host.run(["systemd-sysusers"])
        host.run(["ln", "-s", "xtables-nft-multi", "/usr/sbin/iptables"])
        host.write("/etc/nginx/nginx.conf", NGINX)
        host.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
        nginx_serves(site)
        host.systemctl("start", "docker", "nginx")
        host.run(["sh", "-c", IMAGE])
        compose(site, "up", "-d")
        host.run(["docker", "compose", "-f", ANNEX, "up", "-d"])
        folder = "/etc/systemd/system/badgateway.service.d"
        host.write(f"{folder}/docker.conf", "[Service]\nSupplementaryGroups=docker\n")
        site.start_exporter(CONFIG)
        well(site)
        yield site


def nginx_serves(site: Rehearsal, web: str = PUBLISHED, far: str = FAR) -> None:
    """Write the sites of the host's nginx."""
    site.host.write(SITES, server("web", to(web)) + server("far", to(far)))


def compose(site: Rehearsal, *arguments: str) -> None:
    site.host.run(["docker", "compose", "-f", COMPOSE, *arguments])


def told(site: Rehearsal) -> dict[str, tuple[str, int]]:
    """Return of each backend what is wrong with it, and how many risks there are."""
    return {
        name: (said["diagnosis"]["name"], len(said["risks"]))
        for name, said in site.answers().items()
    }


def well(site: Rehearsal) -> None:
    """Everything is as it should be again, and said so."""
    try:
        until(lambda: told(site) == dict.fromkeys(NAMES, ("none", 0)), 40)
    except AssertionError:
        raise AssertionError(f"not well: {site.answers()}") from None


@contextmanager
def restored(site: Rehearsal) -> Iterator[None]:
    """Put everything right at the end, and see that it is said to be."""
    try:
        yield
    finally:
        nginx_serves(site)
        site.host.write(COMPOSE, composed())
        compose(site, "up", "-d")
        reload(site)
    well(site)


def leads(site: Rehearsal, proxy: str, upstream: str) -> str:
    """Return the backend that a proxy's upstream is joined to."""
    found = {
        dict(labels)["backend"]
        for (metric, labels), value in site.scrape().items()
        if metric == "badgateway_backend_info" and value
        if (dict(labels)["proxy"], dict(labels)["upstream"]) == (proxy, upstream)
    }
    assert len(found) == 1, found
    return found.pop()


def test_a_published_port_is_the_containers_own(site: Rehearsal) -> None:
    assert leads(site, "nginx", PUBLISHED) == "shop/web"
    assert site.cause("shop/web") == ("none", "")


def test_a_wrong_port_is_told_before_and_after_the_reload(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, web="127.0.0.1:8001")
        risks(site, "shop/web", "next_reload_misroutes", "127.0.0.1:8001", PUBLISHED)
        assert site.cause("shop/web") == ("none", "")
        reload(site)
        says(
            site, "shop/web", "wrong_upstream", "127.0.0.1:8001", "where nothing listens",
            f"shop/web itself answers at {PUBLISHED}",
        )  # fmt: skip


def test_a_service_is_known_by_its_name_to_a_proxy_in_its_network(site: Rehearsal) -> None:
    assert leads(site, "shop/front", "api:8000") == "shop/api"
    assert site.cause("shop/api") == ("none", "")


def test_a_name_that_dockers_own_name_server_knows_is_not_said_to_lead_nowhere(
    site: Rehearsal,
) -> None:
    argv = ["curl", "-s", "-m", "3", "-H", "Host: later.test", f"http://{FRONT}/"]
    assert site.host.run(argv).stdout == "ok"
    assert site.host.run(["getent", "hosts", "far"], check=False).stdout == ""
    assert leads(site, "shop/front", "far:8000") == "shop/far"
    assert site.cause("shop/far") == ("none", "")


def test_a_bridge_address_is_the_containers_own(site: Rehearsal) -> None:
    assert leads(site, "nginx", FAR) == "shop/far"


def test_a_container_created_anew_keeps_its_name(site: Rehearsal) -> None:
    compose(site, "up", "-d", "--force-recreate", "web")
    until(lambda: site.get("web") == "200", 20)
    well(site)
    assert leads(site, "nginx", PUBLISHED) == "shop/web"


def test_a_container_of_another_address_is_missed_where_its_own_was_written(
    site: Rehearsal,
) -> None:
    with restored(site):
        site.host.write(COMPOSE, composed(far=MOVED))
        compose(site, "up", "-d", "far")
        says(
            site, "shop/far", "wrong_upstream", FAR, "where nothing listens",
            f"shop/far itself answers at {MOVED}:8000",
        )  # fmt: skip
        nginx_serves(site, far=f"{MOVED}:8000")
        reload(site)
        well(site)
        assert leads(site, "nginx", f"{MOVED}:8000") == "shop/far"


@pytest.mark.parametrize("name", ["web", "api", "far"])
def test_a_stopped_container_is_no_wrong_upstream(site: Rehearsal, name: str) -> None:
    with restored(site):
        compose(site, "stop", name)
        says(site, f"shop/{name}", "service_stopped", f"shop/{name}")
        assert told(site) == {
            n: ("service_stopped" if n == f"shop/{name}" else "none", 0) for n in NAMES
        }
