"""Which Python, virtualenv, server and application a command line would run."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology.launch.command import Launch, parse_command
from badgateway.topology.launch.shell import commands
from badgateway.topology.launch.words import ShellSyntaxError


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """A directory with an application and a virtualenv that holds both servers' scripts."""
    root = tmp_path / "srv"
    binaries = root / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (binaries / "python").symlink_to(sys.executable)
    for name in ("uvicorn", "gunicorn", "serve"):
        (binaries / name).write_text(f"#!{binaries}/python\nfrom {name} import main\n")
    (binaries / "activate").write_text(f'VIRTUAL_ENV="{root}/.venv"\nexport VIRTUAL_ENV\n')
    (root / "app.py").write_text("app = None\n")
    return root


def run(srv: Path, command: str, **environment: str) -> Launch:
    return parse_command(command.split(), str(srv), environment)


def shell(srv: Path, script: str, **environment: str) -> Launch:
    return parse_command(["/bin/bash", "-lc", script], "/", environment)


def test_a_console_script_is_followed_by_its_first_line(srv: Path) -> None:
    found = run(srv, ".venv/bin/uvicorn app:app --port 8001 --workers 2")
    assert found.problem is None
    assert (found.server, found.entry, found.workers) == ("uvicorn", "app:app", 2)
    assert found.listen == ("127.0.0.1:8001",)
    assert found.virtualenv == str(srv / ".venv")
    assert found.interpreter == str(srv / ".venv/bin/python")
    assert found.script == str(srv / ".venv/bin/uvicorn")
    assert found.search == (str(srv),)


@pytest.mark.parametrize(
    "command",
    [
        "{v}/python -m uvicorn app:app",
        "{v}/python -Im uvicorn app:app",
        "{v}/python -W error -X dev -um uvicorn app:app",
        "{v}/python -muvicorn app:app",
        "/usr/bin/env A=1 -u B {v}/python -m uvicorn app:app",
        "env -S {v}/python -m uvicorn app:app",
        "nice -n 5 ionice -c2 -n 7 {v}/uvicorn app:app",
        "tini -g -- {v}/uvicorn app:app",
        "dumb-init -r 15:3 -- {v}/uvicorn app:app",
        "nohup setsid stdbuf -oL {v}/uvicorn app:app",
        "timeout -k 5 3600 {v}/uvicorn app:app",
        "flock -n /run/lock/app {v}/uvicorn app:app",
        "taskset -c 0,1 {v}/uvicorn app:app",
        "chrt -i 0 {v}/uvicorn app:app",
        "setpriv --reuid 33 --regid=33 --clear-groups {v}/uvicorn app:app",
        "sudo -u www -E {v}/uvicorn app:app",
        "gosu www {v}/uvicorn app:app",
        "runuser -u www -- {v}/uvicorn app:app",
        "chpst -u www {v}/uvicorn app:app",
        "opentelemetry-instrument --traces_exporter=none {v}/uvicorn app:app",
        "ddtrace-run {v}/uvicorn app:app",
        "newrelic-admin run-program {v}/uvicorn app:app",
        "dotenv -f prod.env run -- {v}/uvicorn app:app",
        "uv run --frozen --extra pg uvicorn app:app",
        "uv run --no-sync -- uvicorn app:app",
        "uv run -m uvicorn app:app",
        "poetry run uvicorn app:app",
        "pdm run uvicorn app:app",
        "pipenv run uvicorn app:app",
        "A=1 {v}/uvicorn app:app",
    ],
)
def test_wrappers_are_peeled(srv: Path, command: str) -> None:
    found = run(srv, command.format(v=srv / ".venv/bin"), PATH="/usr/bin")
    assert found.problem is None
    assert (found.server, found.entry) == ("uvicorn", "app:app")
    assert found.virtualenv == str(srv / ".venv")


def test_uv_run_installs_unless_told_not_to(srv: Path) -> None:
    assert run(srv, "uv run uvicorn app:app").installs
    assert not run(srv, "uv run --no-sync uvicorn app:app").installs
    assert not run(srv, "uv run uvicorn app:app", UV_NO_SYNC="1").installs
    assert not run(srv, "poetry run uvicorn app:app").installs


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("docker run --rm image uvicorn app:app", "container"),
        ("/usr/bin/podman-compose up", "container"),
        ("bash /srv/start.sh", "shell_script"),
        ("bash -o pipefail", "no_command"),
        (".venv/bin/python -c pass", "inline_code"),
        (".venv/bin/python", "no_command"),
        (".venv/bin/python gone.py", "script_missing"),
        (".venv/bin/hypercorn app:app", "script_missing"),
        ("/bin/true", "not_python"),
        ("", "no_command"),
    ],
)
def test_what_cannot_be_understood_has_a_name(srv: Path, command: str, problem: str) -> None:
    assert run(srv, command).problem == problem


def test_a_shell_script_is_named_as_one(srv: Path) -> None:
    (srv / "start").write_text("#!/bin/bash\nexec uvicorn app:app\n")
    assert run(srv, "./start").problem == "shell_script"


def test_a_server_script_that_is_gone_still_tells_what_was_meant(srv: Path) -> None:
    (srv / ".venv/bin/uvicorn").unlink()
    found = run(srv, ".venv/bin/uvicorn app:app --port 8001")
    assert found.problem == "script_missing"
    assert (found.server, found.entry, found.listen) == (
        "uvicorn",
        "app:app",
        ("127.0.0.1:8001",),
    )
    assert found.virtualenv == str(srv / ".venv")


