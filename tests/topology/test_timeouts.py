"""How long each hop waits, as configurations and command lines say it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from badgateway.blocking import Blocking
from badgateway.topology import memory
from badgateway.topology.backends import Backend
from badgateway.topology.caddy import routes as caddy
from badgateway.topology.launch.command import Launch, parse_command
from badgateway.topology.launch.gunicorn import gunicorn
from badgateway.topology.launch.others import granian, hypercorn
from badgateway.topology.launch.uvicorn import uvicorn
from badgateway.topology.launch.uwsgi import uwsgi
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.nginx.timeouts import seconds
from badgateway.topology.proxies.place import ProxyPlace


def nginx_route(folder: Path, http: str, server: str, location: str) -> dict[str, float]:
    file = folder / "nginx.conf"
    file.write_text(
        f"events {{}} http {{ {http} server {{ listen 80; {server} "
        f"location / {{ {location} }} }} }}"
    )
    place = ProxyPlace("web", "nginx", config=str(file))
    found = asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))
    assert found.on_disk is not None
    return dict(found.on_disk[0].timeouts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", 60), ("180s", 180), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("1m 30s", 90),
        ("1d", 86400), ("0", 0), ("", None), ("soon", None), ("5x", None), ("-1", None),
    ],
)  # fmt: skip
def test_a_time_is_read_as_nginx_writes_it(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


def test_a_timeout_holds_in_every_block_inside(tmp_path: Path) -> None:
    found = nginx_route(
        tmp_path,
        "proxy_read_timeout 90s; proxy_send_timeout 30s; proxy_connect_timeout 5s;",
        "proxy_send_timeout 40s;",
        "proxy_read_timeout 3m; proxy_pass http://127.0.0.1:8001;",
    )
    assert found == {"connect": 5, "send": 40, "read": 180}


def test_each_protocol_has_its_own(tmp_path: Path) -> None:
    found = nginx_route(
        tmp_path, "proxy_read_timeout 1s;", "uwsgi_read_timeout 2m;", "uwsgi_pass 127.0.0.1:3031;"
    )
    assert found == {"connect": 60, "send": 60, "read": 120}


KEEP = 'proxy_http_version 1.1; proxy_set_header Connection "";'


@pytest.mark.parametrize(
    ("group", "server", "location", "kept"),
    [
        ("keepalive 8;", KEEP, "", 60),
        ("keepalive 8; keepalive_timeout 2m;", KEEP, "", 120),
        ("", KEEP, "", None),
        ("keepalive 8;", "", "", None),
        ("keepalive 8;", "proxy_http_version 1.1;", "", None),
        # one header of its own, and none of those outside holds any more
        ("keepalive 8;", KEEP, "proxy_set_header Host $host;", None),
    ],
)
def test_idle_connections_are_kept_only_where_all_it_takes_is_said(
    tmp_path: Path, group: str, server: str, location: str, kept: float | None
) -> None:
    upstream = f"upstream app {{ server 127.0.0.1:8001; {group} }}"
    found = nginx_route(tmp_path, upstream, server, f"{location} proxy_pass http://app;")
    assert found.get("upstream_keepalive") == kept


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ({}, {}),
        ({"dial_timeout": 3000000000}, {"connect": 3}),
        ({"response_header_timeout": "1m30s", "read_timeout": "2m"}, {"read": 90}),
        ({"write_timeout": "1.5s", "dial_timeout": "soon"}, {"send": 1.5}),
        ({"protocol": "fastcgi", "read_timeout": "5s"}, {}),
    ],
)
def test_caddys_are_those_it_is_told(transport: dict[str, Any], expected: dict[str, float]) -> None:
    handler = {"handler": "reverse_proxy", "upstreams": [{"dial": "a:1"}], "transport": transport}
    servers = {"one": {"listen": [":80"], "routes": [{"handle": [handler]}]}}
    (route,) = caddy.routes({"apps": {"http": {"servers": servers}}})
    assert dict(route.timeouts) == expected


@pytest.mark.parametrize(
    ("arguments", "worker_class", "expected"),
    [
        ("app", "sync", {"worker": 30, "graceful": 30}),
        ("-t 120 app", "sync", {"worker": 120, "graceful": 30}),
        ("--timeout=0 --graceful-timeout 5 app", "sync", {"worker": 0, "graceful": 5}),
        ("--threads 4 app", "gthread", {"worker": 30, "graceful": 30, "keepalive": 2}),
        (
            "-k uvicorn.workers.UvicornWorker --keep-alive 75 app",
            "uvicorn.workers.UvicornWorker",
            {"worker": 30, "graceful": 30, "keepalive": 75},
        ),
        ("--timeout $T app", "sync", {"graceful": 30}),
    ],
)
def test_gunicorns_are_those_of_its_worker_class(
    arguments: str, worker_class: str, expected: dict[str, float]
) -> None:
    found = gunicorn(arguments.split(), "/", {})
    assert (found.worker_class, dict(found.timeouts)) == (worker_class, expected)


def test_gunicorn_takes_the_command_line_before_the_environment_before_the_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        'timeout = 10\ngraceful_timeout = 11\nkeepalive = 12\nworker_class = "gthread"\n'
    )
    environment = {"GUNICORN_CMD_ARGS": "--timeout 20 --graceful-timeout 21"}
    found = gunicorn(["-t", "30", "app"], str(tmp_path), environment)
    assert dict(found.timeouts) == {"worker": 30, "graceful": 21, "keepalive": 12}


def test_what_a_configuration_file_computes_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\ntimeout = int(os.environ['T'])\nworker_class: str = pick()\n"
    )
    found = gunicorn(["app"], str(tmp_path), {})
    assert found.worker_class == ""
    assert dict(found.timeouts) == {"graceful": 30, "keepalive": 2}


def test_uvicorns_are_given_by_option_or_variable() -> None:
    given = ["--timeout-keep-alive", "75", "--workers", "2", "a:b"]
    found = uvicorn(given, "/", {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "9"}, has_healthcheck=True)
    assert dict(found.timeouts) == {"keepalive": 75, "graceful": 9, "healthcheck": 5}
    assert dict(uvicorn(["a:b"], "/", {}, has_healthcheck=True).timeouts) == {
        "keepalive": 5, "graceful": 0,
    }  # fmt: skip


def test_uvicorns_health_check_is_there_where_the_installed_version_has_it(tmp_path: Path) -> None:
    package = tmp_path / "lib/python3.11/site-packages/uvicorn"
    package.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text("")
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    command = [str(tmp_path / "bin/python"), "-m", "uvicorn", "--workers", "2", "a:b"]
    for source, expected in (('"--workers",', None), ('"--timeout-worker-healthcheck",', 5.0)):
        (package / "main.py").write_text(source)
        found = dict(parse_command(command, "/", {}).timeouts)
        assert found.get("healthcheck") == expected


def test_other_servers_are_recognised(tmp_path: Path) -> None:
    python = ["/usr/bin/python3", "-m"]
    found = parse_command([*python, "hypercorn", "-b", "[::1]:81", "-w", "2", "m:app"], "/", {})
    assert (found.server, found.entry, found.listen, found.workers) == (
        "hypercorn", "m:app", ("[::1]:81",), 2,
    )  # fmt: skip
    found = parse_command([*python, "granian", "--port", "81", "m:app"], "/", {})
    assert (found.server, found.entry, found.listen) == ("granian", "m:app", ("127.0.0.1:81",))
    binary = tmp_path / "uwsgi"
    binary.write_bytes(b"\x7fELF")
    (tmp_path / "app.ini").write_text(
        "[uwsgi]\nhttp = 127.0.0.1:9090\nmodule = m:app\nprocesses = 4\nharakiri = 30\n"
    )
    found = parse_command([str(binary), "--ini", "app.ini", "--master"], str(tmp_path), {})
    assert (found.server, found.entry, found.listen, found.workers, found.timeouts) == (
        "uwsgi", "m:app", ("127.0.0.1:9090",), 4, (("worker", 30.0),),
    )  # fmt: skip


def test_other_servers_defaults_hold_where_nothing_else_may_say() -> None:
    assert dict(hypercorn(["m:app"], "/", {}).timeouts) == {"keepalive": 5, "graceful": 3}
    assert hypercorn(["-c", "h.toml", "m:app"], "/", {}).timeouts == ()
    assert granian(["m:app"], "/", {"GRANIAN_PORT": "82"}).listen == ("127.0.0.1:82",)
    assert dict(uwsgi(["--module", "m"], "/").timeouts) == {"worker": 0}


def test_what_is_remembered_of_a_launch_holds_its_times_and_no_words() -> None:
    launch = parse_command(
        ["/usr/bin/python3", "-m", "gunicorn", "-t", "9", "--certfile", "secret", "a:b"], "/", {}
    )
    document = memory.document(Backend("a", launch=launch))
    assert "secret" not in str(document)
    (found,) = memory.backends([document])
    assert found.launch is not None
    assert (found.launch.timeouts, found.launch.worker_class) == (launch.timeouts, "sync")
    assert found.launch.arguments == ()


def test_a_launch_does_not_show_its_words() -> None:
    assert "secret" not in repr(Launch(arguments=("--password", "secret")))
