"""Caddy's configurations as people have them: read, or told with file and line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.blocking import Blocking
from badgateway.packages import files
from badgateway.topology.caddy import answers as caddy_answers
from badgateway.topology.caddy import asking as caddy_asking
from badgateway.topology.caddy import files as caddy_files
from badgateway.topology.caddy import routes as caddy
from badgateway.topology.containers.containment import seen_from_here
from badgateway.topology.launch.unit_environment import UnitEnvironment
from badgateway.topology.proxies import sandbox
from badgateway.topology.proxies import selftest as proxytest
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import LocalAnswer, Route
from tests.lab.require import require
from tests.servers import free_port

PLAIN = UnitEnvironment()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the adapter may read, which loses root."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def look(folder: Path, text: str, environment: UnitEnvironment = PLAIN, **files: str) -> ProxyFound:
    """What is found of a Caddyfile, by the real adapter; no admin API is asked."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    main = folder / "Caddyfile"
    main.write_text(text)
    place = ProxyPlace(
        "web", config=str(main), binary=str(require("caddy")), admin="", environment=environment
    )
    return asyncio.run(caddy_asking.look(place, Blocking("reading", 5.0)))


def adapted(folder: Path, text: str) -> dict[str, Any]:
    main = folder / "Caddyfile"
    main.write_text(text)
    done = subprocess.run(
        [require("caddy"), "adapt", "--config", main], capture_output=True, check=True
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def upstreams(found: ProxyFound) -> list[str]:
    return [route.upstream for route in found.on_disk or ()]


def problem(folder: Path, found: ProxyFound) -> str:
    return found.problems["caddy-config"].replace(f"{folder}/", "")


def test_a_variable_without_value_is_told_before_the_block_becomes_the_global_options(
    folder: Path,
) -> None:
    found = look(folder, "# {$COMMENT}\n{$SITE} {\n\treverse_proxy 127.0.0.1:8001\n}\n")
    assert found.on_disk is None
    assert problem(folder, found) == (
        "Caddyfile:2: {$SITE} has no default, and its value is Caddy's own"
    )
    found = look(folder, "{$SITE:a.test} {\n\treverse_proxy 127.0.0.1:8001\n}\n")
    assert [(r.site, r.upstream) for r in found.on_disk or ()] == [("a.test", "127.0.0.1:8001")]
    assert found.problems == {"caddy-config": ""}


def test_a_variable_has_the_value_that_its_unit_gives_it(folder: Path) -> None:
    (folder / "caddy.env").write_text('# where to\nTO="127.0.0.1:8002"\nSITE=b.test\nOWN=x\n')
    properties = {
        "Environment": ["SITE=a.test", "PORT=81", "NOT=this"],
        "EnvironmentFiles": [(f"{folder}/caddy.env", False), (f"{folder}/none.env", True)],
        "UnsetEnvironment": ["NOT"],
    }
    environment = UnitEnvironment.of(properties)
    text = "http://{$SITE}:{$PORT} {\n\treverse_proxy {$TO} {$MORE:127.0.0.1:9}\n}\n"
    found = look(folder, text, environment)
    assert found.problems == {"caddy-config": ""}
    assert [(r.site, r.listen, r.upstream) for r in found.on_disk or ()] == [
        ("b.test", ":81", "127.0.0.1:8002"), ("b.test", ":81", "127.0.0.1:9"),
    ]  # fmt: skip
    found = look(folder, text.replace("MORE", "TO"), environment)  # a default gives way
    assert [r.upstream for r in found.on_disk or ()] == ["127.0.0.1:8002"]
    assert problem(folder, look(folder, "{$NOT} {\n}\n", environment)) == (
        "Caddyfile:1: {$NOT} has no default, and its value is Caddy's own"
    )


@pytest.mark.parametrize("name", ["HOME", "PATH", "LD_PRELOAD", "GODEBUG"])
def test_a_variable_that_steers_a_program_is_not_handed_to_it(folder: Path, name: str) -> None:
    environment = UnitEnvironment((f"{name}=/x",))
    assert environment.values([name]) == {name: "/x"}
    found = look(folder, f"http://a.test {{\n\troot * {{${name}}}\n}}\n", environment)
    assert f"{{${name}}} has no default" in problem(folder, found)


def test_only_the_variables_that_a_caddyfile_names_are_handed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[Mapping[str, str]] = []

    async def run(argv: object, strict: bool, environment: Mapping[str, str]) -> sandbox.Ran:
        handed.append(environment)
        return sandbox.Ran(0, b"{}", b"")

    monkeypatch.setattr(sandbox, "run", run)
    environment = UnitEnvironment(("TO=a:1", "TOKEN=hunter2"))
    look(folder, "# {$TOKEN}\n:80 {\n\treverse_proxy {$TO}\n}\n", environment)
    assert handed == [{"TO": "a:1"}]
    assert "hunter2" not in repr(ProxyPlace("web", environment=environment))


@pytest.mark.parametrize("line", ["{$TOKEN}", "reverse_proxy http://{$TOKEN}/a"])
def test_what_caddy_says_of_a_variables_value_is_not_repeated(folder: Path, line: str) -> None:
    environment = UnitEnvironment(("TOKEN=hunter2:7",))
    found = look(folder, f":80 {{\n\t{line}\n}}\n", environment)
    assert problem(folder, found) == (
        "`caddy adapt` refused Caddyfile: Caddyfile:2, with values of its unit's environment, "
        "which are not repeated here"
    )
    told = proxytest.caddy(found, is_caddyfile=True)
    assert told is not None
    assert (told.valid, told.place) == (False, f"{folder}/Caddyfile:2")


def test_an_environment_file_that_cannot_be_read_leaves_every_value_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "read_text", refused)
    environment = UnitEnvironment(("TO=a:1",), (("/etc/caddy/secret", True),))
    found = look(folder, ":80 {\n\treverse_proxy {$TO}\n}\n", environment)
    assert problem(folder, found) == (
        "Caddyfile:2: {$TO} has no default, and its unit's environment cannot be read: "
        "permission denied"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{\n\treverse_proxy 127.0.0.1:8001\n}\n", "Caddyfile:2: unrecognized global option"),
        ("a.test {\n\tproxy / localhost:8000 {\n\t\ttransparent\n\t}\n\tgzip\n}\n",
         "Caddyfile:2: unrecognized directive: proxy"),
        ("a.test {\n\treverse_proxy x:1\n", "Caddyfile:2"),
        ("a.test {\n\timport missing.conf\n}\n", "missing.conf"),
    ],
)  # fmt: skip
def test_what_the_adapter_refuses_is_told_in_its_words(folder: Path, text: str, told: str) -> None:
    found = look(folder, text)
    assert found.on_disk is None
    assert told in problem(folder, found)


