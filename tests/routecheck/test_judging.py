"""What is found wrong with where a configuration leads, and what is right and stays silent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from badgateway.packages.findings import Finding
from badgateway.routecheck import sight
from badgateway.routecheck.judging import Basis, judge
from badgateway.topology.backends import Backend
from badgateway.topology.launch.command import Launch
from badgateway.topology.routes import Route
from tests.routecheck.world import Host, judged, nginx

SHOP = """
upstream shop {{
    {members}
}}
server {{
    listen 80;
    server_name shop.example.org;
    location / {{ proxy_pass http://shop; }}
}}
"""
HERE = Host(listening=("127.0.0.1:8001", "[::1]:8004", "unix:/run/shop.sock"))


def shop(folder: Path, *members: str) -> str:
    return SHOP.format(members="\n    ".join(f"server {member};" for member in members))


def on_host(folder: Path, *members: str, host: Host = HERE) -> list[tuple[str, str, str]]:
    return judged(nginx(folder, shop(folder, *members)), Basis(host))


def test_an_upstream_where_nothing_listens_is_found_with_its_line(tmp_path: Path) -> None:
    file = nginx(tmp_path, shop(tmp_path, "127.0.0.1:8011"))
    (finding,) = judge(file, Basis(HERE))
    assert (finding.kind, finding.severity) == ("upstream_not_listening", "high")
    assert finding.subject == "127.0.0.1:8011"
    assert finding.where == f"{tmp_path}/shop.conf:3"
    assert "shop.example.org" in finding.message


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("127.0.0.1:99999", "upstream_invalid"),
        ("127.0.0.1:8004", "upstream_other_family"),
        ("gone.example.org:80", "name_unresolved"),
        ("unix:/run/gone.sock", "socket_missing"),
        ("unix:/run/closed.sock", "socket_permission"),
    ],
)
def test_each_way_to_lead_nowhere_has_a_name(tmp_path: Path, member: str, kind: str) -> None:
    sockets = {"/run/gone.sock": "missing", "/run/closed.sock": "denied"}
    host = Host(HERE.listening, sockets=sockets)
    ((severity, found, subject),) = on_host(tmp_path, member, host=host)
    assert (found, subject) == (kind, member)
    assert severity == ("fatal" if kind == "name_unresolved" else "high")


@pytest.mark.parametrize(
    "members",
    [
        ("127.0.0.1:8001",),
        ("127.0.0.1:8001", "127.0.0.1:8002 down"),  # blue and green
        ("10.1.2.3:8001",),
        ("shop.internal:8001",),
        ("unix:/run/shop.sock",),
    ],
)
def test_what_is_right_stays_silent(tmp_path: Path, members: tuple[str, ...]) -> None:
    host = Host(HERE.listening, names={"shop.internal": ("10.1.2.3",)})
    assert on_host(tmp_path, *members, host=host) == []


def test_a_backup_that_does_not_listen_is_only_mentioned(tmp_path: Path) -> None:
    found = on_host(tmp_path, "127.0.0.1:8001", "127.0.0.1:8002 backup")
    assert found == [("info", "upstream_not_listening", "127.0.0.1:8002")]


def test_one_silent_member_among_others_that_listen_is_a_warning(tmp_path: Path) -> None:
    found = on_host(tmp_path, "127.0.0.1:8001", "127.0.0.1:8002")
    assert found == [("warn", "upstream_not_listening", "127.0.0.1:8002")]


def test_a_maintenance_answer_and_a_name_known_at_run_time_stay_silent(tmp_path: Path) -> None:
    text = """
    server { listen 80; server_name a.example.org; return 503; }
    server {
        listen 80; server_name b.example.org; resolver 127.0.0.53;
        location / { proxy_pass http://$http_x_backend; }
    }
    """
    assert judged(nginx(tmp_path, text), Basis(HERE)) == []


def test_a_name_that_is_looked_up_at_run_time_does_not_keep_nginx_from_starting(
    tmp_path: Path,
) -> None:
    text = """
    server {
        listen 80; server_name b.example.org; resolver 127.0.0.53;
        set $shop gone.example.org;
        location / { proxy_pass http://$shop:8001; }
    }
    """
    assert judged(nginx(tmp_path, text), Basis(HERE)) == [
        ("high", "name_unresolved", "gone.example.org:8001")
    ]


def test_without_the_host_only_what_is_written_is_judged(tmp_path: Path) -> None:
    file = nginx(tmp_path, shop(tmp_path, "127.0.0.1:8011", "gone.example.org:1", "[::1]:0"))
    assert judged(file) == [("high", "upstream_invalid", "[::1]:0")]


def test_what_is_not_expected_is_told_with_what_was_meant(tmp_path: Path) -> None:
    file = nginx(tmp_path, shop(tmp_path, "127.0.0.1:8011", "localhost:8001"))
    basis = Basis(expected=("127.0.0.1:8001", "10.0.0.7:9000"))
    (finding,) = judge(file, basis)
    assert (finding.kind, finding.severity) == ("upstream_not_expected", "high")
    assert "did you mean 127.0.0.1:8001?" in finding.message
    assert finding.fix == "write 127.0.0.1:8001 instead of 127.0.0.1:8011"


APPLICATIONS = (
    Backend("shop", "systemd", "shop.service", listens=("127.0.0.1:8001",)),
    Backend("blog", "systemd", "blog.service", listens=("127.0.0.1:8002",)),
)
TODAY = (
    Route("shop.example.org", ":80", "127.0.0.1:8001"),
    Route("blog.example.org", ":80", "127.0.0.1:8002"),
)
BOTH = Host(listening=("127.0.0.1:8001", "127.0.0.1:8002"))


def sites(folder: Path, shop: str, blog: str) -> tuple[Finding, ...]:
    text = "".join(
        f"server {{ listen 80; server_name {name}.example.org;"
        f" location / {{ proxy_pass http://{address}; }} }}\n"
        for name, address in (("shop", shop), ("blog", blog))
    )
    return judge(nginx(folder, text), Basis(BOTH, None, APPLICATIONS, TODAY))


def test_a_site_led_to_another_sites_application_is_found(tmp_path: Path) -> None:
    (finding,) = sites(tmp_path, "127.0.0.1:8002", "127.0.0.1:8002")
    assert finding.kind == "upstream_other_application"
    assert finding.where == f"{tmp_path}/shop.conf:1"
    assert "shop.example.org leads to shop today and would be led to blog" in finding.message
    assert finding.fix == "write 127.0.0.1:8001 instead of 127.0.0.1:8002"


def test_a_site_that_leaves_an_application_which_is_gone_is_not_misled(tmp_path: Path) -> None:
    text = SHOP.format(members="server 127.0.0.1:8002;")
    host = Host(listening=("127.0.0.1:8002",))
    assert judged(nginx(tmp_path, text), Basis(host, None, APPLICATIONS, TODAY)) == []


def test_services_of_which_only_the_unit_is_known_are_told_apart_by_it(tmp_path: Path) -> None:
    owners = {"127.0.0.1:8001": "shop.service", "127.0.0.1:8002": "blog.service"}
    host = Host(BOTH.listening, owners=owners)
    text = SHOP.format(members="server 127.0.0.1:8002;")
    (finding,) = judge(nginx(tmp_path, text), Basis(host, today=TODAY))
    assert finding.kind == "upstream_other_application"
    assert "leads to shop.service today and would be led to blog.service" in finding.message


def test_two_sites_that_change_places_are_still_both_led_somewhere(tmp_path: Path) -> None:
    assert sites(tmp_path, "127.0.0.1:8002", "127.0.0.1:8001") == ()


def test_an_unchanged_configuration_is_clean(tmp_path: Path) -> None:
    assert sites(tmp_path, "127.0.0.1:8001", "127.0.0.1:8002") == ()


def test_a_wrong_port_is_told_with_where_the_sites_own_application_listens(
    tmp_path: Path,
) -> None:
    (finding,) = sites(tmp_path, "127.0.0.1:8009", "127.0.0.1:8002")
    assert finding.kind == "upstream_not_listening"
    assert finding.fix == ("write 127.0.0.1:8001 instead of 127.0.0.1:8009: shop listens there")


def test_a_proxy_that_outwaits_the_server_is_mentioned_where_the_server_is_known(
    tmp_path: Path,
) -> None:
    launch = Launch(server="gunicorn", worker_class="sync", timeouts=(("worker", 30.0),))
    known = (Backend("shop", "systemd", launch=launch, listens=("127.0.0.1:8001",)),)
    file = nginx(tmp_path, shop(tmp_path, "127.0.0.1:8001"))
    assert judged(file, Basis(HERE, None, known)) == [("info", "timeout_ladder", "shop")]


def test_a_resolver_that_does_not_answer_leaves_names_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sight, "resolve", lambda name: time.sleep(5 if "slow" in name else 0))
    monkeypatch.setattr(sight, "_RESOLVE_SECONDS", 0.3)
    begun = time.monotonic()
    found = asyncio.run(sight.lookup(["slow.example.org:80", "quick.example.org:80", "[::1]:1"]))
    assert set(found) == {"quick.example.org"}
    assert time.monotonic() - begun < 3
