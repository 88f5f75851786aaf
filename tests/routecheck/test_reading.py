"""Which configuration a file is, and what of it cannot be read or would be refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway import vocabulary
from badgateway.routecheck import kinds, reading
from badgateway.routecheck.judging import Basis, judge
from badgateway.routecheck.reading import CannotReadError, ProxyFile
from tests.routecheck.world import Host, judged, nginx, trusted_caddy


def kind(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return kinds.kind_of(folder / name)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("nginx.conf", "", "nginx"),
        ("nginx.conf.j2", "{{ x }}", "nginx"),
        ("shop", "server { listen 80; }", "nginx"),
        ("api.conf", "upstream api {\n server 127.0.0.1:1;\n}", "nginx"),
        ("snippet.conf", "proxy_pass http://127.0.0.1:1;", "nginx"),
        ("tls.conf", "ssl_certificate /etc/ssl/a.pem;  # ours", "nginx"),
        ("supervisord.conf", "[program:a]\ncommand=a; b\n", ""),
        ("Caddyfile", "", "caddyfile"),
        ("Caddyfile.production", "", "caddyfile"),
        ("shop.caddyfile", "", "caddyfile"),
        ("site", "shop.example.org {\n\treverse_proxy 127.0.0.1:1\n}", "caddyfile"),
        ("caddy.json", "{}", "caddy-json"),
        ("autosave", '{"apps": {}}', "caddy-json"),
        ("docker-compose.yml", "services: {}", ""),
        ("notes", "the server listens", ""),
    ],
)
def test_a_file_is_known_by_its_name_or_by_what_it_holds(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    assert kind(tmp_path, name, text) == expected


def test_a_folder_of_a_project_is_no_proxys(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").touch()
    assert kinds.main_file(tmp_path) == tmp_path / "nginx.conf"
    (tmp_path / "pyproject.toml").touch()
    assert kinds.main_file(tmp_path) is None


def test_a_folder_of_pieces_is_judged_as_one_configuration(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/groups.conf").write_text("upstream shop { server 127.0.0.1:99999; }")
    (tmp_path / "conf.d/notes.md").write_text("server { }")
    (tmp_path / "conf.d/shop.conf").write_text(
        "server { listen 80; location / { proxy_pass http://shop; } }"
    )
    assert kinds.main_file(tmp_path / "conf.d") == tmp_path / "conf.d"
    assert kinds.main_file(tmp_path) is None
    file = asyncio.run(reading.read(tmp_path / "conf.d", kinds.NGINX))
    (route,) = file.routes
    assert (route.group, route.upstream) == ("shop", "127.0.0.1:99999")
    assert route.place == f"{tmp_path}/conf.d/groups.conf:1"


def test_a_piece_without_http_is_judged_as_if_it_stood_there(tmp_path: Path) -> None:
    file = nginx(tmp_path, "upstream a { server 127.0.0.1:0; }")
    assert judged(file) == [("high", "upstream_invalid", "127.0.0.1:0")]
    file = nginx(tmp_path, "location /x { proxy_pass http://127.0.0.1:70000; }")
    assert judged(file) == [("high", "upstream_invalid", "127.0.0.1:70000")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("server {\n proxy_set_header Host $host\n listen 80;\n}", 2),
        ("server {\n listen 80;\n proxy_buffering maybe;\n}", 3),
        ("server {\n listen 80;\n location / {\n  worker_processes 2;\n }\n}", 4),
        ("server {\n listen 80;\n server_name;\n}", 3),
    ],
)
def test_what_nginx_refuses_for_sure_is_told_with_its_line(
    tmp_path: Path, text: str, line: int
) -> None:
    found = judged(nginx(tmp_path, text))
    assert ("fatal", "proxy_config_invalid", f"{tmp_path}/shop.conf:{line}") in found


@pytest.mark.parametrize(
    "text",
    [
        "brotli on; server { listen 80; more_set_headers 'A: b'; vhost_traffic_status on; }",
        "server { listen 443 quic reuseport; http3 on; listen 443 ssl; http2 on; }",
        "map $host $a { default 1; x.example.org 2; } server { listen 80; }",
    ],
)
def test_what_a_module_may_know_is_not_called_wrong(tmp_path: Path, text: str) -> None:
    assert judged(nginx(tmp_path, text)) == []


def test_what_cannot_be_parsed_is_told_with_its_line(tmp_path: Path) -> None:
    found = judged(nginx(tmp_path, "server {\n listen 80;\n location / {\n"))
    assert [f[:2] for f in found] == [("high", "proxy_config_unreadable")]
    assert found[0][2].startswith(f"{tmp_path}/shop.conf:")


def test_a_checkout_holds_what_lies_elsewhere_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/shop.conf").write_text(
        "server { listen 80; location / { proxy_pass http://127.0.0.1:0; } }"
    )
    file = nginx(
        tmp_path,
        "events {}\nhttp {\n include mime.types;\n include /etc/nginx/conf.d/*.conf;\n}",
        "nginx.conf",
    )
    assert judged(file) == [
        ("high", "upstream_invalid", "127.0.0.1:0"),
        ("info", "proxy_config_unreadable", f"{tmp_path}/nginx.conf:3"),
    ]


def test_a_file_that_a_checkout_lacks_is_grave(tmp_path: Path) -> None:
    file = nginx(tmp_path, "events {}\nhttp {\n include conf.d/gone.conf;\n}", "nginx.conf")
    assert judged(file) == [("high", "proxy_config_unreadable", f"{tmp_path}/nginx.conf:3")]


def test_where_the_proxy_reads_it_everything_included_has_to_be_there(tmp_path: Path) -> None:
    file = nginx(tmp_path, "events {}\nhttp {\n include mime.types;\n}", "nginx.conf")
    (found,) = judged(file, Basis(Host(), is_own=True))
    assert found[0] == "high"


def test_a_pattern_that_fits_nothing_is_mentioned_away_from_the_host_only(tmp_path: Path) -> None:
    file = nginx(tmp_path, "events {}\nhttp {\n include sites/*;\n}", "nginx.conf")
    assert [f[:2] for f in judged(file)] == [("info", "proxy_config_unreadable")]
    assert judged(file, Basis(Host())) == []


def test_a_site_finds_what_its_main_file_would_include(tmp_path: Path) -> None:
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets/to.conf").write_text("proxy_pass http://127.0.0.1:0;")
    file = nginx(
        tmp_path,
        "server { listen 80; location / { include snippets/to.conf; } }",
        "sites-available/shop",
    )
    assert judged(file) == [("high", "upstream_invalid", "127.0.0.1:0")]


def test_a_template_is_not_judged_but_for_what_is_written_out(tmp_path: Path) -> None:
    text = """
    {% for site in sites %}
    server {
        listen 80;
        server_name {{ site.name }};
        location / { proxy_pass http://{{ site.upstream }}; }
    }
    {% endfor %}
    server { listen 80; location / { proxy_pass http://127.0.0.1:99999; } }
    """
    found = judged(nginx(tmp_path, text, "nginx.conf.j2"))
    path = f"{tmp_path}/nginx.conf.j2"
    assert ("info", "proxy_config_template", path) in found
    assert {severity for severity, kind, _ in found if kind == "proxy_config_template"} == {"info"}
    assert {kind for _, kind, _ in found} <= {"proxy_config_template", "upstream_invalid"}


def caddy(folder: Path, text: str) -> ProxyFile:
    # readable for the user that the adapter runs as
    folder.chmod(0o755)
    path = folder / "Caddyfile"
    path.write_text(text)
    return asyncio.run(reading.read(path, kinds.CADDYFILE, trusted_caddy()))


def test_a_caddyfile_is_read_by_its_own_adapter(world_readable: Path) -> None:
    file = caddy(
        world_readable,
        "shop.example.org {\n\treverse_proxy 127.0.0.1:8001\n}\n"
        "blog.example.org {\n\treverse_proxy 127.0.0.1:8002\n}\n",
    )
    assert [(r.site, r.upstream) for r in file.routes] == [
        ("shop.example.org", "127.0.0.1:8001"), ("blog.example.org", "127.0.0.1:8002"),
    ]  # fmt: skip
    assert judged(file, Basis(Host(listening=("127.0.0.1:8001",)))) == [
        ("high", "upstream_not_listening", "127.0.0.1:8002")
    ]
    assert file.routes[1].place == f"{world_readable}/Caddyfile:5"


def test_what_caddy_refuses_is_told_with_its_line(world_readable: Path) -> None:
    file = caddy(world_readable, "shop.example.org {\n\treverse_prxy 127.0.0.1:8001\n}\n")
    (found,) = judged(file)
    assert found == ("fatal", "proxy_config_invalid", f"{world_readable}/Caddyfile:2")


def test_without_caddy_a_caddyfile_cannot_be_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CADDY_PLACES", ())
    (tmp_path / "Caddyfile").write_text("shop.example.org {\n}\n")
    with pytest.raises(CannotReadError, match="install caddy, or name it with --caddy"):
        asyncio.run(reading.read(tmp_path / "Caddyfile", kinds.CADDYFILE))


def test_caddys_json_is_read_without_caddy(tmp_path: Path) -> None:
    handler = {"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:8001"}]}
    server = {"listen": [":80"], "routes": [{"handle": [handler]}]}
    path = tmp_path / "caddy.json"
    path.write_text(json.dumps({"apps": {"http": {"servers": {"a": server}}}}))
    file = asyncio.run(reading.read(path, kinds.CADDY_JSON))
    assert [r.upstream for r in file.routes] == ["127.0.0.1:8001"]


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', "nothing"])
def test_json_that_is_none_of_caddys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "caddy.json"
    path.write_text(text)
    with pytest.raises(CannotReadError):
        asyncio.run(reading.read(path, kinds.CADDY_JSON))


def test_a_caddyfiles_site_without_tls_is_none_with_it(world_readable: Path) -> None:
    text = "http://shop.example.org:8080 {\n\treverse_proxy 127.0.0.1:8001\n}\n"
    assert [r.tls for r in caddy(world_readable, text).routes] == [False]
    text = "shop.example.org:8443 {\n\treverse_proxy 127.0.0.1:8001\n}\n"
    assert [r.tls for r in caddy(world_readable, text).routes] == [True]


WORDS = (
    "server", "upstream", "shop", "location", "/", "http", "proxy_pass", "http://shop;", "{", "}",
    "}", ";", "listen 80;", "server 127.0.0.1:1;", "include *.conf;", "$x", "'", "map", "#", "\n",
    "server_name a b;", "if ($x)", "{{ x }}", "<% y %>", "__Z__",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_whatever_a_configuration_holds_it_is_judged(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    file = nginx(folder, " ".join(words), "any.conf")
    for basis in (Basis(), Basis(Host(), ("127.0.0.1:1",), today=())):
        for finding in judge(file, basis):
            assert finding.kind in vocabulary.ROUTE_KINDS
            assert finding.severity in vocabulary.SEVERITIES
            assert finding.message