def test_a_directive_outside_of_every_site_is_told(folder: Path) -> None:
    found = look(folder, "reverse_proxy 127.0.0.1:8001\n")
    assert "reverse_proxy" in problem(folder, found)
    assert upstreams(found) == []


def test_snippets_with_arguments_in_names_of_matchers_are_read(folder: Path) -> None:
    found = look(
        folder,
        "(up) {\n\t@{args.0} path /{args.0}/*\n\treverse_proxy @{args.0} {args.1}\n}\n"
        ":8080 {\n\timport up api 127.0.0.1:8001\n\timport up web app:8002\n}\n",
    )
    assert [(r.upstream, r.dynamic) for r in found.on_disk or ()] == [
        ("127.0.0.1:8001", False), ("app:8002", True),
    ]  # fmt: skip
    assert found.listens == ("0.0.0.0:8080",)


def test_files_that_are_imported_are_read_and_watched(folder: Path) -> None:
    (folder / "sites").mkdir(mode=0o755)
    text = "import sites/*.caddy\nimport one.conf\n(s) {\n}\nb.test {\n\timport s\n}\n"
    found = look(folder, text, one_conf="a.test {\n\treverse_proxy a:1\n}\n")
    assert upstreams(found) == ["a:1"]
    (folder / "sites" / "b.caddy").write_text("c.test {\n\treverse_proxy {$TO}\n}\n")
    files = caddy_files.look(str(folder / "Caddyfile"))
    assert {Path(path).name for path, _ in files.stamps} == {
        "Caddyfile", "one.conf", "sites", "b.caddy",
    }  # fmt: skip
    assert files.unset == (("TO", f"{folder}/sites/b.caddy:2"),)
    assert files.changed == pytest.approx((folder / "sites/b.caddy").stat().st_ctime, abs=1e-3)


