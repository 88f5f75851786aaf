"""nginx' configurations as people have them: read, or told with file and line."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from badgateway.blocking import Blocking
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace

SHOP = "server { server_name shop.test; location / { proxy_pass http://127.0.0.1:8001; } }"


def look(folder: Path, text: str | bytes, **files: str) -> ProxyFound:
    """What is found of a configuration; ``_`` in the name of a further file is a dot."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    main = folder / "nginx.conf"
    main.write_bytes(text if isinstance(text, bytes) else text.encode())
    place = ProxyPlace("web", "nginx", config=str(main))
    return asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))


def upstreams(found: ProxyFound) -> list[str]:
    return [route.upstream for route in found.on_disk or ()]


def problem(folder: Path, found: ProxyFound) -> str:
    return found.problems["nginx-config"].replace(f"{folder}/", "")


def test_a_place_is_where_the_address_is_named(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        "http {\n include a.conf;\n upstream app {\n  server 127.0.0.1:1;\n"
        "  server 127.0.0.1:2 backup;\n }\n}\n",
        a_conf="server {\n location / {\n  proxy_pass http://app;\n }\n"
        " location /x {\n  proxy_pass http://127.0.0.1:3;\n }\n}\n",
    )
    assert {
        (r.upstream, r.place.removeprefix(f"{tmp_path}/"), r.backup) for r in found.on_disk or ()
    } == {
        ("127.0.0.1:1", "nginx.conf:4", False),
        ("127.0.0.1:2", "nginx.conf:5", True),
        ("127.0.0.1:3", "a.conf:6", False),
    }


@pytest.mark.parametrize(
    ("server", "dynamic"),
    [
        ("proxy_pass http://app:8000;", {"app:8000": False}),
        ("set $a app; proxy_pass http://$a:8000;", {"app:8000": True}),
        ("set $a app:8000; proxy_pass http://$a$request_uri;", {"app:8000": True}),
        ("proxy_pass http://app:8000$request_uri;", {"app:8000": True}),
        ("set $a 127.0.0.1; proxy_pass http://$a:8000;", {"127.0.0.1:8000": False}),
        ("set $a unix:/run/a.sock; proxy_pass http://$a;", {"unix:/run/a.sock": False}),
        ("set $a group; proxy_pass http://$a;", {"one:1": True, "two:2": False}),
        ("set $a app; if ($b) { set $a other; } proxy_pass http://$a:1;",
         {"app:1": True, "other:1": True}),
        ("set $a app; proxy_pass http://$a:1; location /x { proxy_pass http://app:1; }",
         {"app:1": False}),
    ],
)  # fmt: skip
def test_a_name_is_looked_up_again_or_pinned(
    tmp_path: Path, server: str, dynamic: dict[str, bool]
) -> None:
    group = "upstream group { zone g 64k; server one:1 resolve; server two:2; }"
    found = look(
        tmp_path, f"http {{ resolver ::1; {group} server {{ location / {{ {server} }} }} }}"
    )
    assert {r.upstream: r.dynamic for r in found.on_disk or ()} == dynamic
    assert found.problems == {"nginx-config": ""}


