"""What nginx serves, where it sends it and what it writes where."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.blocking import Blocking
from badgateway.topology.nginx import logs as nginx_logs
from badgateway.topology.nginx import routes as nginx
from badgateway.topology.nginx.includes import stamp
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route, SameRequests, WrittenLog

DEFAULTS = (("connect", 60.0), ("send", 60.0), ("read", 60.0))


def read(folder: Path, text: str) -> ProxyFound:
    file = folder / "nginx.conf"
    file.write_text(text)
    place = ProxyPlace("web", "nginx", config=str(file))
    return asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))


def routes(folder: Path, server: str, http: str = "") -> set[tuple[str, str, str]]:
    found = read(folder, f"events {{}} http {{ {http} server {{ {server} }} }}")
    assert found.problems == {"nginx-config": ""}
    assert found.on_disk is not None
    return {(r.site, r.upstream, r.protocol) for r in found.on_disk}


@pytest.mark.parametrize(
    ("passes", "upstream", "protocol"),
    [
        ("proxy_pass http://127.0.0.1:8001/api/;", "127.0.0.1:8001", "http"),
        ("proxy_pass http://app;", "app:80", "http"),
        ("proxy_pass https://app;", "app:443", "http"),
        ("proxy_pass http://[::1]:8001;", "[::1]:8001", "http"),
        ("proxy_pass http://unix:/run/app.sock:/x;", "unix:/run/app.sock", "http"),
        ("fastcgi_pass unix:/run/php/php-fpm.sock;", "unix:/run/php/php-fpm.sock", "fastcgi"),
        ("fastcgi_pass 127.0.0.1:9000;", "127.0.0.1:9000", "fastcgi"),
        ("uwsgi_pass uwsgi://127.0.0.1:3031;", "127.0.0.1:3031", "uwsgi"),
        ("scgi_pass 127.0.0.1:4000;", "127.0.0.1:4000", "scgi"),
        ("grpc_pass grpc://127.0.0.1:50051;", "127.0.0.1:50051", "grpc"),
        ("grpc_pass grpcs://127.0.0.1:443;", "127.0.0.1:443", "grpc"),
        ("grpc_pass grpcs://127.0.0.1;", "127.0.0.1", "grpc"),  # which nginx refuses
        ("proxy_pass http://127.0.0.1:8001?a=b;", "127.0.0.1:8001", "http"),
        ("proxy_pass http://unix:///run/app.sock;", "unix:/run/app.sock", "http"),
        ("uwsgi_pass unix:///run/app.sock;", "unix:/run/app.sock", "uwsgi"),
        ("proxy_pass $scheme://127.0.0.1:8001;", "127.0.0.1:8001", "http"),
        ("proxy_pass ${scheme}://app;", "{app}", "http"),  # 80 or 443
        ('set $app "http://app:8001"; proxy_pass $app;', "app:8001", "http"),
        ("set $app app; proxy_pass http://$app:8001;", "app:8001", "http"),
        ("proxy_pass http://$arg_host:8001;", "{$arg_host:8001}", "http"),
    ],
)
def test_an_upstream_is_found(tmp_path: Path, passes: str, upstream: str, protocol: str) -> None:
    server = f"listen 80; server_name one.test; location / {{ {passes} }}"
    assert routes(tmp_path, server) == {("one.test", upstream, protocol)}


def test_a_group_stands_for_its_members(tmp_path: Path) -> None:
    group = (
        "upstream app { server a:1 weight=2; server b; server c:3 down; server unix:/s backup; }"
    )
    found = read(
        tmp_path,
        f"http {{ {group} server {{ location / {{ if ($a) {{ proxy_pass http://app/; }} }} }} }}",
    )
    assert found.on_disk == (
        Route("*", ":80", "a:1", group="app", timeouts=DEFAULTS),
        Route("*", ":80", "b:80", group="app", timeouts=DEFAULTS),
        Route("*", ":80", "unix:/s", group="app", timeouts=DEFAULTS, backup=True),
    )


@pytest.mark.parametrize(
    ("names", "sites"),
    [
        ("", {"*"}),
        ("server_name _;", {"*"}),
        ("server_name One.test www.one.test;", {"one.test", "www.one.test"}),
        ("server_name .one.test;", {"one.test", "*.one.test"}),
        ("server_name *.one.test;", {"*.one.test"}),
        (r"server_name ~^(?<n>\w+)\.test$;", {"*"}),
    ],
)
def test_the_sites_are_the_servers_names(tmp_path: Path, names: str, sites: set[str]) -> None:
    found = routes(tmp_path, f"{names} location / {{ proxy_pass http://a:1; }}")
    assert {site for site, _, _ in found} == sites


@pytest.mark.parametrize(
    ("listen", "address", "tls"),
    [
        ("", ":80", False),
        ("listen 8080;", ":8080", False),
        ("listen unix:/x; listen 127.0.0.1:8080;", "127.0.0.1:8080", False),
        ("listen [::]:443 ssl;", ":443", True),
        ("listen *:443 ssl http2;", ":443", True),
        ("listen 10.0.0.1;", "10.0.0.1:80", False),
    ],
)
def test_the_address_clients_use_is_found(
    tmp_path: Path, listen: str, address: str, tls: bool
) -> None:
    found = read(
        tmp_path, f"http {{ server {{ {listen} location / {{ proxy_pass http://a:1; }} }} }}"
    )
    assert found.on_disk is not None
    assert [(route.listen, route.tls) for route in found.on_disk] == [(address, tls)]


def test_logs_are_found_with_their_formats(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        error_log /l/error.log warn;
        http {
          log_format main '$remote_addr "$request" '
                          '$status $upstream_response_time';
          log_format j escape=json '{"s":"$status"}';
          access_log /l/access.log main buffer=32k;
          server { server_name a.test; access_log /l/a.log j; error_log logs/a-error.log; }
          server { server_name b.test c.test; access_log /l/$host.log; access_log off; }
          server { access_log syslog:server=unix:/dev/log; access_log /l/z.gz main gzip;
                   error_log /l/quiet.log crit; error_log stderr; error_log /dev/null; }
          server { server_name d.test; access_log /l/both.log j;
                   location /x { access_log /l/both.log main; } }
        }
        """,
    )
    main = '$remote_addr "$request" $status $upstream_response_time'
    assert found.logs is not None
    assert {log.path: log for log in found.logs} == {
        log.path: log
        for log in (
            WrittenLog("/l/error.log", "nginx-error", errors=True, access=False),
            WrittenLog(f"{tmp_path}/logs/a-error.log", "nginx-error", errors=True, access=False),
            WrittenLog("/l/quiet.log", "nginx-error", errors=False, access=False),
            WrittenLog("/l/access.log", "nginx-access", False, True, main),
            WrittenLog(
                "/l/a.log", "nginx-access", False, True, '{"s":"$status"}', "json", "a.test"
            ),
            WrittenLog("/l/*.log", "nginx-access", False, True),
            WrittenLog("/l/both.log", "nginx-access", False, True),
        )
    }


