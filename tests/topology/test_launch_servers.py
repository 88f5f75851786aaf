"""What uvicorn's and gunicorn's own arguments say."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import uvicorn

from badgateway.topology.launch import gunicorn as launch_gunicorn
from badgateway.topology.launch import uvicorn as launch_uvicorn


def test_the_flags_of_uvicorn_are_those_it_has() -> None:
    options = [p for p in uvicorn.main.params if isinstance(p, click.Option)]
    flags = {name for p in options if p.is_flag for name in (*p.opts, *p.secondary_opts)}
    assert flags <= launch_uvicorn.FLAGS
    valued = {name for p in options if not p.is_flag for name in p.opts}
    assert not valued & launch_uvicorn.FLAGS


def test_the_modules_uvicorn_loads_by_option_are_those_it_loads() -> None:
    from uvicorn.config import HTTP_PROTOCOLS, WS_PROTOCOLS

    known = {**HTTP_PROTOCOLS, **WS_PROTOCOLS}
    modules = {str(v).partition(":")[0] for v in known.values() if isinstance(v, str)}
    for option, value in (("--http", "httptools"), ("--ws", "wsproto"), ("--ws", "websockets")):
        (module,) = launch_uvicorn.uvicorn([option, value, "app:app"], "/", {}).loads
        assert module in modules


@pytest.mark.parametrize(
    ("arguments", "environment", "listen"),
    [
        ("app:app", {}, ("127.0.0.1:8000",)),
        ("--host 0.0.0.0 --port=80 app:app", {}, ("0.0.0.0:80",)),
        ("app:app --host ::1 --port 81", {}, ("[::1]:81",)),
        ("app:app --uds run/x.sock", {}, ("unix:/srv/run/x.sock",)),
        ("app:app --fd 3", {}, ()),
        ("app:app", {"UVICORN_PORT": "82"}, ("127.0.0.1:82",)),
        ("app:app --port 83", {"UVICORN_PORT": "82"}, ("127.0.0.1:83",)),
        ("app:app --port $PORT", {}, ()),
    ],
)
def test_uvicorn_listens_where_it_is_told(
    arguments: str, environment: dict[str, str], listen: tuple[str, ...]
) -> None:
    assert launch_uvicorn.uvicorn(arguments.split(), "/srv", environment).listen == listen


def test_uvicorn_options_and_variables() -> None:
    found = launch_uvicorn.uvicorn(
        shlex.split(
            "--factory --app-dir src --limit-max-requests 500 --loop uvloop app.main:create"
        ),
        "/srv",
        {"WEB_CONCURRENCY": "4"},
    )
    assert found.entry == "app.main:create"
    assert (found.search, found.max_requests, found.workers) == (("/srv/src",), 500, 4)
    assert found.loads == ("uvicorn.loops.uvloop",)
    assert (
        launch_uvicorn.uvicorn(["--workers", "2", "a:b"], "/", {"WEB_CONCURRENCY": "4"}).workers
        == 2
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "listen"),
    [
        ("app", {}, ("127.0.0.1:8000",)),
        ("app", {"PORT": "9000"}, ("0.0.0.0:9000",)),
        ("-b :8001 app", {"PORT": "9000"}, ("0.0.0.0:8001",)),
        ("-b127.0.0.1:8001 --bind=[::1]:8002 app", {}, ("127.0.0.1:8001", "[::1]:8002")),
        ("-b unix:/run/a.sock,unix:b.sock app", {}, ("unix:/run/a.sock", "unix:/srv/b.sock")),
        ("-b fd://3 app", {}, ()),
        ("-b tcp://localhost app", {}, ("localhost:8000",)),
        ("app", {"GUNICORN_CMD_ARGS": "--bind 10.0.0.1:80"}, ("10.0.0.1:80",)),
    ],
)
def test_gunicorn_listens_where_it_is_told(
    arguments: str, environment: dict[str, str], listen: tuple[str, ...]
) -> None:
    assert launch_gunicorn.gunicorn(arguments.split(), "/srv", environment).listen == listen


def test_gunicorn_options() -> None:
    found = launch_gunicorn.gunicorn(
        shlex.split(
            "-w4 -k uvicorn.workers.UvicornWorker --preload --max-requests 1000 --timeout 120 "
            "--chdir app --pythonpath lib,/opt/x 'wsgi:create_app()'"
        ),
        "/srv",
        {},
    )
    assert (found.entry, found.workers, found.preload) == ("wsgi:create_app", 4, True)
    assert found.max_requests == 1000
    assert found.search == ("/opt/x", "/srv/app/lib", "/srv/app")
    assert found.loads == ("uvicorn.workers",)
    assert launch_gunicorn.gunicorn(["-k", "gthread", "wsgi"], "/", {}).entry == "wsgi:application"
    assert launch_gunicorn.gunicorn(["-k", "gthread"], "/", {}).loads == (
        "gunicorn.workers.gthread",
    )


def test_the_literal_settings_of_gunicorns_file_count_below_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        "import multiprocessing\nbind = '127.0.0.1:8005'\nmax_requests = 300\n"
        "workers = multiprocessing.cpu_count() * 2\npreload_app = True\n"
        "wsgi_app = 'shop.wsgi:app'\n"
    )
    found = launch_gunicorn.gunicorn([], str(tmp_path), {})
    assert (found.entry, found.listen) == ("shop.wsgi:app", ("127.0.0.1:8005",))
    assert (found.max_requests, found.preload, found.workers) == (300, True, None)
    over = launch_gunicorn.gunicorn(["-b", ":1", "other"], str(tmp_path), {})
    assert (over.entry, over.listen) == ("other:application", ("0.0.0.0:1",))