def test_a_python_program_without_a_known_server_is_unknown_not_nothing(srv: Path) -> None:
    found = run(srv, ".venv/bin/python app.py --port 80")
    assert (found.server, found.entry, found.script) == ("unknown", "", str(srv / "app.py"))
    assert found.search == (str(srv),)
    assert run(srv, ".venv/bin/serve").search == ()
    assert run(srv, ".venv/bin/python -m app", PYTHONPATH="lib:/opt/x").search == (
        str(srv),
        str(srv / "lib"),
        "/opt/x",
    )
    assert run(srv, ".venv/bin/python -I -m app", PYTHONPATH="lib").search == ()


@pytest.mark.parametrize(
    "command",
    ["serve --bind 127.0.0.1:80 app:app", "serve -b localhost:80 --log-level info app:app"],
)
def test_an_application_is_seen_among_the_arguments_of_any_server(srv: Path, command: str) -> None:
    found = run(srv, f".venv/bin/{command}")
    assert (found.server, found.entry, found.search) == ("unknown", "app:app", (str(srv),))


def test_the_fastapi_command_finds_its_application_from_a_path(srv: Path) -> None:
    shutil.copy(srv / ".venv/bin/serve", srv / ".venv/bin/fastapi")
    (srv / "src/shop").mkdir(parents=True)
    (srv / "src/shop/__init__.py").touch()
    (srv / "src/shop/api.py").touch()
    found = run(srv, ".venv/bin/fastapi run src/shop/api.py --workers 2 --port 81 --app made")
    assert (found.server, found.entry, found.workers) == ("uvicorn", "shop.api:made", 2)
    assert (found.listen, found.search) == (("0.0.0.0:81",), (str(srv / "src"),))
    assert run(srv, ".venv/bin/fastapi dev").entry == "app:app"
    assert run(srv, ".venv/bin/fastapi dev").listen == ("127.0.0.1:8000",)
    assert run(srv, ".venv/bin/fastapi run -e shop.api:app").entry == "shop.api:app"


def test_a_login_shell_with_cd_activate_and_variables_is_read(srv: Path) -> None:
    found = shell(
        srv,
        f'cd {srv} && . .venv/bin/activate && exec uvicorn "${{APP:-app:app}}" --port ${{PORT}} '
        "$EXTRA 2>&1",
        PORT="8001",
        EXTRA="--workers 3  --factory",
    )
    assert found.problem is None
    assert (found.entry, found.listen, found.workers) == ("app:app", ("127.0.0.1:8001",), 3)
    assert (found.virtualenv, found.working_directory) == (str(srv / ".venv"), str(srv))
    assert found.environment["VIRTUAL_ENV"] == str(srv / ".venv")


def test_a_copied_virtualenvs_activate_names_the_old_one(srv: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    other.mkdir()
    (other / "activate").write_text((srv / ".venv/bin/activate").read_text())
    found = shell(srv, f"source {other}/activate && exec uvicorn app:app")
    assert found.virtualenv == str(srv / ".venv")


def test_what_follows_a_failure_or_a_pipe_is_not_the_service(srv: Path) -> None:
    binary = srv / ".venv/bin/uvicorn"
    for script in (
        f"cd {srv} || exit 1; {binary} app:app",
        f"set -e\ncd {srv}\n{binary} app:app 2>&1 | tee -a /tmp/log",
        f"cd {srv}; alembic upgrade head && exec {binary} app:app; echo ended",
        f"export A=1; cd {srv}; A=2 {binary} app:app & wait",
    ):
        found = shell(srv, script)
        assert (found.problem, found.entry) == (None, "app:app"), script


@pytest.mark.parametrize(
    "script",
    [
        "while true; do uvicorn app:app; done",
        "if [ -f x ]; then exec uvicorn app:app; fi",
        "(cd x; uvicorn app:app)",
        "uvicorn 'app:app",
        "uvicorn app:app <<EOF\nx\nEOF",
        "eval uvicorn app:app",
    ],
)
def test_control_structures_are_refused_rather_than_guessed(srv: Path, script: str) -> None:
    assert shell(srv, script).problem == "shell_syntax"


def test_a_sourced_file_of_assignments_counts(srv: Path) -> None:
    (srv / ".env").write_text("# settings\nPORT=9000\nexport NAME='a b'\n")
    found = shell(srv, f"cd {srv}; set -a; . ./.env; set +a; exec .venv/bin/uvicorn app:app "
                  '--port "$PORT"')  # fmt: skip
    assert found.listen == ("127.0.0.1:9000",)
    assert found.environment["PORT"] == "9000"
    assert found.environment["NAME"] == "a b"


def test_an_endless_nest_of_wrappers_ends(srv: Path) -> None:
    assert run(srv, "nice " * 100 + "uvicorn app:app").problem == "shell_syntax"
    script = "true"
    for _ in range(5):
        script = "bash -c " + shlex.quote(script)
    assert shell(srv, script).problem in ("no_command", "shell_syntax", "not_python")


def test_no_value_of_the_environment_is_shown(srv: Path) -> None:
    found = run(srv, ".venv/bin/uvicorn app:app", TOKEN="hunter2")
    assert "hunter2" not in repr(found)


@given(st.text(alphabet="ab =;&|$(){}'\"\\\n`~#<>!.0/", max_size=60))
def test_reading_a_shell_command_ends_in_commands_or_an_error(text: str) -> None:
    try:
        for command in commands(text, "/", {"a": "x y"}):
            assert command.argv
    except ShellSyntaxError:
        pass


WORDS = shlex.split("-m -c env bash -lc '' -- A=1 $X exec uv run - python3 uvicorn x:y")


@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_no_command_line_raises(argv: list[str]) -> None:
    parse_command(argv, "/", {})
