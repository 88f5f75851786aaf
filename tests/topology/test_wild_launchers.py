"""Units, launchers and servers as people really have them: read, or named as not understood.

What a command line does not tell must stay unknown: a default in its place would be a wrong answer.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.topology import units
from badgateway.topology.launch.command import Launch, parse_command
from badgateway.topology.launch.unitfile import read_unit_file

SERVERS = ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian")


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """A project with a virtualenv that holds every server's script."""
    root = tmp_path / "srv"
    binaries = root / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (binaries / "python").symlink_to(sys.executable)
    for name in SERVERS:
        (binaries / name).write_text(f"#!{binaries}/python\nfrom {name} import main\n")
    (root / "app.py").touch()
    (root / "manage.py").touch()
    return root


def run(srv: Path, command: str, **environment: str) -> Launch:
    known = {"PATH": f"{srv}/.venv/bin:/usr/bin:/bin", **environment}
    return parse_command(shlex.split(command), str(srv), known)


# -- launchers


@pytest.mark.parametrize(
    "command",
    [
        "mise exec -- pipenv run gunicorn app:app",
        "mise x python@3.11 -- gunicorn app:app",
        "rtx exec -- poetry run gunicorn app:app",
        "asdf exec gunicorn app:app",
        "direnv exec . gunicorn app:app",
        "poetry -C /srv run gunicorn app:app",
        "uv run --no-dev --frozen gunicorn app:app",
        "dumb-init -- gunicorn app:app",
        "tini -s -- gunicorn app:app",
        "tini -g -- dumb-init -- poetry run gunicorn app:app",
        "./wait-for-it.sh db:5432 -t 30 -- gunicorn app:app",
        "wait-for-it --service db:5432 --service cache:6379 -- gunicorn app:app",
        "wait-for db:5432 -t 60 -- gunicorn app:app",
        "dockerize -wait tcp://db:5432 -timeout 60s gunicorn app:app",
        "runuser -u www -- gunicorn app:app",
        "su - www -s /bin/bash -c 'gunicorn app:app'",
        "su -c 'exec gunicorn app:app' www",
        "bash -lc 'exec ${BIN:-.venv/bin}/gunicorn ${OPTIONS} app:app'",
    ],
)
def test_a_chain_of_launchers_is_followed_to_the_server(srv: Path, command: str) -> None:
    (srv / "wait-for-it.sh").write_text("#!/bin/bash\n")
    found = run(srv, command)
    assert (found.problem, found.server, found.entry) == (None, "gunicorn", "app:app")
    assert found.virtualenv == str(srv / ".venv")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("./docker-entrypoint.sh gunicorn app:app", "shell_script"),
        ("tini -- ./docker-entrypoint.sh gunicorn app:app", "shell_script"),
        ("mise run serve", "script_missing"),
        ("nix develop -c gunicorn app:app", "script_missing"),
        ("passenger start --port 80", "script_missing"),
        ("make serve", "script_missing"),
    ],
)
def test_what_hides_the_command_is_named(srv: Path, command: str, problem: str) -> None:
    (srv / "docker-entrypoint.sh").write_text('#!/bin/sh\nexec "$@"\n')
    found = parse_command(shlex.split(command), str(srv), {"PATH": f"{srv}/.venv/bin"})
    assert found.problem == problem
    assert found.listen == ()


def test_a_port_that_only_a_profile_sets_is_not_guessed(srv: Path) -> None:
    command = "bash -lc 'exec .venv/bin/gunicorn -b 127.0.0.1:${PORT} app:app'"
    assert run(srv, command).listen == ()
    assert run(srv, command, PORT="8003").listen == ("127.0.0.1:8003",)


# -- units


def test_a_template_units_instance_is_known_by_its_own_name(srv: Path) -> None:
    properties: dict[str, Any] = {
        "ExecStart": [
            (str(srv / ".venv/bin/gunicorn"),
             ["gunicorn", "-b", "unix:/run/roxy/blue.sock", "app:app"])
        ],
        "WorkingDirectory": str(srv),
        "MainPID": 0,
    }  # fmt: skip
    found = units.application("roxy@blue.service", properties)
    assert found is not None
    assert (found.name, found.unit) == ("roxy@blue", "roxy@blue.service")
    assert found.listens == ("unix:/run/roxy/blue.sock",)