def test_the_name_servers_that_nginx_itself_asks_are_known(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        "http { resolver 127.0.0.11 [::1]:5353 valid=10s ipv6=off;"
        " upstream own { zone o 64k; resolver 10.0.0.2; server own:1 resolve; server fixed:1; }"
        " upstream whole { zone w 64k; server whole:1 resolve; }"
        " server { set $a app;"
        " location / { proxy_pass http://$a:1; } location /own { proxy_pass http://own; }"
        " location /whole { proxy_pass http://whole; }"
        " location /in { resolver 10.0.0.3; set $b inner; proxy_pass http://$b:1; }"
        " location /once { proxy_pass http://once:1; } } }",
    )
    outside = ("127.0.0.11", "[::1]:5353")
    assert {r.upstream: r.resolvers for r in found.on_disk or ()} == {
        "app:1": outside, "own:1": ("10.0.0.2",), "fixed:1": (), "whole:1": outside,
        "inner:1": ("10.0.0.3",), "once:1": (),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('map $uri $to { hostnames; volatile; default "app"; *.b.test b:2; "~x;y" "c:3/;"; }',
         ["127.0.0.1:1", "b:2", "c:3"]),
        ("geo $remote_addr $to { ranges; default app; 10.0.0.0-10.1.0.0 b:2; }",
         ["127.0.0.1:1", "b:2"]),
        ('split_clients "${remote_addr}x" $to { 0.5% b:2; * app; }', ["b:2", "127.0.0.1:1"]),
        ("map $a $to { default $other; } map $b $other { x b:2; y $to; }", ["b:2", "{$to}"]),
        ("map $a $to { include to.map; }", ["b:2"]),
        ("map $a $to { default b:2; x $cookie_to; }", ["b:2", "{$cookie_to}"]),
    ],
)  # fmt: skip
def test_every_value_of_a_table_is_a_route(tmp_path: Path, table: str, expected: list[str]) -> None:
    group = "upstream app { server 127.0.0.1:1; }"
    server = "server { location / { proxy_pass http://$to; } }"
    found = look(tmp_path, f"http {{ {table} {group} {server} }}", to_map="x b:2;")
    assert upstreams(found) == expected
    assert found.problems == {"nginx-config": ""}


def test_a_table_of_too_many_values_is_seen_to_lead_further(tmp_path: Path) -> None:
    rows = "".join(f"h{number} app{number}:1;\n" for number in range(1500))
    server = "server { location / { proxy_pass http://$to; } }"
    found = look(tmp_path, f"http {{ map $host $to {{ {rows} }} {server} }}")
    assert upstreams(found)[-2:] == ["app999:1", "{$to}"]


def test_what_a_program_sets_leads_somewhere(tmp_path: Path) -> None:
    lua = "set_by_lua_block $a { return 'x' .. \"}\" -- }\n }"
    balanced = "upstream b { server 0.0.0.1; balancer_by_lua_block { local t = {{1}} } }"
    found = look(
        tmp_path,
        f"http {{ {balanced} js_set $j main.f; server {{ set $e ''; {lua}"
        " location /1 { proxy_pass http://$a; } location /2 { proxy_pass http://$j; }"
        " location /3 { proxy_pass http://$e; } location /4 { proxy_pass http://b; }"
        " location /5 { ssl_client_hello_by_lua_block { x = '}' } proxy_pass http://c:1; } } }",
    )
    assert upstreams(found) == ["{$a}", "{$j}", "{$e}", "{b}", "c:1"]
    assert found.problems == {"nginx-config": ""}


