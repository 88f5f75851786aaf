"""Would gunicorn take its command line: said from its sources, compared with what it does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from badgateway.packages.findings import Target
from badgateway.preflight.look import preflight
from tests.preflight.servers import copied, findings, kinds, really, target

APP = "def app(environ, start_response): pass\n"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("--keepalive 5 app:app", {("option_unknown", "--keepalive")}),
        ("--keepalive=5 --tiemout 3 app:app",
         {("option_unknown", "--keepalive"), ("option_unknown", "--tiemout")}),
        ("-w 1 -k uvicorn.workers.UvicornWorker --timeout 120 --max-requests 1000 "
         "--max-requests-jitter 50 --keep-alive 5 app:app", set()),
        ("--keep-al 5 --bind 127.0.0.1:1 app:app", set()),
        ("--log info app:app", {("option_invalid", "--log")}),
        ("-t abc app:app", {("option_invalid", "--timeout")}),
        ("--workers 1.5 app:app", {("option_invalid", "--workers")}),
        ("--workers -1 app:app", {("option_invalid", "--workers")}),
        ("app:app --bind", {("option_invalid", "--bind")}),
        ("-m 022 app:app", set()),
        ("-k nothing app:app", {("option_invalid", "--worker-class")}),
        ("-k gthread --threads 2 app:app", set()),
        ("-c missing.py app:app", {("server_config_missing", "{}/missing.py")}),
        ("-c broken.py app:app", {("server_config_invalid", "{}/broken.py")}),
        ("-c file:plain.py app:app", set()),
        ("-c negative.py app:app", {("option_invalid", "workers")}),
        ("-u no-such-user-here app:app", {("user_missing", "no-such-user-here")}),
        ("-g no-such-group-here app:app", {("user_missing", "no-such-group-here")}),
        ("--chdir nowhere app:app", {("directory_missing", "{}/nowhere")}),
        ("--certfile none.pem app:app", {("option_invalid", "--certfile")}),
        ("--preload --reuse-port -R -e A=1 -e B=2 app:app", set()),
    ],
)  # fmt: skip
def test_what_is_foretold_is_what_gunicorn_does(
    tmp_path: Path, arguments: str, found: set[tuple[str, str]]
) -> None:
    home = tmp_path / "srv"
    home.mkdir()
    (home / "app.py").write_text(APP)
    (home / "plain.py").write_text("workers = 2\nbind = ['127.0.0.1:1']\n")
    (home / "broken.py").write_text("workers = = 2\n")
    (home / "negative.py").write_text("workers = -2\n")
    expected = {(kind, subject.format(home)) for kind, subject in found}
    seen = preflight(
        Target(
            "", sys.prefix, server="gunicorn", arguments=tuple(arguments.split()),
            directory=str(home), search=(str(home),),
        )
    )  # fmt: skip
    assert {(f.kind, f.subject) for f in seen.findings} == expected
    # its own check does not look at worker classes and certificates; a start is refused at once
    starts = "--certfile" in arguments or "nothing" in arguments
    checked = ["--bind", "127.0.0.1:0"] if starts else ["--check-config"]
    if "uvicorn" not in arguments:
        status, words = really("gunicorn", home, *checked, *arguments.split())
        assert bool(status) == bool(expected), words


def test_a_misspelt_option_is_told_with_the_one_that_was_meant() -> None:
    (found,) = findings("gunicorn", "app:app", "--keepalive", "5")
    assert found.message.endswith("did you mean --keep-alive?")
    assert "has no option --keepalive" in found.message
    assert found.fix == "write --keep-alive instead of --keepalive in the command line"
    assert found.severity == "fatal"


def test_the_variable_with_options_is_named_as_their_place(tmp_path: Path) -> None:
    variables = {"GUNICORN_CMD_ARGS": "--tiemout 5"}
    (found,) = findings("gunicorn", "app:app", variables=variables)
    assert "GUNICORN_CMD_ARGS" in found.message
    assert "--timeout" in found.fix
    (tmp_path / "app.py").write_text(APP)
    status, _ = really("gunicorn", tmp_path, "--check-config", "app:app", **variables)
    assert status == 2


@pytest.mark.parametrize("value", ["hunter2,and_more", "x" * 40, "pass:word@host"])
def test_a_value_that_is_no_short_word_is_not_repeated(value: str) -> None:
    (found,) = findings("gunicorn", "-t", value, "app:app")
    assert value not in found.message + found.fix + found.subject
    (found,) = findings("gunicorn", f"--password={value}", "app:app")
    assert value not in found.message + found.fix + found.subject


def test_a_configuration_that_decides_when_it_runs_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("if FAST:\n    workers = -1\nworkers = -1\n")
    seen = preflight(
        Target("", sys.prefix, server="gunicorn", arguments=("app:app",), directory=str(tmp_path))
    )
    assert (seen.findings, seen.problem) == ((), "")


def test_sources_that_are_not_understood_judge_nothing(tmp_path: Path) -> None:
    site = tmp_path / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    package = copied("gunicorn", site, "config.py", "workers/__init__.py")
    there = Target("", str(tmp_path), server="gunicorn", arguments=("--keepalive", "a:b"))
    assert [f.kind for f in preflight(there).findings] == ["option_unknown"]
    source = (package / "config.py").read_text()
    for changed in (
        source.replace("(Setting)", "(Knob)"),
        source.replace('cli = ["-b", "--bind"]', "cli = flags('b')"),
        source + "\ndef (",
        "",
    ):
        (package / "config.py").write_text(changed)
        seen = preflight(there)
        assert seen.findings == ()
        assert "cannot be read" in seen.problem
    (package / "config.py").unlink()
    assert "cannot be read" in preflight(there).problem


def test_a_server_that_is_not_found_is_not_judged(tmp_path: Path) -> None:
    seen = preflight(Target("", str(tmp_path), server="gunicorn", arguments=("--nope",)))
    assert (seen.findings, seen.problem) == ((), "gunicorn is not seen to be installed")


def test_words_that_depend_on_something_unknown_are_not_judged() -> None:
    seen = preflight(target("gunicorn", "--workers", "$(…)", "app:app"))
    assert seen.findings == ()
    assert seen.problem


def test_the_files_it_rests_on_are_watched(tmp_path: Path) -> None:
    config = tmp_path / "conf.py"
    config.write_text("workers = 2\n")
    seen = preflight(target("gunicorn", "-c", str(config), "app:app"))
    assert str(config) in seen.files
    assert any(path.endswith("gunicorn/config.py") for path in seen.files)


def test_nothing_of_a_configuration_is_run(tmp_path: Path) -> None:
    config = tmp_path / "conf.py"
    config.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nworkers = 2\n")
    assert kinds("gunicorn", "-c", str(config), "app:app") == set()
    assert not (tmp_path / "ran").exists()
