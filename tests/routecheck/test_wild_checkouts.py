"""Checkouts as people have them: pieces, folders of several files, and what other files bring."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from badgateway.routecheck import kinds, reading
from badgateway.routecheck.judging import Basis, judge
from badgateway.routecheck.reading import ProxyFile

MAIN = "events {}\nhttp {\n include conf.d/*.conf;\n}\n"
SITE = "server { listen 80; server_name a.test; location / { %s } }\n"


def checkout(folder: Path, **files: str) -> Path:
    """A folder with files; ``__`` in a name is a slash, ``_`` a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def read(path: Path) -> ProxyFile:
    return asyncio.run(reading.read(path, kinds.NGINX))


def told(file: ProxyFile, basis: Basis | None = None) -> list[tuple[str, str, str]]:
    """Severity, kind and subject of what is found, without what is only mentioned."""
    found = judge(file, basis or Basis())
    return [(f.severity, f.kind, f.subject) for f in found if f.severity != "info"]


def upstreams(file: ProxyFile) -> list[tuple[str, str]]:
    return [(route.upstream, route.group) for route in file.routes]


def test_a_piece_is_led_where_a_group_of_the_main_file_leads(tmp_path: Path) -> None:
    folder = checkout(
        tmp_path,
        nginx_conf=MAIN,
        conf_d__groups_conf="upstream app { server 127.0.0.1:8001; server 127.0.0.1:8002; }\n",
        sites__a_conf=SITE % "proxy_pass http://app;",
    )
    file = read(folder / "sites" / "a.conf")
    assert upstreams(file) == [("127.0.0.1:8001", "app"), ("127.0.0.1:8002", "app")]
    expected = ("127.0.0.1:8001", "127.0.0.1:8002")
    assert told(file, Basis(expected=expected)) == []


def test_a_piece_that_the_main_file_includes_has_its_group_once(tmp_path: Path) -> None:
    folder = checkout(
        tmp_path,
        nginx_conf=MAIN,
        conf_d__a_conf="upstream app { server 127.0.0.1:8001; }\n" + SITE % "uwsgi_pass app;",
    )
    file = read(folder / "conf.d" / "a.conf")
    assert upstreams(file) == [("127.0.0.1:8001", "app")]
    assert told(file) == []


def test_a_table_of_the_main_file_tells_where_a_piece_leads(tmp_path: Path) -> None:
    folder = checkout(
        tmp_path,
        nginx_conf=MAIN,
        conf_d__map_conf="map $host $to { default 127.0.0.1:8001; b.test 127.0.0.1:8002; }\n",
        sites__a_conf=SITE % "proxy_pass http://$to;",
    )
    file = read(folder / "sites" / "a.conf")
    assert upstreams(file) == [("127.0.0.1:8001", ""), ("127.0.0.1:8002", "")]


def test_a_group_that_no_file_here_defines_is_no_wrong_address(tmp_path: Path) -> None:
    path = checkout(tmp_path, a_conf=SITE % "fastcgi_pass php;") / "a.conf"
    assert told(read(path)) == []
    path.write_text(SITE % "fastcgi_pass 127.0.0.1;")
    assert told(read(path)) == [("high", "upstream_invalid", "127.0.0.1")]


def test_a_piece_finds_its_includes_from_the_folder_of_the_main_file(tmp_path: Path) -> None:
    folder = checkout(
        tmp_path,
        nginx_conf=MAIN,
        parts__to_conf="proxy_pass http://127.0.0.1:0;",
        conf_d__sites__a_conf=SITE % "include parts/to.conf;",
    )
    file = read(folder / "conf.d" / "sites" / "a.conf")
    assert told(file) == [("high", "upstream_invalid", "127.0.0.1:0")]


def test_a_folder_of_whole_files_and_pieces_is_judged_one_by_one(tmp_path: Path) -> None:
    whole = "events {}\nhttp { %s }\n" % (SITE % "proxy_pass http://127.0.0.1:8001;")
    folder = checkout(
        tmp_path,
        blue_conf=whole,
        green_conf=whole.replace("8001", "8002"),
        groups_conf="upstream app { server 127.0.0.1:8003; }\n",
        site_conf=SITE % "proxy_pass http://app;",
    )
    file = read(folder)
    assert told(file) == []
    assert sorted(upstream for upstream, _ in upstreams(file)) == [
        "127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["server_name a.test;\n", "listen 80;\nroot /srv;\n", "proxy_set_header A b;\n"]
)
def test_a_piece_of_a_server_or_location_is_none_of_something_else(
    tmp_path: Path, text: str
) -> None:
    assert told(read(checkout(tmp_path, a_conf=text) / "a.conf")) == []


def test_a_configuration_without_events_is_refused_but_no_part_of_one(tmp_path: Path) -> None:
    http = "http { %s }\n" % (SITE % "proxy_pass http://127.0.0.1:8001;")
    path = checkout(tmp_path, nginx_conf=http) / "nginx.conf"
    assert told(read(path)) == [("fatal", "proxy_config_invalid", str(path))]
    path.write_text("events {}\ninclude http.conf;\n")
    checkout(tmp_path, http_conf=http)
    assert told(read(path)) == told(read(tmp_path / "http.conf")) == []


def test_a_password_before_an_address_is_not_told(tmp_path: Path) -> None:
    path = checkout(tmp_path, a_conf=SITE % "proxy_pass http://joe:hunter2@127.0.0.1:8001;")
    found = judge(read(path / "a.conf"), Basis(expected=("127.0.0.1:8001",)))
    assert [(f.kind, f.subject) for f in found] == [("upstream_invalid", "…@127.0.0.1:8001")]
    assert "hunter2" not in str(found)


def test_a_group_behind_a_variable_protocol_is_followed(tmp_path: Path) -> None:
    text = "upstream app { server 127.0.0.1:8001; }\n" + SITE % "proxy_pass $scheme://app;"
    assert upstreams(read(checkout(tmp_path, a_conf=text) / "a.conf")) == [
        ("127.0.0.1:8001", "app")
    ]


@pytest.mark.parametrize("word", ["location ", "server ", "respond ", "upstream a", "x_pass "])
def test_one_long_line_is_told_from_a_configuration_at_once(tmp_path: Path, word: str) -> None:
    path = tmp_path / "any"
    path.write_text(word * 200_000 + ";")
    began = time.monotonic()
    kinds.kind_of(path)
    assert time.monotonic() - began < 2.0