def test_files_that_import_each_other_end(folder: Path) -> None:
    (folder / "Caddyfile").write_text("import *\n")
    (folder / "b").write_text("import Caddyfile\nimport *\n")
    assert len(caddy_files.look(str(folder / "Caddyfile")).stamps) == 3


def test_every_way_to_an_upstream_is_a_route(folder: Path) -> None:
    document = adapted(
        folder,
        """:80 {
	reverse_proxy {
		dynamic srv _api._tcp.example.test
	}
	handle /x {
		reverse_proxy {
			dynamic a app 8000
		}
	}
	forward_auth auth:9091 {
		uri /v
	}
	php_fastcgi unix//run/php.sock
	reverse_proxy /h {http.request.header.X-To} h2c://10.0.0.1:9000
	handle_errors {
		reverse_proxy err:9000
	}
}
""",
    )
    found = {(r.upstream, r.protocol, r.dynamic) for r in caddy.routes(document)}
    assert found == {
        ("{_api._tcp.example.test}", "http", False),
        ("app:8000", "http", True),
        ("auth:9091", "http", True),
        ("unix:/run/php.sock", "fastcgi", False),
        ("{http.request.header.X-To}", "http", False),
        ("10.0.0.1:9000", "http", False),
        ("err:9000", "http", True),
    }


def test_routes_that_others_invoke_or_that_follow_an_answer_are_read() -> None:
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": "unix+h2c//run/a.sock"}]}
    after = {
        "handler": "reverse_proxy", "upstreams": [{"dial": "a:1"}],
        "handle_response": [{"routes": [{"handle": [
            {"handler": "reverse_proxy", "upstreams": [{"dial": "tcp6/[::1]:2"}]}]}]}],
        "dynamic_upstreams": {"source": "multi", "sources": [{"source": "a", "name": "b"}]},
    }  # fmt: skip
    server = {
        "listen": ["unix//run/web.sock", "udp/:443", "{env.AT}", "127.0.0.1:8000-8001", "[::1]:9"],
        "named_routes": {"n": {"handle": [proxy]}},
        "routes": [
            {"match": [{"host": ["a.test"]}, {"path": ["/x"]}],
             "handle": [{"handler": "invoke", "name": "n"}, {"handler": "invoke", "name": "gone"}]},
            {"handle": [after]},
        ],
    }  # fmt: skip
    document = {"apps": {"http": {"servers": {"s": server}}, "layer4": {"servers": {"x": {}}}}}
    assert [(r.site, r.upstream) for r in caddy.routes(document)] == [
        ("*", "unix:/run/a.sock"), ("*", "a:1"), ("*", "b:80"), ("*", "[::1]:2"),
    ]  # fmt: skip
    assert caddy.listens(document) == (
        "unix:/run/web.sock", "127.0.0.1:8000", "127.0.0.1:8001", "[::1]:9",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ('respond "x" 503', [(503, False)]),
        ("error 503", [(503, False)]),
        ("respond /* 503", [(503, False)]),
        ("respond /part 503\nreverse_proxy a:1", []),
        ("reverse_proxy a:1\nrespond 503", [(503, False)]),  # comes first, by Caddy's own order
        ("handle /api/* {\nreverse_proxy a:1\n}\nhandle {\nrespond 503\n}", [(503, False)]),
        ("@closed file /closed\nrespond @closed 503\nreverse_proxy a:1", [(503, True)]),
        ("respond 404", []),
        ("redir https://b.test", []),
        ("error 503\nhandle_errors {\nreverse_proxy b:2\n}", []),
        ("route {\nreverse_proxy a:1\nrespond 503\n}", []),
        ("forward_auth auth:1 {\nuri /v\n}\nrespond 503", [(503, False)]),
    ],
)
def test_a_site_that_caddy_answers_by_itself_is_known(
    folder: Path, site: str, expected: list[tuple[int, bool]]
) -> None:
    document = adapted(folder, f"http://shop.test {{\n{site}\n}}\n")
    found = caddy_answers.answers(document)
    assert [(answer.status, answer.conditional) for answer in found] == expected
    assert all(answer == LocalAnswer("shop.test", ":80", answer.status, answer.conditional)
               for answer in found)  # fmt: skip


