"""What is read of nginx' configuration, against the real nginx."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badgateway.blocking import Blocking
from badgateway.topology.nginx import parsing as nginx_parsing
from badgateway.topology.nginx.includes import Configuration
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.proxies.templates import template_of
from tests.lab.require import require
from tests.nginxlab import Nginx

MAIN = """
daemon off; pid nginx.pid; events {} http {
client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;
scgi_temp_path s;
"""


def write(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        path = folder / "sites" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    main = folder / "nginx.conf"
    main.write_text(f"{MAIN}{text}\n}}\n")
    return main


def asked(main: Path, option: str) -> subprocess.CompletedProcess[str]:
    """What nginx says of a file (``-t``, ``-T``)."""
    folder = str(main.parent)
    command = [str(require("nginx")), option, "-q", "-c", str(main), "-p", folder, "-e", "stderr"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def look(main: Path) -> ProxyFound:
    place = ProxyPlace("web", "nginx", config=str(main), prefix=str(main.parent))
    return asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))


@pytest.mark.parametrize(
    "text",
    [
        "server { listen 1; location / { proxy_pass http://127.0.0.1:1; } }",
        "upstream a { server 127.0.0.1:1 backup; server unix:/s; } include sites/*;",
        "include sites/one; include none*;",
        "gzip_types text/css\nserver_tokens off;\nserver { }",
        'server { location ~^/x { } location "~* ^/{2}" { } location =/x { } location /x { } }',
        'map $uri $a { default x; "~;" "y;"; } server { location / { proxy_pass http://$a; } }',
        "server { location / { if ($uri) { proxy_pass http://127.0.0.1:1; } } }",
        "server { set $a '}'; return 503 \"a;{\"; } # {",
        "server { location /a { proxy_pass http://127.0.0.1:1?a=b; } location ~ /a { location /ab "
        "{ proxy_pass http://127.0.0.1:1/; } proxy_pass http://unix:///a.sock; } }",
        "server { location @a { set $a b; proxy_pass http://127.0.0.1:1/$a; } listen unix:a; }",
        "server { listen 1 default_server; listen [::]:1 default_server; } server { listen 1; }",
        "server { listen 127.0.0.1:1 default; } server { listen 127.0.0.2:1 default; }",
        "geo $g { ranges; default a; } split_clients $uri $s { 1% a; * b; } server { }",
        # and those that it refuses
        "server { listen 1 }",
        "server { listen 1;",
        "server { } }",
        "server { location / { proxy_pass http://127.0.0.1:1\nproxy_set_header A b;\n} }",
        "server { location / { proxy_pass http://127.0.0.1:1; } location / { } }",
        "server { location =/x { } location = /x { } }",
        "server { proxy_pass http://127.0.0.1:1; }",
        "server { limit_req_zone $uri zone=a:1m rate=1r/s; }",
        "upstream a { server 127.0.0.1; } upstream A { server 127.0.0.1; }",
        "include sites/gone;",
        "server { location / { proxy_pass 127.0.0.1:1; } }",
        "server { location / { proxy_pass tcp://127.0.0.1:1; } }",
        "server { location / { proxy_pass http://127.0.0.1:1;\nproxy_pass http://127.0.0.1:2; } }",
        "server { location ~ /a { proxy_pass http://127.0.0.1:1/; } }",
        "server { location / { location ~/a {\nproxy_pass http://127.0.0.1:1/a; } } }",
        "server { location @a { proxy_pass http://unix:/a.sock:/; } }",
        "server { location / { if ($uri) { proxy_pass http://127.0.0.1:1?a; } } }",
        "server { location / { limit_except GET { proxy_pass http://127.0.0.1:1/; } } }",
        "server { listen 1 default_server; }\nserver { listen *:1 default_server; }",
        "server { listen 1;\nlisten 0.0.0.0:1 ssl; }",
        "server { location/{ } }",
        'server { return 200 "x; }',
        "server { ; }",
        "server { { } }",
        "$x; server { }",
        "server { location / { proxy_pass; } }",
        "server { set $a; }",
        "upstream a b { server 127.0.0.1; }",
        "upstream a { server 127.0.0.1; } server { location / { proxy_pass http://a:80; } }",
        "server { location / { fastcgi_pass a:9; } } upstream a { server 127.0.0.1; }",
        "location / { }",
        "{% for a in b %}\nserver { }\n{% endfor %}",
        "server { listen {{ port }}; }",
    ],
)
def test_nginx_refuses_what_is_told_and_takes_what_is_not(tmp_path: Path, text: str) -> None:
    main = write(tmp_path, text, one="server { listen 1; }", two="# nothing\n")
    found, said = look(main), asked(main, "-t")
    problem = found.problems["nginx-config"]
    swallowed = "is taken for a word" in problem
    assert bool(problem) is (said.returncode != 0) or swallowed, (problem, said.stderr)
    if said.returncode and not swallowed and "{" not in text[:2]:
        (file, line) = re.findall(r"in (\S+?):(\d+)", said.stderr)[-1]
        place = re.match(r"(\S+?)(?::(\d+))?: ", problem)
        assert place is not None
        assert abs(int(place[2] or line) - int(line)) <= 1 or _is_elsewhere(problem)
        assert place[1] == file or _is_elsewhere(problem)


def _is_elsewhere(problem: str) -> bool:
    """Whether nginx names another place: who includes a file, or where a quotation has no end."""
    return "gone" in problem or "never ends" in problem


def test_the_files_that_nginx_reads_are_read(tmp_path: Path) -> None:
    main = write(
        tmp_path, "include sites/[ab]*;\ninclude sites/d;", a1="server { }", a2="include sites/c;",
        b="# x", c="server { listen 2; }", d="include sites/c*;", e="server { listen 3; }",
    )  # fmt: skip
    said = asked(main, "-T")
    assert said.returncode == 0
    files = set(re.findall(r"^# configuration file (.*):$", said.stdout, re.M))
    assert {path for path in Configuration(main).stamps if Path(path).is_file()} == files


def test_where_nginx_sends_a_request_is_among_the_routes(tmp_path: Path) -> None:
    nginx = Nginx(
        tmp_path,
        """
        upstream group { server 127.0.0.1:1; server 127.0.0.1:2 backup; }
        map $arg_to $to { default group; b 127.0.0.1:3; c "127.0.0.1:4/;"; ~^d unix:/none.sock; }
        split_clients $arg_n $half { 50% 127.0.0.1:5; * 127.0.0.1:6; }
        add_header X-Went $upstream_addr always;
        server { listen PORT; server_name one.test;
          location / { proxy_pass http://$to; }
          location /half { proxy_pass http://$half$request_uri; }
          location /set { set $a 127.0.0.1; set $b $a:7; proxy_pass http://$b/x; }
          location ~^/re { if ($arg_x) { proxy_pass http://127.0.0.1:8; }
                           fastcgi_pass localhost:9; }
          location /err { error_page 502 = @spare; proxy_pass http://127.0.0.1:10; }
          location @spare { uwsgi_pass unix:/spare.sock; }
        }""",
    )
    found = look(nginx.config)
    assert found.problems == {"nginx-config": ""}
    known = {route.upstream for route in found.on_disk or ()}
    went: set[str] = set()
    paths = [
        "/", "/?to=b", "/?to=c", "/?to=d1", "/set", "/re", "/re?x=1", "/err",
        *(f"/half?n={number}" for number in range(8)),
    ]  # fmt: skip
    with nginx, httpx.Client(trust_env=False, headers={"Host": "one.test"}) as client:
        for path in paths:
            answer = client.get(f"http://127.0.0.1:{nginx.port}{path}")
            went |= set(re.split(r"[, ]+(?::[, ]+)?", answer.headers.get("x-went", "")))
    went = {
        each.replace("[::1]:9", "127.0.0.1:9").removesuffix(":") for each in went - {"", "group"}
    }
    assert went == {each.replace("localhost", "127.0.0.1") for each in known}


PIECES = [
    "http", "server", "location / ", "{", "}", ";", "proxy_pass http://a:1", "upstream a", '"', "'",
    "server 127.0.0.1:1", "include", "include *", "#", "\n", "${", "$x", "\\", "map $a $b",
    "default", "content_by_lua_block", "set_by_lua_block $a", "{{ a }}", "<%", "\x00", "\ufeff",
    "listen 1-9", "return 503", "if ($a)", "error_page 503 =200 @x", "listen unix:", "set $a $a",
    "stream",
]  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=40))
def test_nothing_but_a_problem_comes_of_a_broken_file(tmp_path: Path, pieces: list[str]) -> None:
    main = tmp_path / "nginx.conf"
    main.write_bytes(" ".join(pieces).encode("utf-8", "surrogatepass"))
    found = look(main)
    assert found.on_disk is not None or found.problems["nginx-config"]
    template_of(" ".join(pieces))


def test_a_configuration_changed_anywhere_is_read_or_told(tmp_path: Path) -> None:
    text = write(
        tmp_path,
        'map $a $b { default x; } upstream u { server a:1; }\nserver { location ~ "x{2}" {\n'
        "proxy_pass http://$b/;\n} location / { return 503 'x'; } include sites/*; }",
        one="location /one { proxy_pass http://u; }",
    ).read_text()
    chance = random.Random(7)  # the same faults each time
    for _ in range(200):
        at, length = chance.randrange(len(text)), chance.randrange(4)
        piece = chance.choice(["", "{", "}", ";", '"', "'", "\\", "$", "#", "\r", "\t"])
        main = tmp_path / "nginx.conf"
        main.write_text(text[:at] + piece + text[at + length :])
        found = look(main)
        parsed, problems = nginx_parsing.parse(main.read_bytes(), str(main))
        lines = main.read_text().count("\n") + 1
        assert all(1 <= line <= lines for line, _ in problems)
        assert bool(found.problems["nginx-config"]) or parsed
