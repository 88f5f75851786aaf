"""Real nginx, Caddy, uvicorn and gunicorn under systemd: each way to miss an application, twice.

Every cause and risk of the path is provoked in two different ways, and told of the application
whose site it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import names
from tests.rehearsal import Rehearsal, rehearsal, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SECONDS = 25
CONFIG = (
    "probes: {interval: 1s, timeout: 900ms}\ndiscovery: {interval: 2s}\n"
    "backends:\n  - name: one\n    probes:\n"
    '      - {name: edge, vantage: edge, url: "http://one.test/", expect: {status: [200]}}\n'
)
NGINX = """\
user www-data;
pid /run/nginx.pid;
events {}
http {
	access_log /var/log/nginx/access.log;
	error_log /var/log/nginx/error.log;
	limit_req_zone $server_name zone=one:1m rate=1r/m;
	include /etc/nginx/conf.d/*.conf;
}
"""
NAMES = {"one.internal": "127.0.0.1", "three.internal": "127.0.0.1"}
SITES = "/etc/nginx/conf.d/sites.conf"
ONE, TWO, SOCKET = "127.0.0.1:8101", "127.0.0.1:8102", "/run/socketed/app.sock"


def server(name: str, inside: str, port: int = 80) -> str:
    return f"server {{\n\tlisten {port};\n\tserver_name {name}.test;\n\t{inside}\n}}\n"


def to(upstream: str, more: str = "") -> str:
    return f"location / {{ {more} proxy_pass http://{upstream}; proxy_connect_timeout 1s; }}"


@pytest.fixture(scope="module")
def site() -> Iterator[Rehearsal]:
    with rehearsal("proxies", "nginx", "nginx-common") as site:
        host = site.host
        site.application("one", 8101)
        site.application("two", 8102)
        site.application("three", 8103)
        site.application("socketed", 0, f"--uds {SOCKET}", service="RuntimeDirectory=socketed")
        host.write("/etc/nginx/nginx.conf", NGINX)
        host.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
        host.write("/etc/hosts", "127.0.0.1 localhost one.test\n")
        names.start(host)
        names.write(host, NAMES)
        nginx_serves(site)
        caddy_serves(site)
        host.systemctl("daemon-reload")
        host.systemctl("start", "one", "two", "three", "socketed", "nginx", "caddy")
        site.start_exporter(CONFIG)
        until(lambda: len(site.answers()) == 4, 40)
        well(site)
        yield site


def nginx_serves(site: Rehearsal, one: str = to(ONE), **others: str) -> None:
    """Write nginx' sites; those of ``others`` in the place of the usual."""
    sites = {"one": one, "two": to(TWO), "socketed": to(f"unix:{SOCKET}:")} | others
    site.host.write(SITES, "".join(server(name, text) for name, text in sites.items()))


def caddy_serves(site: Rehearsal, three: str = "\treverse_proxy 127.0.0.1:8103") -> None:
    text = f"http://three.test:81 {{\n{three}\n}}\n"
    site.host.write("/etc/caddy/Caddyfile", f"{{\n\tadmin localhost:2019\n}}\n{text}")


def reload(site: Rehearsal, proxy: str = "nginx") -> None:
    site.host.systemctl("reload", proxy)


def well(site: Rehearsal) -> None:
    """Everything is as it should be again, and said so."""

    def fine() -> bool:
        answers = site.answers()
        found = {name: (a["diagnosis"]["name"], len(a["risks"])) for name, a in answers.items()}
        return set(found) == {"one", "two", "three", "socketed"} and all(
            cause == "none" and not risks for cause, risks in found.values()
        )

    try:
        until(fine, 40)
    except AssertionError:
        raise AssertionError(f"not well again: {site.answers()}") from None


@contextmanager
def restored(site: Rehearsal) -> Iterator[None]:
    """Put everything right at the end, and see that it is said to be."""
    try:
        yield
    finally:
        nginx_serves(site)
        caddy_serves(site)
        names.write(site.host, NAMES)
        site.host.systemctl("reset-failed", check=False)
        site.host.systemctl("reload-or-restart", "nginx", "caddy")
    well(site)


def says(site: Rehearsal, name: str, cause: str, subject: str, *words: str) -> None:
    """Wait until a cause is concluded, and what is said of it holds these words."""

    def told() -> bool:
        found = site.answers().get(name)
        if found is None or site.cause(name) != (cause, subject):
            return False
        said = found["diagnosis"]
        text = " ".join((said["summary"], *said["evidence"], *said["next_steps"]))
        return all(word in text for word in words)

    try:
        until(told, SECONDS, 0.5)
    except AssertionError:
        found = site.answers().get(name)
        raise AssertionError(f"not {cause} {subject} {words}: {found}") from None


def risks(site: Rehearsal, name: str, risk: str, subject: str, *words: str) -> None:
    """Wait until a risk is told, and see that what is said of it holds these words."""

    def told() -> dict[str, str] | None:
        found = site.answers().get(name, {"risks": ()})["risks"]
        return next((r for r in found if (r["name"], r["subject"]) == (risk, subject)), None)

    try:
        until(told, SECONDS, 0.5)
    except AssertionError:
        raise AssertionError(f"no {risk} {subject}: {site.answers().get(name)}") from None
    found = told()
    assert found is not None
    text = " ".join((found["summary"], *found["evidence"], *found["next_steps"]))
    assert [word for word in words if word not in text] == [], text


def test_nginx_sends_a_site_where_nothing_listens(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to("127.0.0.1:9001"))
        risks(site, "one", "next_reload_misroutes", "127.0.0.1:9001", f"{SITES}:4", ONE)
        assert site.cause("one") == ("none", "")
        reload(site)
        says(
            site, "one", "wrong_upstream", "127.0.0.1:9001", "where nothing listens",
            f"one itself answers at {ONE}", f"{SITES}:4", "has it loaded since",
        )  # fmt: skip
        assert site.cause("two") == ("none", "")


def test_caddy_sends_a_site_where_nothing_listens(site: Rehearsal) -> None:
    with restored(site):
        caddy_serves(site, "\treverse_proxy 127.0.0.1:9003")
        risks(site, "three", "next_reload_misroutes", "127.0.0.1:9003", "127.0.0.1:8103")
        reload(site, "caddy")
        says(site, "three", "wrong_upstream", "127.0.0.1:9003", "where nothing listens")


def test_a_site_is_sent_to_another_application(site: Rehearsal) -> None:
    with restored(site):
        site.host.write("/run/two-says", "")  # which answers 404 where the other answers 200
        nginx_serves(site, f"location / {{ proxy_pass http://{TWO}/404; }}")
        risks(site, "one", "next_reload_misroutes", TWO, "which is two")
        reload(site)
        says(site, "one", "wrong_upstream", TWO, "which is two")


def test_only_the_other_address_family_is_served(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to("[::1]:8101"))
        risks(site, "one", "next_reload_misroutes", "[::1]:8101", "address family")
        reload(site)
        says(site, "one", "wrong_upstream", "[::1]:8101", "the other address family")


def test_a_name_that_caddy_dials_leads_nowhere(site: Rehearsal) -> None:
    with restored(site):
        caddy_serves(site, "\treverse_proxy three.internal:8103")
        reload(site, "caddy")
        until(lambda: site.values("backend_info", upstream="three.internal:8103") == [1.0], 15)
        names.write(site.host, {"one.internal": "127.0.0.1"})
        says(site, "three", "name_unresolved", "three.internal", "getent hosts three.internal")


def test_a_name_that_nginx_asks_for_leads_nowhere(site: Rehearsal) -> None:
    with restored(site):
        variable = "resolver 127.0.0.1 valid=1s ipv6=off; set $up gone.internal;"
        nginx_serves(site, to("$up:8101", variable))
        reload(site)
        says(site, "one", "name_unresolved", "gone.internal")


def test_a_name_that_nginx_cannot_load_is_told_before(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to("gone.internal:8101"))
        risks(site, "one", "next_reload_fails", "gone.internal", f"{SITES}:4")
        assert site.cause("one") == ("none", "")


def test_a_configuration_that_nginx_would_refuse_is_told_before(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to(ONE, "prox_read_timeout 5s;"))
        risks(site, "one", "next_reload_fails", "nginx", "prox_read_timeout", f"{SITES}:4")
        assert site.values("proxy_config_valid", proxy="nginx") == [0.0]
        assert site.cause("one") == ("none", "")


def test_a_configuration_that_caddy_would_refuse_is_told_before(site: Rehearsal) -> None:
    with restored(site):
        caddy_serves(site, "\treverse_prox 127.0.0.1:8103")
        risks(site, "three", "next_reload_fails", "caddy", "reverse_prox")
        assert site.values("proxy_config_valid", proxy="caddy") == [0.0]


@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
def test_the_socket_is_another(site: Rehearsal, proxy: str) -> None:
    path = "/run/socketed/other.sock"
    with restored(site):
        if proxy == "nginx":
            nginx_serves(site, socketed=to(f"unix:{path}:"))
            name = "socketed"
        else:
            caddy_serves(site, f"\treverse_proxy unix/{path}")
            name = "three"
        reload(site, proxy)
        says(site, name, "socket_missing", path, "which does not exist", "ss -lxp")


@pytest.mark.parametrize("what", ["socket", "folder"])
def test_the_proxy_may_not_open_the_socket(site: Rehearsal, what: str) -> None:
    path, mode = (SOCKET, "666") if what == "socket" else ("/run/socketed", "755")
    site.host.run(["chmod", "700", path])
    says(site, "socketed", "socket_permission", SOCKET, f"namei -l {SOCKET}")
    site.host.run(["chmod", mode, path])
    well(site)


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_port_is_taken(site: Rehearsal, server: str) -> None:
    host = site.host
    host.write(
        "/etc/systemd/system/squatter.service",
        "[Service]\nExecStart=/usr/bin/python3 -m http.server 8102 --bind 127.0.0.1\n",
    )
    unit = host.read("/etc/systemd/system/two.service")
    if server == "gunicorn":
        command = "gunicorn -k uvicorn.workers.UvicornWorker -b 127.0.0.1:8102 two.main:app"
        host.write(
            "/etc/systemd/system/two.service",
            unit.replace("uvicorn two.main:app --port 8102", command),
        )
    host.systemctl("daemon-reload")
    host.systemctl("stop", "two")
    host.systemctl("start", "squatter")
    until(lambda: host.run(["curl", "-s", TWO], check=False).returncode == 0, 10)
    host.systemctl("start", "two")
    try:
        says(site, "two", "port_conflict", TWO, "squatter.service listens there", "ss -ltnp")
    finally:
        host.systemctl("stop", "squatter")
        host.write("/etc/systemd/system/two.service", unit)
        host.systemctl("daemon-reload")
        host.systemctl("restart", "two")
    well(site)


@pytest.mark.parametrize("how", ["no route", "silence"])
def test_the_host_cannot_be_reached(site: Rehearsal, how: str) -> None:
    address = "192.0.2.7"
    if how == "silence":
        # what is sent there comes back, and is nobody's
        site.host.run(["ip", "route", "add", "192.0.2.0/24", "dev", "lo"])
    name = f"{address}:8101"
    try:
        nginx_serves(site, far=to(name))
        reload(site)
        says(site, name, "host_unreachable", address, "far.test", f"ip route get {address}")
    finally:
        if how == "silence":
            site.host.run(["ip", "route", "del", "192.0.2.0/24", "dev", "lo"])
        with restored(site):
            pass


def test_nginx_does_not_run(site: Rehearsal) -> None:
    site.host.systemctl("stop", "nginx")
    says(site, "one", "proxy_down", "nginx", "does not run", "one itself answers")
    site.host.systemctl("start", "nginx")
    well(site)


def test_nginx_does_not_start_again_with_its_configuration(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to(ONE, "prox_read_timeout 5s;"))
        site.host.systemctl("stop", "nginx")
        site.host.systemctl("start", "nginx", check=False)
        says(site, "one", "proxy_down", "nginx", "prox_read_timeout", f"{SITES}:4")
        nginx_serves(site)
        site.host.systemctl("reset-failed", "nginx")
        site.host.systemctl("start", "nginx")


def test_nginx_answers_by_itself_as_it_is_told(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(
            site, f"location / {{ return 502; }} location /app {{ proxy_pass http://{ONE}; }}"
        )
        reload(site)
        says(site, "one", "proxy_answers_itself", "nginx", "answers 502 by itself", f"{SITES}:4")


def test_nginx_answers_by_itself_because_of_a_limit(site: Rehearsal) -> None:
    with restored(site):
        nginx_serves(site, to(ONE, "limit_req zone=one;"))
        reload(site)
        says(site, "one", "proxy_answers_itself", "nginx", "limiting requests")


@pytest.mark.parametrize("group", [False, True], ids=["proxy_pass", "upstream"])
def test_a_name_is_pinned(site: Rehearsal, group: bool) -> None:
    with restored(site):
        if group:
            upstream = "upstream named { server one.internal:8101; }\n"
            site.host.write("/etc/nginx/conf.d/named.conf", upstream)
        nginx_serves(site, to("named" if group else "one.internal:8101"))
        time.sleep(3)  # it is looked up before it is loaded
        reload(site)
        until(lambda: site.values("backend_info", upstream="one.internal:8101") == [1.0], 15)
        well(site)
        names.write(site.host, {"one.internal": "127.0.0.2", "three.internal": "127.0.0.1"})
        try:
            risks(site, "one", "name_pinned", "one.internal", "127.0.0.1", "127.0.0.2")
            assert site.get("one") == "200"
            assert site.cause("one") == ("none", "")
        finally:
            site.host.run(["rm", "-f", "/etc/nginx/conf.d/named.conf"])
