"""``badgateway discover``: what is on this host, as a tree, as data, as a configuration."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from badgateway import config as settings
from badgateway.cli.hostlook import Host
from badgateway.cli.rendering import pathmap, startconfig, tree
from badgateway.cli.rendering.pathmap import Application, Discovered, FoundProxy
from badgateway.collectors.listeners import Listeners
from badgateway.collectors.sight import HostSight
from badgateway.routecheck import expected
from badgateway.sources import Status
from badgateway.sources.sockdiag import Listening
from badgateway.topology.backends import Backend
from badgateway.topology.discovery import Findings
from badgateway.topology.joining import join
from badgateway.topology.launch.command import Launch
from badgateway.topology.proxies.place import ProxyFound, ProxyPlace
from badgateway.topology.routes import Route
from tests.nginxlab import Nginx
from tests.servers import ExporterProcess, free_port

PROGRAM = Path(sys.executable).with_name("badgateway")
APP = (
    "async def app(scope, receive, send):\n"
    "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
    "    await send({'type': 'http.response.body', 'body': b'ok'})\n"
)
SITES = """
server {{ listen 127.0.0.1:PORT; server_name shop.test;
  location / {{ proxy_pass http://127.0.0.1:{shop}; }} }}
server {{ listen 127.0.0.1:PORT; server_name gone.test;
  location / {{ proxy_pass http://127.0.0.1:{gone}; }} }}
server {{ listen 127.0.0.1:PORT; server_name far.test;
  location / {{ proxy_pass http://192.0.2.7:8080; }} }}
server {{ listen 127.0.0.1:PORT; server_name closed.test; return 503; }}
"""


def until_listening(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}")


class World:
    """An nginx in front of a uvicorn, and a configuration that names the nginx."""

    def __init__(self, folder: Path, nginx: Nginx, shop: int, gone: int) -> None:
        self.folder, self.nginx, self.shop, self.gone = folder, nginx, shop, gone
        self.config = folder / "badgateway.yml"
        proxy = {"name": "front", "kind": "nginx", "config": str(nginx.config)}
        self.config.write_text(json.dumps({"docker": {"enabled": False}, "proxies": [proxy]}))

    def run(self, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, "discover", "--config.file", config or self.config, *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def found(self, config: Path | None = None) -> dict[str, Any]:
        done = self.run("--json", config=config)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def proxy(self, found: dict[str, Any]) -> dict[str, Any]:
        (proxy,) = (p for p in found["proxies"] if p["name"] == "front")
        return dict(proxy)

    def application(self, found: dict[str, Any]) -> dict[str, Any]:
        name = f"127.0.0.1:{self.shop}"
        (application,) = (a for a in found["applications"] if a["name"] == name)
        return dict(application)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "app.py").write_text(APP)
    (folder / "requirements.txt").write_text("uvicorn\n")
    shop, gone = free_port(), free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(shop)]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as uvicorn:
        try:
            until_listening(shop)
            with Nginx(folder, SITES.format(shop=shop, gone=gone)) as nginx:
                yield World(folder, nginx, shop, gone)
        finally:
            uvicorn.terminate()


def test_each_site_is_followed_to_the_process_behind_it(world: World) -> None:
    found = world.found()
    sites = {site["site"]: site["upstreams"] for site in world.proxy(found)["sites"]}
    (shop,) = sites["shop.test"]
    assert shop["state"] == "listening"
    assert shop["application"] == f"127.0.0.1:{world.shop}"
    assert shop["place"].startswith(f"{world.nginx.config}:")
    assert [u["state"] for u in sites["gone.test"]] == ["not_listening"]
    assert [u["state"] for u in sites["far.test"]] == ["remote"]
    assert world.proxy(found)["answers_itself"] == {"closed.test": 503}
    application = world.application(found)
    assert (application["server"], application["entry"]) == ("uvicorn", "app:app")
    assert (application["manager"], application["led_to"]) == ("process", True)


def test_a_person_sees_a_tree_with_what_is_wrong_in_it(world: World) -> None:
    done = world.run()
    assert done.returncode == 0
    lines = [line.strip("│├└─ ") for line in done.stdout.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("front  nginx"))
    shop = lines.index(f"shop.test  http, at 127.0.0.1:{world.nginx.port}", begin)
    assert lines[shop + 1].startswith(f"127.0.0.1:{world.shop}  something listens there")
    assert lines[shop + 2] == f"127.0.0.1:{world.shop}  a process alone"
    assert lines[shop + 3] == f"uvicorn app:app, 1 worker, at 127.0.0.1:{world.shop}"
    assert any(line.startswith(f"127.0.0.1:{world.gone}  nothing listens there") for line in lines)
    assert "closed.test  answers 503 by itself" in lines
    assert "\x1b" not in done.stdout


def test_what_it_prints_as_a_configuration_leads_to_the_same_path_map(world: World) -> None:
    done = world.run("--yaml")
    assert done.returncode == 0
    config = settings.parse(done.stdout)
    assert "front" in {proxy.name for proxy in config.proxies}
    written = world.folder / "found.yml"
    written.write_text(done.stdout + "docker: {enabled: false}\n")
    before, after = world.found(), world.found(written)
    assert world.proxy(after) == world.proxy(before)
    assert world.application(after) == world.application(before)


def test_serving_with_it_shows_the_same_paths(world: World, tmp_path: Path) -> None:
    configurations = (world.config.read_text(), world.run("--yaml").stdout)
    paths = []
    for number, text in enumerate(configurations):
        folder = tmp_path / str(number)
        folder.mkdir()
        with ExporterProcess(folder, f"{text}\n") as exporter:
            exporter.wait_for("backend_info", 1, backend=f"127.0.0.1:{world.shop}")
            series = exporter.scrape()
            paths.append(
                {
                    labels for name, labels in series
                    if name == "badgateway_backend_info" and dict(labels)["proxy"] == "front"
                }
            )  # fmt: skip
    assert paths[0] == paths[1]
    assert len(paths[0]) == 3


def test_what_it_prints_says_what_is_expected_to_listen(world: World) -> None:
    written = world.folder / "expected.yml"
    written.write_text(world.run("--yaml").stdout)
    listed = expected.read(written)
    assert f"127.0.0.1:{world.shop}" in listed
    assert "192.0.2.7:8080" in listed
    assert f"127.0.0.1:{world.gone}" not in listed  # nothing listens there: it is not right


def test_a_host_with_nothing_on_it_is_told_so(tmp_path: Path) -> None:
    config = tmp_path / "badgateway.yml"
    config.write_text("discovery: {enabled: false}\ndocker: {enabled: false}\n")
    done = subprocess.run(
        [PROGRAM, "discover", "--config.file", config],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "nothing was found" in done.stderr


def test_units_containers_and_proxies_that_do_not_run_are_shown_as_such(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = Backend(
        "shop", "systemd", "shop.service",
        Launch(server="gunicorn", entry="shop:app", workers=4), ("127.0.0.1:8001",),
        project="/srv/shop", virtualenv="/srv/shop/.venv",
    )  # fmt: skip
    api = Backend("shop/api", "docker", "shop/api", aliases=("api:8000",))
    alone = Backend("alone", "systemd", "alone.service", listens=("127.0.0.1:8009",))
    outside = (
        Route("shop.org", ":443", "127.0.0.1:8001", tls=True, place="/etc/nginx/nginx.conf:3"),
        Route("shop.org", ":443", "127.0.0.1:8002", tls=True, backup=True),
    )
    inside = (Route("*", "127.0.0.1:8080", "api:8000"), Route("*", "127.0.0.1:8080", "db:1"))
    answers = {"nginx": ProxyFound(on_disk=outside), "shop/front": ProxyFound(on_disk=inside)}
    places = (
        ProxyPlace("nginx", "nginx", "nginx.service", config="/etc/nginx/nginx.conf"),
        ProxyPlace("shop/front", "nginx", container="shop/front", pid=9, is_apart=True),
    )
    paths = join((shop, api, alone), [(name, found.routes) for name, found in answers.items()])
    status = Status(problem="no right")
    host = Host(Findings(paths, places=places, answers=answers), None, {"docker": status})
    listening = Listening("127.0.0.1", 8001, inode=5)
    owned = Listeners((listening,), owners={5: "shop.service"})
    tree.show(pathmap.discovered(host, HostSight(owned)))
    shown = [line.strip("│├└─ ") for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        "nginx  nginx  unit nginx.service, /etc/nginx/nginx.conf  does not run",
        "shop.org  https, at :443",
        "127.0.0.1:8001  something listens there (shop.service)  /etc/nginx/nginx.conf:3",
        "shop  unit shop.service",
        "gunicorn shop:app, 4 workers, at 127.0.0.1:8001",
        "virtualenv /srv/shop/.venv, project /srv/shop",
        "127.0.0.1:8002  backup  nothing listens there",
        "shop/front  nginx  container shop/front",
        "every other host name  http, at 127.0.0.1:8080",
        "api:8000  it cannot be told (shop/api)",
        "shop/api  container shop/api",
        "db:1  it cannot be told",
        "no proxy leads to",
        "alone  unit alone.service",
        "cannot be read",
        "docker: no right",
    ]


HOSTILE = Discovered(
    (
        FoundProxy(
            "caddy", "caddy", "caddy.service", "", "/etc/caddy/Caddyfile", "http://localhost:2019",
            True, (), {},
        ),
        FoundProxy("shop/front", "nginx", "", "shop/front", "/etc/nginx/nginx.conf", "", True,
                   (), {}),
    ),
    (
        Application(
            "shop", "systemd", "shop.service", "gunicorn", "a:b\nproxies: []", 4,
            ("127.0.0.1:8001", "fd://3"), ("unix:/run/a b.sock",), "/srv/a: b", "/srv/ #x", True,
        ),
        Application("shop/api", "docker", "shop/api", "unknown", "", 1, (), ("api:8000",), None,
                    None, False),
        Application("other", "systemd", "other.service", "uvicorn", "", 1, (), (), None, None,
                    False),
    ),
    ("unix:/run/x.sock", "{$api}", "10.0.0.1:80"),
    {"caddy-config": "first\nsecond: true"},
)  # fmt: skip


def test_whatever_was_found_the_configuration_is_one_that_is_taken() -> None:
    text = startconfig.text(HOSTILE, "production: #1", 0)
    config = settings.parse(text)
    assert config.environment == "production: #1"
    assert [b.name for b in config.backends] == ["shop", "shop/api", "10.0.0.1:80"]
    shop, api, _ = config.backends
    assert (shop.unit, shop.upstreams) == ("shop.service", ("127.0.0.1:8001",))
    assert (shop.project, shop.virtualenv) == ("/srv/a: b", "/srv/ #x")
    assert (api.container, api.upstreams) == ("shop/api", ("api:8000",))
    assert [p.name for p in config.proxies] == ["caddy"]
    assert config.proxies[0].admin == "http://localhost:2019"
    assert "# shop/front, nginx of a container: found by itself" in text