def test_a_template_units_file_is_filled_in(srv: Path) -> None:
    unit = srv / "roxy@blue.service"
    unit.write_text(
        f"[Service]\nWorkingDirectory={srv}\n"
        f"ExecStart={srv}/.venv/bin/gunicorn -b unix:/run/roxy/%i.sock app:app\n"
    )
    found = read_unit_file([str(unit)])
    assert (found.server, found.listen) == ("gunicorn", ("unix:/run/roxy/blue.sock",))


def test_socket_activation_beside_an_address_keeps_the_address(srv: Path) -> None:
    assert run(srv, "gunicorn -b fd://3 -b 127.0.0.1:8001 app:app").listen == ("127.0.0.1:8001",)
    assert run(srv, "gunicorn -b fd://3 app:app").listen == ()
    assert run(srv, "uvicorn app:app --fd 3 --port 8001").listen == ()


# -- servers


@pytest.mark.parametrize(
    ("command", "entry"),
    [
        ("gunicorn 'app:create_app()'", "app:create_app"),
        ("gunicorn 'app:create_app(\"production\", debug=False)'", "app:create_app"),
        ("uvicorn --factory app:create", "app:create"),
        ("daphne -b 0.0.0.0 -p 8001 shop.asgi:application", "shop.asgi:application"),
        ("hypercorn 'app:create()'", "app:create"),
    ],
)
def test_a_factory_is_an_entry(srv: Path, command: str, entry: str) -> None:
    assert run(srv, command).entry == entry


def test_pastes_file_names_the_application_and_no_address(srv: Path) -> None:
    (srv / "production.ini").write_text("[server:main]\nhost = 10.0.0.1\nport = 9\n")
    found = run(srv, "gunicorn --paste production.ini")
    # gunicorn takes its address from its own options alone
    assert (found.server, found.entry, found.listen) == ("gunicorn", "", ("127.0.0.1:8000",))


@pytest.mark.parametrize(
    "command",
    ["uvicorn app:app --host 0", "granian --host 0 app:app", "hypercorn -b 0:8000 app:app"],
)
def test_a_host_of_zero_is_every_address(srv: Path, command: str) -> None:
    assert run(srv, command).listen == ("0.0.0.0:8000",)


@pytest.mark.parametrize(
    "program",
    [
        "import os\nbind = os.environ['BIND']\n",
        "import os\nbind = f\"0.0.0.0:{os.getenv('PORT', '8001')}\"\n",
        "bind = '127.0.0.1:8001'\nif debug:\n    bind = '127.0.0.1:9'\n",
        "bind = '127.0.0.1:8001'\ntry:\n    from local import *\nexcept ImportError:\n    pass\n",
        "from local import bind\n",
        "bind = ['127.0.0.1:8001']\nbind += more\n",
        "for bind in ('127.0.0.1:8001',):\n    pass\n",
        "bind = '127.0.0.1:8001\n",
    ],
)
def test_an_address_that_gunicorns_file_computes_is_not_guessed(srv: Path, program: str) -> None:
    (srv / "gunicorn.conf.py").write_text(program)
    assert run(srv, "gunicorn app:app").listen == ()
    assert run(srv, "gunicorn -b :8002 app:app").listen == ("0.0.0.0:8002",)


def test_what_a_function_of_gunicorns_file_sets_is_its_own(srv: Path) -> None:
    (srv / "gunicorn.conf.py").write_text(
        "bind = '127.0.0.1:8001'\nuser = ''\ndef post_fork(server, worker):\n    bind = None\n"
    )
    assert run(srv, "gunicorn app:app").listen == ("127.0.0.1:8001",)


