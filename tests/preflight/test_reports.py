"""What a preflight adds to the report on the next start."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from badgateway.collectors.starts import is_judged, target
from badgateway.packages.findings import Target
from badgateway.packages.scan import scan
from badgateway.packages.watch import fingerprint
from badgateway.topology.backends import Backend
from badgateway.topology.containers.container import Container
from badgateway.topology.launch.command import parse_command
from badgateway.topology.launch.unit import unit_launch
from tests.preflight.servers import copied

MINOR = f"python3.{sys.version_info.minor}"


def project(place: Path) -> Path:
    (place / "pyproject.toml").write_text('[project]\nname = "api"\ndependencies = []\n')
    (place / "app.py").write_text("def app(environ, start_response): pass\n")
    return place


def backend(place: Path, *arguments: str, **variables: str) -> Backend:
    launch = parse_command([sys.executable, "-m", "gunicorn", *arguments], str(place), variables)
    return Backend("api", "process", launch=launch, project=str(place), virtualenv=sys.prefix)


def test_a_bad_option_makes_the_next_start_fail_with_a_project(tmp_path: Path) -> None:
    found = backend(project(tmp_path), "--keepalive", "5", "app:app")
    report = asyncio.run(scan(target(found, None)))
    assert report.verdict == "will_fail"
    assert report.findings[0].kind == "option_unknown"
    assert report.findings[0].subject == "--keepalive"
    cured = backend(tmp_path, "--keep-alive", "5", "app:app")
    report = asyncio.run(scan(target(cured, None)))
    assert not [f for f in report.findings if f.severity == "fatal"]


def test_without_a_project_the_command_line_alone_is_judged(tmp_path: Path) -> None:
    bad = replace(backend(tmp_path, "--keepalive", "5", "a:b"), project=None, virtualenv=None)
    assert is_judged(bad)
    report = asyncio.run(scan(target(bad, None)))
    assert (report.verdict, [f.kind for f in report.findings]) == ("will_fail", ["option_unknown"])
    good = replace(backend(tmp_path, "a:b"), project=None, virtualenv=None)
    report = asyncio.run(scan(target(good, None)))
    assert (report.verdict, report.findings, report.problem) == ("ok", (), "")


def test_what_the_next_start_runs_is_judged_and_not_what_runs_now(tmp_path: Path) -> None:
    now = backend(tmp_path, "a:b")
    following = backend(tmp_path, "--keepalive", "a:b").launch
    asked = target(replace(now, project=None, next_launch=following), None)
    assert asked.arguments == ("--keepalive", "a:b")


def test_only_what_the_server_reads_as_options_is_handed_on_of_the_environment(
    tmp_path: Path,
) -> None:
    found = backend(tmp_path, "a:b", GUNICORN_CMD_ARGS="-w 2", DATABASE_URL="secret")
    assert target(found, None).variables == {"GUNICORN_CMD_ARGS": "-w 2"}


def test_words_that_a_profile_may_change_are_not_judged() -> None:
    shell = ["bash", "-lc", f"exec {sys.executable} -m gunicorn -w $WORKERS -b :1 a:b"]
    unknown = Backend("api", launch=parse_command(shell, "/", {}))
    assert unknown.server == "gunicorn"
    assert not is_judged(unknown)
    known = Backend("api", launch=parse_command(shell, "/", {"WORKERS": "2"}))
    assert is_judged(known)


def test_a_units_needs_are_handed_on() -> None:
    launch = unit_launch(
        [sys.executable, "-m", "uvicorn", "a:b"], "/srv/none", (),
        [("/etc/must", False), ("/etc/may", True)], user="web", group="www",
    )  # fmt: skip
    asked = target(Backend("api", launch=launch), None)
    assert (asked.needed_directory, asked.needed_files) == ("/srv/none", ("/etc/must",))
    assert (asked.user, asked.group) == ("web", "www")
    # an environment file that cannot be read may hold any option
    assert asked.arguments == ()
    optional = unit_launch([sys.executable, "-m", "uvicorn", "a:b"], "!/srv/none")
    assert optional.needed_directory == ""


def test_a_container_is_seen_with_its_own_eyes(tmp_path: Path) -> None:
    site = tmp_path / "usr/local/lib" / MINOR / "site-packages"
    copied("gunicorn", site, "config.py", "workers/__init__.py")
    (tmp_path / "usr/local/bin").mkdir()
    (tmp_path / "usr/local/bin" / MINOR).write_text("")
    (tmp_path / "usr/local/bin/python").symlink_to(f"/usr/local/bin/{MINOR}")
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/conf.py").write_text("workers = 2\n")
    asked = Target(
        "", interpreter="/usr/local/bin/python", server="gunicorn", directory="/srv",
        arguments=("-c", "conf.py", "--keepalive", "5", "app:app"), root=(("/", str(tmp_path)),),
    )  # fmt: skip
    report = asyncio.run(scan(asked))
    assert [(f.kind, f.subject) for f in report.findings] == [("option_unknown", "--keepalive")]
    before = fingerprint(report.watch, asked.root)
    (tmp_path / "srv/conf.py").unlink()
    assert fingerprint(report.watch, asked.root) != before
    report = asyncio.run(scan(asked))
    assert ("server_config_missing", "/srv/conf.py") in {
        (f.kind, f.subject) for f in report.findings
    }


def test_a_containers_root_comes_from_the_container() -> None:
    launch = parse_command(["/usr/local/bin/python", "-m", "gunicorn", "a:b"], "/app", {})
    inside = Container("shop/web", "abc", root=(("/", "/proc/7/root"),))
    found = Backend("shop/web", "docker", "shop/web", launch, container=inside)
    assert target(found, None).root == (("/", "/proc/7/root"),)
