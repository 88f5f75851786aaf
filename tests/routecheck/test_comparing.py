"""Two environments' configurations side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from badgateway.routecheck.comparing import compare
from tests.routecheck.world import nginx

SERVER = "server {{ listen 80; server_name {name}; location / {{ {body} }} }}\n"


def differences(
    folder: Path, staging: str, production: str, **names: str
) -> list[tuple[str, str, str]]:
    one = nginx(folder, staging, "staging.conf")
    other = nginx(folder, production, "production.conf")
    renames = {k.replace("_", "."): v for k, v in names.items()}
    return [(f.kind, f.subject, f.message) for f in compare(one, other, renames)]


def server(name: str, target: str, directive: str = "proxy_pass") -> str:
    return SERVER.format(name=name, body=f"{directive} {target};")


def test_the_same_map_on_other_hosts_is_the_same(tmp_path: Path) -> None:
    assert not differences(
        tmp_path,
        server("shop.staging.org", "http://127.0.0.1:8001"),
        server("shop.example.org", "http://10.0.0.7:8001"),
        staging_org="example.org",
    )


def test_a_site_of_one_side_only_is_a_difference(tmp_path: Path) -> None:
    both = server("shop.example.org", "http://127.0.0.1:8001")
    ((kind, subject, message),) = differences(
        tmp_path, both, both + server("blog.example.org", "http://127.0.0.1:8002")
    )
    assert (kind, subject) == ("routes_differ", "blog.example.org")
    assert "production.conf leads blog.example.org" in message


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("proxy_pass http://127.0.0.1:8001;", "proxy_pass http://127.0.0.1:8002;", ":8002"),
        ("proxy_pass http://unix:/run/a.sock;", "proxy_pass http://unix:/run/b.sock;", "b.sock"),
        ("proxy_pass http://127.0.0.1:8001;", "uwsgi_pass 127.0.0.1:8001;", "speaks http"),
        ("proxy_pass http://127.0.0.1:8001;", "proxy_pass https://127.0.0.1:8001;", "over TLS"),
    ],
)
def test_another_port_socket_or_protocol_is_a_difference(
    tmp_path: Path, one: str, other: str, said: str
) -> None:
    ((_, subject, message),) = differences(
        tmp_path, SERVER.format(name="a.org", body=one), SERVER.format(name="a.org", body=other)
    )
    assert subject == "a.org"
    assert said in message


def test_another_number_of_upstreams_is_a_difference(tmp_path: Path) -> None:
    group = "upstream shop {{ {members} }}\n" + server("a.org", "http://shop").replace(
        "{", "{{"
    ).replace("}", "}}")
    one = group.format(members="server 10.0.0.1:8001;")
    two = group.format(members="server 10.0.0.1:8001; server 10.0.0.2:8001;")
    ((_, _, message),) = differences(tmp_path, one, two)
    assert "1 upstreams" in message or "2 upstreams" in message
    assert not differences(tmp_path, two, two.replace("10.0.0.", "10.9.0."))


def test_what_only_the_proxy_fills_in_is_no_difference(tmp_path: Path) -> None:
    assert not differences(
        tmp_path,
        server("a.org", "http://$upstream"),
        server("a.org", "http://127.0.0.1:8001"),
    )