def test_where_command_line_and_file_disagree_the_command_line_holds(srv: Path) -> None:
    (srv / "gunicorn.conf.py").write_text("workers = 2\nbind = '127.0.0.1:8001'\n")
    found = run(srv, "gunicorn -w 9 app:app", WEB_CONCURRENCY="4")
    assert (found.workers, found.listen) == (9, ("127.0.0.1:8001",))
    (srv / "gunicorn.conf.py").write_text("import os\nworkers = os.cpu_count()\n")
    assert run(srv, "gunicorn app:app", WEB_CONCURRENCY="4").workers is None


def test_hypercorns_toml_is_read_and_its_misspelt_keys_are_passed_over(srv: Path) -> None:
    (srv / "hypercorn.toml").write_text(
        'bind = ["127.0.0.1:8001", "unix:/run/h.sock"]\nworkres = 3\nkeep_alive_timeout = 20\n'
    )
    found = run(srv, "hypercorn -c hypercorn.toml app:app")
    assert found.listen == ("127.0.0.1:8001", "unix:/run/h.sock")
    assert found.workers is None
    assert dict(found.timeouts) == {"keepalive": 20.0, "graceful": 3.0}
    assert run(srv, "hypercorn -c hypercorn.toml -b :5 app:app").listen == ("127.0.0.1:5",)


@pytest.mark.parametrize(
    "name", ["gone.toml", "python:settings", "file:settings.py", "broken.toml"]
)
def test_a_hypercorn_file_that_cannot_be_read_leaves_the_address_unknown(
    srv: Path, name: str
) -> None:
    (srv / "broken.toml").write_text("bind = [\n")
    assert run(srv, f"hypercorn -c {name} app:app").listen == ()


UWSGI = """\
; a comment
[other]
socket = 127.0.0.1:1
[uwsgi]
wsgi-file = app.py
callable = application
p = 2
workers = 4
socket = 127.0.0.1:8001
socket = /run/app.sock
if-env = PORT
http-socket = :$(PORT)
endif =
if-not-env = PORT
http-socket = :8080
endif =
for = 3 4
socket = 127.0.0.1:9%(_)
endfor =
ini = :base
[base]
harakiri = 30
http = 127.0.0.1:8009
"""


def test_uwsgis_repeated_and_short_keys_count_and_its_logic_is_not_guessed(srv: Path) -> None:
    (srv / "app.ini").write_text(UWSGI)
    found = run(srv, "uwsgi --ini app.ini")
    assert (found.server, found.entry, found.workers) == ("uwsgi", "app:application", 4)
    assert found.listen == ("127.0.0.1:8009", "127.0.0.1:8001", "unix:/run/app.sock")
    assert dict(found.timeouts)["worker"] == 30.0


def test_uwsgis_sections_are_told_apart(srv: Path) -> None:
    (srv / "app.ini").write_text(UWSGI)
    assert run(srv, "uwsgi app.ini:other").listen == ("127.0.0.1:1",)
    assert run(srv, "uwsgi --ini app.ini:gone").listen == ()


def test_a_uwsgi_file_that_names_itself_comes_to_an_end(srv: Path) -> None:
    (srv / "app.ini").write_text("[uwsgi]\nini = app.ini\nhttp = :80\n")
    assert run(srv, "uwsgi app.ini").listen == ("0.0.0.0:80",)


@pytest.mark.parametrize(
    "command", ["python manage.py runserver 0.0.0.0:8000", "python -m daphne shop.asgi:app"]
)
def test_a_server_that_is_not_known_is_unknown_not_another(srv: Path, command: str) -> None:
    assert run(srv, command).server == "unknown"


@given(st.text(alphabet="[]uwsgi=\n;#:%$()if-env dofr/.sock", max_size=200))
def test_no_uwsgi_file_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ini"
    path.write_text(text)
    parse_command(["uwsgi", str(path)], "/", {})


@given(st.text(alphabet="bind=()[]'\n :,+wokers1.fr im*", max_size=200))
def test_no_gunicorn_file_raises(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf.py"
    path.write_text(text)
    parse_command(["gunicorn", "-c", str(path), "a:b"], "/", {})