def test_a_site_that_only_the_admin_api_knows_is_read(folder: Path) -> None:
    ports = free_port(), free_port()
    (folder / "Caddyfile").write_text(
        f"{{\n\tadmin localhost:{ports[0]}\n}}\n"
        f"http://a.test:{ports[1]} {{\n\treverse_proxy 127.0.0.1:1\n}}\n"
    )
    binary, admin = str(require("caddy")), f"http://localhost:{ports[0]}"
    place = ProxyPlace("web", config=str(folder / "Caddyfile"), binary=binary)
    caddy_process = subprocess.Popen(
        [binary, "run", "--config", str(folder / "Caddyfile")],
        env={"HOME": str(folder)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=5)) as client:
            while client.get(f"{admin}/config/").text == "null\n":
                time.sleep(0.02)
            before = asyncio.run(caddy_asking.look(place, Blocking("reading", 5.0)))
            proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": "app:2"}]}
            route = {"match": [{"host": ["b.test"]}], "handle": [proxy]}
            url = f"{admin}/config/apps/http/servers/srv0/routes"
            assert client.post(url, json=route).status_code == 200
            after = asyncio.run(caddy_asking.look(place, Blocking("reading", 5.0)))
    finally:
        caddy_process.terminate()
        caddy_process.wait(10)
    assert before.digest == before.loaded_digest != ""
    assert [(r.site, r.upstream) for r in after.loaded or ()] == [
        ("a.test", "127.0.0.1:1"), ("b.test", "app:2"),
    ]  # fmt: skip
    assert [(r.site, r.upstream) for r in after.on_disk or ()] == [("a.test", "127.0.0.1:1")]
    assert after.digest == before.digest != after.loaded_digest


def test_a_caddy_in_a_container_is_known_by_what_it_saves(tmp_path: Path) -> None:
    server = {
        "listen": [":80", ":9000"],
        "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [
            {"dial": "web:8000"}, {"dial": "localhost:8001"}, {"dial": "unix//run/a.sock"},
        ]}]}],
    }  # fmt: skip
    (tmp_path / "config/caddy").mkdir(parents=True)
    (tmp_path / "etc/caddy").mkdir(parents=True)
    (tmp_path / "etc/caddy/Caddyfile").write_text("{$SITE} {\n}\n")
    saved = tmp_path / "config/caddy/autosave.json"
    saved.write_text(json.dumps({"apps": {"http": {"servers": {"s": server}}}}))
    place = ProxyPlace(
        "shop/web", "caddy", config="/etc/caddy/Caddyfile", admin="", container="shop/web",
        root=(("/", str(tmp_path)),), is_apart=True, reached=(("80", "127.0.0.1:8080"),),
    )  # fmt: skip
    found = asyncio.run(caddy_asking.look(place, Blocking("reading", 5.0)))
    assert [(r.listen, r.upstream) for r in found.loaded or ()] == [
        ("127.0.0.1:8080", "web:8000"),
        ("127.0.0.1:8080", "{localhost:8001}"),
        ("127.0.0.1:8080", "{unix:/run/a.sock}"),
    ]
    assert (found.listens, found.logs) == (("127.0.0.1:8080",), ())
    assert found.problems == {"caddy-config": ""}


def test_a_place_in_no_container_is_seen_as_it_is() -> None:
    found = ProxyFound(on_disk=(Route("*", ":80", "localhost:1"),), listens=("0.0.0.0:80",))
    assert seen_from_here(found, ProxyPlace("web")) is found


KEYS = ["apps", "http", "servers", "routes", "handle", "handler", "upstreams", "dial", "match",
        "host", "path", "listen", "errors", "named_routes", "name", "dynamic_upstreams", "source",
        "sources", "status_code", "handle_response", "transport", "protocol"]  # fmt: skip
VALUES = st.sampled_from(
    ["reverse_proxy", "subroute", "invoke", "static_response", "error", "srv", "a", "multi", ":80",
     "unix//x", "/*", "503", "tcp/", "a:1-2", "{x}"]
)  # fmt: skip


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), VALUES),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
        ),
        max_leaves=40,
    )
)
def test_no_document_breaks_it(inside: object) -> None:
    server = {"listen": inside, "routes": inside, "errors": inside, "named_routes": inside}
    route = {"handle": [inside], "match": inside}
    for servers in ({"s": server}, {"s": {"routes": [route]}}, inside):
        document = {"apps": {"http": {"servers": servers}}}
        caddy.routes(document)
        caddy.listens(document)
        caddy.faults(document)
        caddy_answers.answers(document)
