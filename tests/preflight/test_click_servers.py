"""Would uvicorn take its command line: said from its sources, compared with what it does."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from badgateway.packages.findings import Target
from badgateway.preflight import argparsing, clicking
from badgateway.preflight.look import preflight
from badgateway.preflight.options import NotReadableError, Server
from tests.preflight.servers import copied, findings, kinds, really


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("--keepalive 5 nope:app", {("option_unknown", "--keepalive")}),
        ("--timeout-keepalive=5 nope:app --prot 1",
         {("option_unknown", "--timeout-keepalive"), ("option_unknown", "--prot")}),
        ("--port abc nope:app", {("option_invalid", "--port")}),
        ("--lifespan maybe nope:app", {("option_invalid", "--lifespan")}),
        ("--log-level loud nope:app", {("option_invalid", "--log-level")}),
        ("--log-level debug --interface asgi3 nope:app", set()),
        ("nope:app --workers", {("option_invalid", "--workers")}),
        ("nope:app --reload=1", {("option_invalid", "--reload")}),
        ("nope:app more", {("option_invalid", "arguments")}),
        ("nope:app --log-config /nonexistent/log.ini",
         {("server_config_missing", "/nonexistent/log.ini")}),
        ("nope:app --env-file /nonexistent/env", {("option_invalid", "--env-file")}),
        ("--host 127.0.0.1 --port 0 --no-access-log --proxy-headers --forwarded-allow-ips * "
         "--header A:b --header C:d --factory nope:app", set()),
    ],
)  # fmt: skip
def test_what_is_foretold_is_what_uvicorn_does(
    tmp_path: Path, arguments: str, found: set[tuple[str, str]]
) -> None:
    assert kinds("uvicorn", *arguments.split()) == found
    # with good options it fails later: there is no such application
    status, words = really("uvicorn", tmp_path, *arguments.split())
    assert (status == 2) == bool(found), words


def test_variables_are_options_too(tmp_path: Path) -> None:
    variables = {"UVICORN_PORT": "abc", "UVICORN_LOG_LEVEL": "info", "UVICORN_OTHER": "x"}
    (found,) = findings("uvicorn", "nope:app", variables=variables)
    assert (found.kind, found.subject) == ("option_invalid", "--port")
    assert "UVICORN_PORT" in found.message
    assert really("uvicorn", tmp_path, "nope:app", **variables)[0] == 2
    # the command line is stronger
    assert kinds("uvicorn", "--port", "1", "nope:app", variables=variables) == set()
    assert really("uvicorn", tmp_path, "--port", "0", "nope:app", **variables)[0] != 2


def test_the_exporters_own_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UVICORN_PORT", "abc")
    monkeypatch.setenv("PORT", "abc")
    assert kinds("uvicorn", "nope:app") == set()


def test_sources_that_are_not_understood_judge_nothing(tmp_path: Path) -> None:
    site = tmp_path / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    package = copied("uvicorn", site, "main.py", "config.py")
    there = Target("", str(tmp_path), server="uvicorn", arguments=("--keepalive", "1", "a:b"))
    assert [f.kind for f in preflight(there).findings] == ["option_unknown"]
    source = (package / "main.py").read_text()
    for changed in (source.replace("@click.option", "@knob"), "def main(): pass", "def ("):
        (package / "main.py").write_text(changed)
        seen = preflight(there)
        assert seen.findings == ()
        assert "cannot be read" in seen.problem


OLD = """
import click
from uvicorn.config import LOOP_SETUPS
LOOPS = click.Choice([key for key in LOOP_SETUPS.keys() if key != "none"])
LEVELS = click.Choice(list(LEVEL.keys()), case_sensitive=False)
LEVEL: dict[str, int] = {"info": 1, "debug": 2}

@click.command()
@click.argument("app")
@click.option("--loop", type=LOOPS, default="auto")
@click.option("--log-level", type=LEVELS)
@click.option("--level-of", type=click.Choice(computed()))
@click.option("--port", "-p", "number", type=click.IntRange(1, 9))
@click.option("--a/--no-a", "kept", default=True)
@click.option("--b", type=float)
@click.option("--c", multiple=True)
@click.option("--d", nargs=2)
@click.option("--e", is_flag=True)
@click.option("--f", type=click.Path(exists=True))
def main(app, **others): ...
"""


def test_other_ways_to_write_a_decorator_are_read() -> None:
    config = ast.parse('LOOP_SETUPS = {"none": None, "auto": "x", "uvloop": "y"}')
    options = clicking.of_decorators(ast.parse(OLD), config)
    server = Server("uvicorn", "/nowhere", "0.1")

    def refused(words: str) -> list[str]:
        return [f.subject for f in clicking.parse(server, options, words.split(), "here")[1]]

    assert refused("--loop uvloop --log-level INFO --b 1.5 --c 1 --c 2 --d 1 2 --e --no-a a") == []
    assert refused("--level-of anything -p 3 a") == []
    assert refused("--loop tokio a") == ["--loop"]
    assert refused("-p x a") == ["--port"]
    assert refused("--b x a") == ["--b"]


def test_a_command_with_few_options_was_not_understood() -> None:
    with pytest.raises(NotReadableError):
        clicking.of_decorators(ast.parse("@click.option('--a')\ndef main(): ..."))
    with pytest.raises(NotReadableError):
        argparsing.of_calls(ast.parse("parser.add_argument('--a')"))


def test_hypercorns_way_of_declaring_is_read() -> None:
    calls = "".join(f"parser.add_argument('--o{number}', type=int)\n" for number in range(10))
    calls += "parser.add_argument('-k', '--worker-class', choices=['asyncio', 'trio'])\n"
    calls += "parser.add_argument('-b', '--bind', action='append', default=[])\n"
    options = argparsing.of_calls(ast.parse(calls + "parser.add_argument('application')\n"))
    server = Server("hypercorn", "/nowhere")

    def refused(words: str) -> list[str]:
        return [f.subject for f in argparsing.parse(server, options, words.split(), "here")[1]]

    assert refused("--o1 2 -b a -b b -k trio m:app") == []
    assert refused("--o1 x m:app") == ["--o1"]
    assert refused("-k other m:app") == ["--worker-class"]
    assert refused("--keepalive m:app") == ["--keepalive"]