def test_what_is_included_is_read_and_what_changes_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("http { include conf.d/*.conf; }")
    reading = NginxFiles()
    place = ProxyPlace("web", "nginx", config=str(tmp_path / "nginx.conf"))

    async def look() -> ProxyFound:
        return await reading.look(place, Blocking("reading", 5.0))

    first = asyncio.run(look())
    assert first.on_disk == ()
    assert asyncio.run(look()) is first
    (tmp_path / "conf.d" / "a.conf").write_text("server { location / { proxy_pass http://a:1; } }")
    second = asyncio.run(look())
    assert second.on_disk == (Route("*", ":80", "a:1", timeouts=DEFAULTS),)
    (tmp_path / "conf.d" / "a.conf").write_text("server { location / { proxy_pass http://b:2; } }")
    assert asyncio.run(look()).on_disk == (Route("*", ":80", "b:2", timeouts=DEFAULTS),)


def test_a_file_whose_permission_was_given_back_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text("")
    before = stamp(str(file))
    file.chmod(0o600)
    file.chmod(0o644)
    assert stamp(str(file)) != before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http { server { listen 80 }", "nginx.conf:"),
        ("http { include nginx.conf; }", ""),
        ("", ""),
        ("http { include none.conf; server { } }", "none.conf"),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    assert place in read(tmp_path, text).problems["nginx-config"]


def test_a_pipe_or_a_device_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    os.mkfifo(tmp_path / "conf.d" / "a.conf")
    server = "server { location / { proxy_pass http://a:1; } }"
    for include in ("conf.d/*.conf", "/dev/zero", "conf.d"):
        found = read(tmp_path, f"http {{ include {include}; {server} }}")
        assert "not a regular file" in found.problems["nginx-config"]
        assert found.on_disk == (Route("*", ":80", "a:1", timeouts=DEFAULTS),)


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.conf").write_text(f"include {number + 1}.conf; " * 8)
    (tmp_path / "9.conf").write_text("include 9.conf; server { }")
    found = read(tmp_path, "http { include 0.conf; }")
    assert "includes too much" in found.problems["nginx-config"]
    found = read(
        tmp_path, "http { include 9.conf; server { location / { proxy_pass http://a:1; } } }"
    )
    assert found.problems["nginx-config"] == f"{tmp_path}/9.conf:1: includes itself"
    assert found.on_disk == (Route("*", ":80", "a:1", timeouts=DEFAULTS),)


def test_a_folder_that_appears_later_is_read(tmp_path: Path) -> None:
    elsewhere = tmp_path / "later" / "sites"
    file = tmp_path / "etc" / "nginx.conf"
    file.parent.mkdir()
    file.write_text(f"http {{ include {elsewhere}/*/a.conf; }}")
    reading = NginxFiles()
    place = ProxyPlace("web", "nginx", config=str(file))

    def found() -> tuple[Route, ...] | None:
        return asyncio.run(reading.look(place, Blocking("reading", 5.0))).on_disk

    assert found() == ()
    (elsewhere / "one").mkdir(parents=True)
    assert found() == ()
    (elsewhere / "one" / "a.conf").write_text("server { location / { proxy_pass http://a:1; } }")
    assert found() == (Route("*", ":80", "a:1", timeouts=DEFAULTS),)


def test_a_group_whose_members_are_elsewhere_leads_somewhere(tmp_path: Path) -> None:
    server = "server { server_name x.test; location / { proxy_pass http://app; } }"
    found = read(tmp_path, f"http {{ upstream app {{ include gone/*.conf; }} {server} }}")
    assert found.on_disk == (Route("x.test", ":80", "{app}", group="app", timeouts=DEFAULTS),)


def test_logs_with_the_same_requests_are_known(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """http {
          access_log /l/a.log; access_log /l/a.json j if=$odd; access_log /l/b.log j;
          server { location / { access_log /l/only.log; } }
          server { access_log /l/a.log; access_log off; }
          server { access_log /l/x.log if=$x; access_log syslog:server=unix:/dev/log; }
        }""",
    )
    assert found.together == (
        SameRequests(("/l/a.log", "/l/b.log"), ("/l/a.json",)),
        SameRequests(("/l/only.log",)),
        SameRequests((), ("/l/x.log",)),
    )


def test_no_file_is_told(tmp_path: Path) -> None:
    place = ProxyPlace("web", "nginx", config=str(tmp_path / "none.conf"))
    found = asyncio.run(NginxFiles().look(place, Blocking("reading", 5.0)))
    assert found.problems == {"nginx-config": f"{tmp_path}/none.conf: no such file"}
    assert found.on_disk is None


NAMES = ["http", "server", "upstream", "location", "listen", "server_name", "proxy_pass", "set",
         "access_log", "error_log", "log_format", "fastcgi_pass"]  # fmt: skip
WORDS = st.one_of(st.sampled_from(["http://", "unix:", "$a", "off", "main", "[::]:1", "escape="]),
                  st.text(max_size=8))  # fmt: skip
DIRECTIVES = st.recursive(
    st.lists(st.fixed_dictionaries({"directive": st.sampled_from(NAMES), "args": st.lists(WORDS)})),
    lambda inner: st.lists(
        st.fixed_dictionaries(
            {"directive": st.sampled_from(NAMES), "args": st.lists(WORDS), "block": inner}
        )
    ),
    max_leaves=12,
)


@given(DIRECTIVES)
def test_no_directives_break_it(directives: list[dict[str, object]]) -> None:
    for route in nginx.routes(directives):
        assert route.upstream
    nginx_logs.logs(directives, "/etc/nginx")