@pytest.mark.parametrize(
    ("text", "expected", "told"),
    [
        # accepted by nginx in silence: the next directive is swallowed
        ("http {\n gzip_types text/css\n server_name x;\n" + SHOP + "}", ["127.0.0.1:8001"],
         "nginx.conf:3: `server_name` is taken for a word of `gzip_types`: a `;` is missing"),
        ("http { server {\n location / {\n proxy_pass http://a:1\n proxy_set_header Host x;\n} } }",
         ["a:1"], "nginx.conf:4: `proxy_set_header` is taken for a word of `proxy_pass`"),
        ("http { server {\n listen 80\n } " + SHOP + " }", ["127.0.0.1:8001"],
         "nginx.conf:3: `listen` is not ended by a `;`"),
        ("http { " + SHOP + "\n", ["127.0.0.1:8001"], "nginx.conf:1: ends within a block"),
        ("http { " + SHOP + "} }\n", ["127.0.0.1:8001"], 'nginx.conf:1: unexpected "}"'),
        ("http { " + SHOP + "}\nuser", ["127.0.0.1:8001"], "nginx.conf:2: `user` has no end"),
        ("http { " + SHOP + '}\nuser "www;\n', ["127.0.0.1:8001"], "nginx.conf:2: a quotation"),
        ("http { " + SHOP + "; }", ["127.0.0.1:8001"], "nginx.conf:1: unexpected `;`"),
        ("\ufeffhttp { " + SHOP + " }", ["127.0.0.1:8001"], "nginx.conf:1: begins with a byte"),
        (("http { " + SHOP + " }").encode("utf-16"), [], "nginx.conf:1: not text"),
        ("http { server { location / { proxy_pass; } } }", [],
         "nginx.conf:1: `proxy_pass` has 0 words"),
        ("http { $logging\n; " + SHOP + " }", ["127.0.0.1:8001"],
         "nginx.conf:1: `$logging` is no directive"),
        ("http { server { proxy_pass http://a:1; } }", ["a:1"],
         "nginx.conf:1: `proxy_pass` is not allowed in `server`"),
        (SHOP, [], "nginx.conf:1: `server` is not allowed outside of every block"),
        ("http { upstream a { server b; } upstream A { server c; } }", [],
         "nginx.conf:1: `upstream A` stands twice"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_the_rest_is_read(
    tmp_path: Path, text: str | bytes, expected: list[str], told: str
) -> None:
    found = look(tmp_path, text)
    assert upstreams(found) == expected
    assert problem(tmp_path, found).startswith(told)


def test_a_fault_that_shows_once_files_are_brought_together_is_told(tmp_path: Path) -> None:
    server = "http { server { include zone.conf; } }"
    found = look(tmp_path, server, zone_conf="\nlimit_req_zone $a zone=a:1m rate=1r/s;")
    assert problem(tmp_path, found) == "zone.conf:2: `limit_req_zone` is not allowed in `server`"
    twice = "http { server { include a.conf; include a.conf; location =/x { } location /x { } } }"
    found = look(tmp_path, twice, a_conf="location ^~ /a { proxy_pass http://a:1; }")
    assert problem(tmp_path, found) == "a.conf:1: `location ^~ /a` stands twice"
    assert upstreams(found) == ["a:1"]


def test_what_is_included_and_is_not_there_is_told_with_who_wants_it(tmp_path: Path) -> None:
    found = look(tmp_path, f"http {{ include none*.conf;\n include gone.conf; {SHOP} }}")
    told = f"gone.conf: no such file or directory, included at {tmp_path}/nginx.conf:2"
    assert problem(tmp_path, found) == told.replace(f"{tmp_path}/", "")
    assert upstreams(found) == ["127.0.0.1:8001"]
    assert look(tmp_path, f"http {{ include none*.conf; {SHOP} }}").problems == {"nginx-config": ""}


def test_quoted_names_several_directives_on_a_line_and_joined_patterns_are_read(
    tmp_path: Path,
) -> None:
    found = look(
        tmp_path,
        """http{"server"{'listen' 8080;server_name a.test;location ~^/x{proxy_pass http://a:1;}
        location ~* "^/a{2}$" {"proxy_pass" "http://b:2";} location =/ { return 200 "};{"; }
        }}# the end""",
    )
    assert upstreams(found) == ["a:1", "b:2"]
    assert found.problems == {"nginx-config": ""}


def test_mail_stream_and_programs_beside_the_sites_are_passed_over(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        f"""
        load_module modules/ngx_http_js_module.so;
        mail {{ server {{ listen 25; protocol smtp; }} }}
        stream {{
          upstream db {{ server 10.0.0.5:5432; }}
          server {{ listen 5432; proxy_pass db; }}
          server {{ listen 53 udp; proxy_pass 10.0.0.6:53; }}
          server {{ listen 9000-9002; js_preread main.f; proxy_pass $target; }}
        }}
        http {{
          js_import main from main.js; init_by_lua_block {{ require "x" }} perl_set $p 'sub {{ }}';
          server {{ listen 80; listen [::]:80; listen 443 ssl; listen 443 quic;
                    listen unix:/run/web.sock; location /js {{ js_content main.f; }} }}
          {SHOP}
        }}""",
    )
    assert upstreams(found) == ["127.0.0.1:8001"]
    assert set(found.listens) == {
        "0.0.0.0:80", "[::]:80", "0.0.0.0:443", "unix:/run/web.sock", "0.0.0.0:5432",
        "0.0.0.0:9000", "0.0.0.0:9001", "0.0.0.0:9002", "0.0.0.0:25",
    }  # fmt: skip
    assert found.problems == {"nginx-config": ""}


def test_the_rendered_file_counts_and_not_its_template_beside_it(tmp_path: Path) -> None:
    found = look(
        tmp_path, f"http {{ include *.conf.d/site.conf; include shop.conf; {SHOP} }}",
        shop_conf="server { location / { proxy_pass http://b:2; } }",
        shop_conf_template="server { ${BLOCK} }",
    )  # fmt: skip
    assert upstreams(found) == ["b:2", "127.0.0.1:8001"]
    assert found.problems == {"nginx-config": ""}


def test_a_template_that_was_not_filled_in_is_called_so(tmp_path: Path) -> None:
    found = look(tmp_path, "http {\n{% for s in sites %}\nserver { listen {{ s.port }}; }\n}\n")
    assert problem(tmp_path, found).startswith("nginx.conf:")
    assert "a template, Jinja, that was not filled in" in problem(tmp_path, found)


def test_a_page_for_errors_that_is_passed_on_is_a_route(tmp_path: Path) -> None:
    found = look(
        tmp_path,
        "http { server { error_page 502 503 @spare; location / { proxy_pass http://a:1; }"
        " location @spare { internal; proxy_pass http://b:2; } } }",
    )
    assert upstreams(found) == ["a:1", "b:2"]
    assert found.local == ()


def test_an_nginx_in_a_container_is_read_there_and_nowhere_else(tmp_path: Path) -> None:
    inside, outside = tmp_path / "root", tmp_path / "secret.conf"
    (inside / "etc/nginx/sites").mkdir(parents=True)
    outside.write_text(SHOP.replace("8001", "6666"))
    (inside / "etc/nginx/sites/a").symlink_to(outside)
    (inside / "etc/nginx/sites/b").symlink_to("../../../../../../../../srv/b")
    (inside / "srv").mkdir()
    (inside / "srv/b").write_text(
        "server { listen 80; listen 81; location / { proxy_pass http://127.0.0.1:8001; }"
        " location /w { proxy_pass http://web:8000; } location /s { proxy_pass http://unix:/s; } }"
    )
    (inside / "etc/nginx/nginx.conf").write_text("error_log logs/e; http { include sites/*; }")
    place = ProxyPlace(
        "shop/web", "nginx", config="/etc/nginx/nginx.conf", container="shop/web",
        root=(("/", str(inside)),), is_apart=True, reached=(("80", "127.0.0.1:8080"),),
    )  # fmt: skip
    found = asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))
    assert [(r.listen, r.upstream, r.place) for r in found.on_disk or ()] == [
        ("127.0.0.1:8080", "{127.0.0.1:8001}", "/etc/nginx/sites/b:1"),
        ("127.0.0.1:8080", "web:8000", "/etc/nginx/sites/b:1"),
        ("127.0.0.1:8080", "{unix:/s}", "/etc/nginx/sites/b:1"),
    ]
    assert found.problems["nginx-config"].startswith("/etc/nginx/sites/a: no such file")
    assert (found.listens, found.logs) == (("127.0.0.1:8080",), ())
    # its network is the host's: loopback addresses mean the same, paths do not
    shared = asyncio.run(
        NginxFiles().look(replace(place, is_apart=False), Blocking("reading", 5.0))
    )
    assert [(r.listen, r.upstream) for r in shared.on_disk or ()] == [
        (":80", "127.0.0.1:8001"), (":80", "web:8000"), (":80", "{unix:/s}"),
    ]  # fmt: skip
    assert shared.listens == ("0.0.0.0:80", "0.0.0.0:81")
    unseen = asyncio.run(NginxFiles().look(replace(place, root=()), Blocking("reading", 5.0)))
    assert unseen.on_disk is None
    assert unseen.problems["nginx-config"].startswith(
        "/etc/nginx/nginx.conf: cannot be seen from here: a container's files need CAP_SYS_PTRACE"
    )


def test_what_an_include_of_a_secret_holds_is_not_told(tmp_path: Path) -> None:
    secret = "admin:$apr1$x$hunter2\n$apr1$hunter2; proxy_pass\nroot:$6$hunter2:1:0:::\n}"
    found = look(tmp_path, f"http {{ include secret; {SHOP} }}", secret=secret)
    assert problem(tmp_path, found).startswith("secret:")
    assert "hunter2" not in repr(found)


def test_deep_nesting_ends(tmp_path: Path) -> None:
    for depth in (40, 5000):
        found = look(
            tmp_path, "http { " + "if ($a) { " * depth + "return 503; " + "} " * depth + "}"
        )
        assert found.on_disk in ((), None)
