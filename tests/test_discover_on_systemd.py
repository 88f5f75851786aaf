"""``badgateway discover`` on a host with real nginx, Caddy, uvicorn and gunicorn under systemd."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import observers
from tests.rehearsal import Rehearsal, rehearsal, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(200)]

PROGRAM = "/usr/bin/badgateway"
FOUND = "/srv/changes/found.yml"
PASSWORD = "hunter2"
NGINX = """\
user www-data;
pid /run/nginx.pid;
events {}
http {
	include /etc/nginx/conf.d/*.conf;
}
"""
SITES = """\
upstream one {
	server 127.0.0.1:8101;
	server 127.0.0.1:8109 backup;
}
server {
	listen 80;
	server_name one.test;
	location / { proxy_pass http://one; }
}
server {
	listen 80;
	server_name two.test;
	location / {
		proxy_set_header Authorization "Basic hunter2";
		proxy_pass http://127.0.0.1:8102/?token=hunter2;
	}
}
server {
	listen 80;
	server_name closed.test;
	return 503;
}
"""
CADDY = """\
{
	admin localhost:2019
}
http://three.test:81 {
	reverse_proxy 127.0.0.1:8103 {
		header_up Authorization "Basic hunter2"
	}
}
http://far.test:81 {
	reverse_proxy 192.0.2.7:8080
}
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("discover", "nginx", "nginx-common") as site:
        host = site.host
        secret = f"Environment=DATABASE_URL=postgres://joe:{PASSWORD}@db/shop"
        site.application("one", 8101, service=secret)
        site.application("two", 8102)
        site.application("three", 8103)
        place = "/srv/two"
        command = f"{place}/.venv/bin/python -m gunicorn -w 2 -k uvicorn.workers.UvicornWorker"
        host.write(
            "/etc/systemd/system/two.service",
            f"[Service]\nWorkingDirectory={place}\n{secret}\n"
            f"ExecStart={command} -b 127.0.0.1:8102 two.main:app\n",
        )
        host.write("/etc/nginx/nginx.conf", NGINX)
        host.write("/etc/nginx/conf.d/sites.conf", SITES)
        host.write("/etc/caddy/Caddyfile", CADDY)
        host.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
        observers.install_exporter(host, "")
        host.systemctl("daemon-reload")
        host.systemctl("start", "one", "two", "three", "nginx", "caddy")
        until(lambda: site.get("one") == site.get("two") == "200", 30)
        yield site


def discover(site: Rehearsal, *words: str) -> subprocess.CompletedProcess[str]:
    return site.host.run([PROGRAM, "discover", *words], check=False)


def as_data(site: Rehearsal, *words: str) -> dict[str, Any]:
    done = discover(site, "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_tree_leads_from_each_proxy_to_each_application(site: Rehearsal) -> None:
    done = discover(site)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip("├└│─ ") for line in done.stdout.splitlines()]
    at = {name: n for n, line in enumerate(lines) for name in [line.split("  ")[0]]}
    told = {line.split("  ")[0]: line for line in lines}
    assert "unit nginx.service, /etc/nginx/nginx.conf" in told["nginx"]
    assert "unit caddy.service" in told["caddy"]
    assert at["nginx"] < at["one.test"] < at["127.0.0.1:8101"] < at["two.test"]
    assert at["127.0.0.1:8103"] > at["caddy"] < at["far.test"]
    assert "something listens there (one.service)" in told["127.0.0.1:8101"]
    assert told["127.0.0.1:8101"].endswith("/etc/nginx/conf.d/sites.conf:2")
    assert "backup" in told["127.0.0.1:8109"]
    assert "answers 503 by itself" in told["closed.test"]
    assert any("gunicorn two.main:app, 2 workers, at 127.0.0.1:8102" in line for line in lines)
    assert any("uvicorn three.main:app, 1 worker" in line for line in lines)


@pytest.mark.parametrize("words", [(), ("--json",), ("--yaml",)])
def test_no_secret_of_the_host_is_printed(site: Rehearsal, words: tuple[str, ...]) -> None:
    done = discover(site, *words)
    assert done.returncode == 0
    assert "8102" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


def test_what_is_printed_as_a_configuration_finds_the_same(site: Rehearsal) -> None:
    site.host.write(FOUND, discover(site, "--yaml").stdout)
    first, again = as_data(site), as_data(site, "--config.file", FOUND)
    assert again["proxies"] == first["proxies"]
    assert again["applications"] == first["applications"]
    assert again["elsewhere"] == first["elsewhere"]


def test_the_exporter_takes_what_is_printed_as_it_is(site: Rehearsal) -> None:
    def names() -> tuple[set[str], set[tuple[str, ...]]]:
        labels = ("backend", "proxy", "site", "upstream", "manager", "unit", "server")
        series = [dict(found) for metric, found in site.scrape() if metric.endswith("backend_info")]
        return set(site.answers()), {tuple(s.get(n, "") for n in labels) for s in series}

    site.start_exporter()
    until(lambda: {"one", "two", "three"} <= set(site.answers()), 40)
    before = names()
    site.host.write(observers.CONFIG, discover(site, "--yaml").stdout)
    site.host.restart("badgateway")
    until(lambda: {"one", "two", "three"} <= set(site.answers()), 40)
    assert names() == before
    assert {"one", "two", "three"} <= before[0]


def test_what_is_printed_is_what_a_check_may_expect(site: Rehearsal) -> None:
    site.host.write(FOUND, discover(site, "--yaml").stdout)
    check = [PROGRAM, "check", "--elsewhere", "--expect", FOUND, "/etc/nginx/nginx.conf"]
    done = site.host.run(check, check=False)
    assert done.returncode == 0, done.stdout
    site.host.write("/srv/changes/wrong.conf", NGINX.replace("conf.d/*", "wrong.d/*"))
    site.host.write("/etc/nginx/wrong.d/sites.conf", SITES.replace("8102", "8120"))
    done = site.host.run([*check[:-1], "/srv/changes/wrong.conf"], check=False)
    assert done.returncode == 1
    assert "did you mean 127.0.0.1:8102?" in done.stdout


def verify(site: Rehearsal) -> subprocess.CompletedProcess[str]:
    words = [PROGRAM, "verify", "--wait", "15s", "--steady", "3s"]
    return site.host.run(words, check=False)


def test_a_release_is_verified_without_its_spares_and_closed_sites(site: Rehearsal) -> None:
    host = site.host
    host.write(observers.CONFIG, "")
    host.write("/etc/caddy/Caddyfile", CADDY.partition("http://far")[0])
    closed = "if (-f /run/closed) { return 503; } proxy_pass http://127.0.0.1:8101;"
    host.write("/run/closed", "")
    more = f"server {{ listen 80; server_name shut.test; location / {{ {closed} }} }}\n"
    host.write("/etc/nginx/conf.d/sites.conf", SITES + more)
    host.systemctl("reload", "caddy", "nginx")
    done = verify(site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8109" not in done.stdout  # the backup, where nothing listens
    # but a site that leads nowhere is no spare, be it asked for or not
    host.write("/etc/nginx/conf.d/sites.conf", SITES + more.replace("8101", "8188"))
    host.systemctl("reload", "nginx")
    done = verify(site)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "127.0.0.1:8188" in done.stdout


def test_a_caddyfiles_variables_have_the_values_of_its_unit(site: Rehearsal) -> None:
    host = site.host
    text = CADDY.partition("http://far")[0].replace("127.0.0.1:8103", "{$UP}")
    host.write("/etc/caddy/Caddyfile", text)

    def checked(up: str) -> subprocess.CompletedProcess[str]:
        place = "/etc/systemd/system/caddy.service.d/up.conf"
        host.write(place, f"[Service]\nEnvironment=UP={up}\n")
        host.systemctl("daemon-reload")
        return host.run([PROGRAM, "check", "/etc/caddy/Caddyfile"], check=False)

    done = checked("127.0.0.1:8103")
    assert done.returncode == 0, done.stdout
    assert "no value here" not in done.stdout
    done = checked("127.0.0.1:8130")
    assert done.returncode == 1, done.stdout
    assert "Nothing listens at 127.0.0.1:8130" in done.stdout
