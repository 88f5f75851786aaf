"""``badgateway check`` of proxies' configurations: how it is asked, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from badgateway.cli.rendering import github, junit
from badgateway.cli.rendering.checked import Checked
from badgateway.packages.findings import Finding
from badgateway.topology.proxies import landlock
from tests.lab.require import unavailable
from tests.nginxlab import Nginx, application
from tests.servers import ExporterProcess, free_port
from tests.topology.rootsplace import roots_place

PROGRAM = Path(sys.executable).with_name("badgateway")
SITE = """\
server {{
    listen 80;
    server_name shop.example.org;
    location / {{
        proxy_pass http://{upstream};
    }}
}}
"""


def check(
    folder: Path, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "check", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip


def results(folder: Path, *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    done = check(folder, "--json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "nginx" / "sites-available" / "shop"
    path.parent.mkdir(parents=True)
    path.write_text(SITE.format(upstream="127.0.0.1:8001"))
    (tmp_path / "expected").write_text("127.0.0.1:8001\n")
    return path


def test_a_right_configuration_is_clean(site: Path, tmp_path: Path) -> None:
    status, (result,) = results(tmp_path, "--elsewhere", "--expect", "expected", site)
    assert status == 0
    assert (result["verdict"], result["findings"]) == ("ok", [])
    assert result["judged_by"] == "by syntax and names only, and by 1 expected addresses"


def test_a_wrong_upstream_stops_the_pipeline(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE.format(upstream="127.0.0.1:8010"))
    status, (result,) = results(
        tmp_path, "--elsewhere", "--expect", "expected", "nginx/sites-available/shop"
    )
    assert status == 1
    (finding,) = result["findings"]
    assert finding["kind"] == "upstream_not_expected"
    assert finding["where"] == "nginx/sites-available/shop:5"
    assert "did you mean 127.0.0.1:8001?" in finding["message"]


def test_the_severity_that_fails_can_be_chosen(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE.format(upstream="127.0.0.1:8010"))
    words = ("--elsewhere", "--expect", "expected", site)
    assert check(tmp_path, *words, "--fail-on", "fatal").returncode == 0
    assert check(tmp_path, *words, "--fail-on", "high").returncode == 1


def test_a_person_reads_what_is_wrong_where_and_what_to_write(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE.format(upstream="127.0.0.1:8010"))
    done = check(tmp_path, "--elsewhere", "--expect", "expected", site, COLUMNS="200")
    assert "next reload: may fail" in done.stdout
    assert "judged by syntax and names only" in done.stdout
    assert f"{site}:5" in done.stdout
    assert "→ write 127.0.0.1:8001 instead of 127.0.0.1:8010" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_folder_is_judged_by_its_main_file(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE.format(upstream="127.0.0.1:99999"))
    main = tmp_path / "nginx" / "nginx.conf"
    main.write_text("events {}\nhttp { include /etc/nginx/sites-available/*; }\n")
    status, (result,) = results(tmp_path, "--elsewhere", tmp_path / "nginx")
    assert status == 1
    assert [f["kind"] for f in result["findings"]] == ["upstream_invalid"]
    assert result["findings"][0]["where"] == f"{site}:5"


def test_two_environments_are_compared(site: Path, tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.write_text(
        SITE.format(upstream="10.0.0.1:8002").replace("shop.example.org", "shop.staging.net")
    )
    words = ("--elsewhere", "--against", site, "--map", "staging.net=example.org")
    status, (result,) = results(tmp_path, *words, "staging")
    assert status == 1
    (finding,) = result["findings"]
    assert (finding["kind"], finding["subject"]) == ("routes_differ", "shop.example.org")
    staging.write_text(staging.read_text().replace("8002", "8001"))
    assert results(tmp_path, *words, "staging")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--map", "a=b", "site"), "--map says how a host is called in --against"),
        (("--against", "site", "--map", "a", "site"), "--map a: write it as"),
        (("--expect", "notes", "site"), "notes:1: `nothing of the kind` is no address: no port"),
        (("--expect", "list.yml", "site"), "list.yml: neither a list of addresses"),
        (("--against", "notes", "site"), "neither a configuration of nginx nor of Caddy"),
        (("",), "an empty argument"),
        (("gone",), "no backend `gone` whose start can be judged"),
        (("notes",), "the file of this name is no configuration of nginx or Caddy"),
    ],
)
def test_what_cannot_be_checked_ends_with_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "site").write_text(SITE.format(upstream="127.0.0.1:8001"))
    (tmp_path / "notes").write_text("nothing of the kind\n")
    (tmp_path / "list.yml").write_text("a: b\n")
    done = check(tmp_path, "--elsewhere", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_file_of_neither_proxy_cannot_be_checked(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {}\n")
    status, (result,) = results(tmp_path, "--elsewhere", "compose.yml")
    assert status == 2
    assert result["verdict"] == "unknown"
    assert "neither a configuration of nginx nor of Caddy" in result["problem"]


# -- on the host of the proxy


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, int, Path]]:
    folder = tmp_path_factory.mktemp("host")
    with application() as port:
        http = (
            "server { listen 127.0.0.1:PORT; server_name shop.test;"
            f" location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
        )
        with Nginx(folder, http) as nginx:
            config = folder / "badgateway.yml"
            proxy = {"name": "front", "kind": "nginx", "config": str(nginx.config)}
            config.write_text(json.dumps({"docker": {"enabled": False}, "proxies": [proxy]}))
            yield nginx, port, config


def test_the_proxys_name_is_enough_on_its_host(world: tuple[Nginx, int, Path]) -> None:
    nginx, _, config = world
    status, (result,) = results(nginx.folder, "front", "--config.file", config)
    assert (status, result["name"], result["verdict"]) == (0, "front", "ok")
    assert result["judged_by"] == "against what listens on this host"


def test_an_edited_file_is_refused_before_the_reload(world: tuple[Nginx, int, Path]) -> None:
    nginx, port, config = world
    wrong = free_port()
    before = nginx.config.read_text()
    try:
        nginx.config.write_text(before.replace(f"127.0.0.1:{port}", f"127.0.0.1:{wrong}"))
        status, (result,) = results(nginx.folder, nginx.config, "--config.file", config)
        assert nginx.get("/ok", "shop.test") == 200  # nothing was reloaded yet
    finally:
        nginx.config.write_text(before)
    assert status == 1
    assert [(f["kind"], f["subject"]) for f in result["findings"]] == [
        ("upstream_not_listening", f"127.0.0.1:{wrong}")
    ]


def test_an_older_file_is_judged_before_it_is_rolled_back_to(
    world: tuple[Nginx, int, Path], tmp_path: Path
) -> None:
    nginx, port, config = world
    older = tmp_path / "nginx.conf.bak"
    older.write_text(nginx.config.read_text().replace(f":{port}", f":{free_port()}"))
    assert results(tmp_path, "--here", older, "--config.file", config)[0] == 1
    older.write_text(nginx.config.read_text())
    assert results(tmp_path, "--here", older, "--config.file", config)[0] == 0


def test_without_arguments_the_proxies_of_the_host_are_checked(
    world: tuple[Nginx, int, Path],
) -> None:
    nginx, _, config = world
    status, found = results(nginx.folder, "--config.file", config)
    assert "front" in {result["name"] for result in found}
    assert status in (0, 1)  # whatever else runs on this machine


def test_an_unknown_name_is_told_with_those_that_are_known(
    world: tuple[Nginx, int, Path],
) -> None:
    nginx, _, config = world
    done = check(nginx.folder, "nobody", "--config.file", config)
    assert done.returncode == 2
    assert "front" in done.stderr


def remembered(checkpoint: Path, words: str) -> None:
    deadline = time.monotonic() + 15
    while not checkpoint.exists() or words not in checkpoint.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_the_running_exporter_saw_loaded_tells_whose_a_site_is(tmp_path: Path) -> None:
    with application() as shop, application() as blog:
        sites = "".join(
            f"server {{ listen 127.0.0.1:PORT; server_name {name}.test;"
            f" location / {{ proxy_pass http://127.0.0.1:{port}; }} }}\n"
            for name, port in (("shop", shop), ("blog", blog))
        )
        with Nginx(tmp_path, sites) as nginx:
            proxy = {"name": "front", "kind": "nginx", "config": str(nginx.config)}
            text = json.dumps({"docker": {"enabled": False}, "proxies": [proxy]})
            with ExporterProcess(tmp_path, text) as exporter:
                exporter.wait_for("backend_info", 1, proxy="front", site="shop.test")
                remembered(tmp_path / "state" / "checkpoint.json", '"shop.test"')
                nginx.write(sites.replace(f":{shop};", f":{blog};"))
                done = check(
                    tmp_path, "--json", nginx.config, "--config.file",
                    tmp_path / "badgateway.yml", STATE_DIRECTORY=str(tmp_path / "state"),
                )  # fmt: skip
            assert nginx.get("/ok", "shop.test") == 200
    (result,) = json.loads(done.stdout)
    assert done.returncode == 1
    (finding,) = result["findings"]
    assert finding["kind"] == "upstream_other_application"
    assert finding["message"].startswith("shop.test leads to ")


def test_what_only_nginx_itself_knows_to_be_wrong_is_asked_of_it() -> None:
    if landlock.version() == 0:
        unavailable("this kernel has no Landlock, without which nginx is not asked")
    with roots_place() as folder, application() as port:
        site = (
            "server { listen 127.0.0.1:PORT; server_name shop.test;"
            f" location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
        )
        with Nginx(folder, site) as nginx:
            nginx.write(f"{site}\nmade_up_directive on;")
            status, (result,) = results(folder, "--here", nginx.config)
            assert nginx.get("/ok", "shop.test") == 200
        assert (status, result["verdict"]) == (1, "will_fail")
        (finding,) = result["findings"]
        assert finding["kind"] == "proxy_config_invalid"
        assert 'unknown directive "made_up_directive"' in finding["message"]
        line = nginx.config.read_text().splitlines().index("made_up_directive on;") + 1
        assert finding["where"] == f"{nginx.config}:{line}"


# -- for CI systems


HOSTILE = Checked(
    "nginx/a,b:c.conf",
    "may_fail",
    "",
    (
        Finding("upstream_invalid", "high", "a]]><b>:1", "100 % wrong\r\nhere, at: this",
                "write\nthat", where="nginx/a,b:c.conf:12"),
        Finding("routes_differ", "warn", "shop\x00\x1b[31m", "differs", where=""),
        Finding("proxy_config_template", "info", "x", "a template", where="x.j2"),
    ),
    "by syntax", "nginx/a,b:c.conf",
)  # fmt: skip
UNKNOWN = Checked("Caddyfile", "unknown", "install caddy", (), file="Caddyfile")
CLEAN = Checked("nginx.conf", "ok", "", (), file="nginx.conf")


def test_githubs_annotations_escape_what_would_end_them() -> None:
    assert github.text([HOSTILE, UNKNOWN, CLEAN], "high").splitlines() == [
        "::error file=nginx/a%2Cb%3Ac.conf,line=12,"
        "title=badgateway%3A upstream_invalid (nginx/a%2Cb%3Ac.conf)"
        "::100 %25 wrong%0D%0Ahere, at: this%0Awrite%0Athat",
        "::warning title=badgateway%3A routes_differ (nginx/a%2Cb%3Ac.conf)::differs",
        "::notice file=x.j2,title=badgateway%3A proxy_config_template (nginx/a%2Cb%3Ac.conf)"
        "::a template",
        "::error file=Caddyfile,title=badgateway%3A Caddyfile::install caddy",
    ]


def test_an_absolute_path_is_annotated_below_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    finding = Finding("routes_differ", "high", "a", "b", where=f"{tmp_path}/nginx/site:3")
    (line,) = github.text([Checked("x", "may_fail", "", (finding,))], "high").splitlines()
    assert line.startswith("::error file=nginx/site,line=3,")


def test_junit_counts_failures_by_the_severity_that_fails() -> None:
    root = ElementTree.fromstring(junit.text([HOSTILE, UNKNOWN, CLEAN], "high"))
    assert root.tag == "testsuites"
    assert [root.get(name) for name in ("tests", "failures", "errors")] == ["5", "1", "1"]
    hostile, unknown, clean = root
    assert [case.find("failure") is not None for case in hostile] == [True, False, False]
    first = hostile[0]
    assert (first.get("file"), first.get("line")) == ("nginx/a,b:c.conf", "12")
    assert first.get("name") == "upstream_invalid: a]]><b>:1"
    assert [case.find("error") is not None for case in unknown] == [True]
    assert len(clean) == 1
    assert len(clean[0]) == 0
    stricter = ElementTree.fromstring(junit.text([HOSTILE], "info"))
    assert stricter.get("failures") == "3"


def test_the_formats_are_printed_by_the_command(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE.format(upstream="127.0.0.1:99999"))
    path = "nginx/sites-available/shop"
    done = check(tmp_path, "--elsewhere", "--format", "github", path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"::error file={path},line=5,title=")
    done = check(tmp_path, "--elsewhere", "--format", "junit", path)
    assert done.returncode == 1
    assert ElementTree.fromstring(done.stdout).get("failures") == "1"
    as_json = check(tmp_path, "--elsewhere", "--format", "json", path)
    assert as_json.stdout == check(tmp_path, "--elsewhere", "--json", path).stdout
