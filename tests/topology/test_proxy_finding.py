"""Proxies that no unit runs: started by hand, several of them, and in containers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from badgateway import config as settings
from badgateway.blocking import Blocking
from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.topology import configured
from badgateway.topology.nginx.reading import NginxFiles
from badgateway.topology.proxies import finding as proxy_finding
from badgateway.topology.proxies import options as proxy_options
from badgateway.topology.proxies import processes as proxy_processes
from badgateway.topology.proxies.finding import ProxyFinder
from badgateway.topology.proxies.place import ProxyPlace
from tests.lab.require import require, unavailable
from tests.nginxlab import Nginx
from tests.servers import free_port

SERVER = "server { listen PORT; location / { proxy_pass http://127.0.0.1:9; } }"


@contextmanager
def running(argv: list[str], ready: Callable[[], bool], **options: Any) -> Iterator[int]:
    """A process while the context lasts; its pid."""
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        deadline = time.monotonic() + 10
        while not ready():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def listening(port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    return ready


def places(found: dict[str, ProxyPlace], folder: Path) -> dict[str, ProxyPlace]:
    """Of what was found, what the test started: others may run beside it."""
    return {name: p for name, p in found.items() if (p.config or "").startswith(str(folder))}


def test_every_nginx_that_was_started_by_hand_is_found(tmp_path: Path) -> None:
    finder = ProxyFinder()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with Nginx(tmp_path / "a", SERVER) as one, Nginx(tmp_path / "b", SERVER) as two:
        found = places(finder.look({}, ()), tmp_path)
        assert {place.config: place.kind for place in found.values()} == {
            str(one.config): "nginx", str(two.config): "nginx",
        }  # fmt: skip
        assert all(name.startswith("nginx") for name in found)
        assert {place.prefix for place in found.values()} == {
            str(tmp_path / "a"), str(tmp_path / "b"),
        }  # fmt: skip
        pids = {place.pid for place in found.values()}
        assert all(Path(f"/proc/{pid}/comm").read_text() == "nginx\n" for pid in pids)
        assert len(pids) == 2
    after = places(finder.look({}, ()), tmp_path)
    assert {name: place.pid for name, place in after.items()} == dict.fromkeys(found, 0)
    one.config.unlink()
    (left,) = places(finder.look({}, ()), tmp_path).values()
    assert left.config == str(two.config)


def test_a_proxy_keeps_its_name_while_others_come_and_go(tmp_path: Path) -> None:
    finder = ProxyFinder()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    def names() -> dict[str, str]:
        found = places(finder.look({}, ()), tmp_path)
        return {Path(place.prefix).name: name for name, place in found.items()}

    with Nginx(tmp_path / "b", SERVER):
        with Nginx(tmp_path / "a", SERVER):
            both = names()
        assert len(set(both.values())) == 2
        assert names() == both
    with Nginx(tmp_path / "a", SERVER):
        assert names() == both


def test_the_nginx_of_a_unit_is_not_found_again(tmp_path: Path) -> None:
    with Nginx(tmp_path, SERVER) as nginx:
        (by_hand,) = places(ProxyFinder().look({}, ()), tmp_path).values()
        unit = ProxyPlace(
            "web", "nginx", "web.service", config=str(nginx.config), prefix=str(tmp_path),
            pid=by_hand.pid,
        )  # fmt: skip
        assert places(ProxyFinder().look({"web": unit}, ()), tmp_path) == {"web": unit}
        # its unit does not run, and somebody started it by hand
        stopped = ProxyPlace(
            "web", "nginx", "web.service", config=str(nginx.config), prefix=str(tmp_path)
        )
        found = places(ProxyFinder().look({"web": stopped}, ()), tmp_path)
        assert {name: place.pid for name, place in found.items()} == {"web": by_hand.pid}


def test_a_configured_proxy_is_the_one_that_runs_with_its_file(tmp_path: Path) -> None:
    with Nginx(tmp_path, SERVER) as nginx:
        found = places(ProxyFinder().look({}, ()), tmp_path)
        wanted = settings.parse(f"proxies: [{{name: shop, kind: nginx, config: {nginx.config}}}]")
        for everything in (True, False):
            (laid,) = configured.places(wanted.proxies, found, everything)
            assert (laid.name, laid.pid) == ("shop", next(iter(found.values())).pid)


def test_an_nginx_in_a_network_of_its_own_is_known_to_be(tmp_path: Path) -> None:
    if os.geteuid():
        unavailable("root is needed to make a network")
    for name in ("here", "apart"):
        (tmp_path / name).mkdir()
    locations = "location / { proxy_pass http://127.0.0.1:8001; }"
    locations += " location /far { proxy_pass http://10.1.0.2:80; }"
    nginx = Nginx(tmp_path / "apart", f"server {{ listen 80; {locations} }}")
    words = [str(require("nginx")), "-c", str(nginx.config), "-p", str(nginx.folder)]
    words = ["unshare", "--net", *words, "-e", str(nginx.log)]
    with (
        Nginx(tmp_path / "here", SERVER),
        running(words, (nginx.folder / "nginx.pid").exists),
    ):
        found = places(ProxyFinder().look({}, ()), tmp_path)
        apart = {Path(place.prefix).name: place for place in found.values()}
        assert {name: place.is_apart for name, place in apart.items()} == {
            "here": False, "apart": True,
        }  # fmt: skip
        seen = asyncio.run(NginxFiles().look(apart["apart"], Blocking("reading", 5.0)))
        assert [(r.listen, r.upstream) for r in seen.on_disk or ()] == [
            ("", "{127.0.0.1:8001}"), ("", "10.1.0.2:80"),
        ]  # fmt: skip
        assert seen.listens == ()
        assert {log.path for log in seen.logs or ()} >= {str(tmp_path / "apart/access.log")}


def test_what_only_calls_itself_nginx_is_none(tmp_path: Path) -> None:
    title = "nginx: master process /usr/sbin/nginx -c /etc/passwd"
    script = tmp_path / "calling.py"
    script.write_text(
        "import time\nopen('/proc/self/comm', 'w').write('nginx')\nopen('ready', 'w').close()\n"
        "time.sleep(60)\n"
    )
    ready, words = tmp_path / "ready", [title, str(script)]
    with running(words, ready.exists, executable=sys.executable, cwd=tmp_path) as pid:
        assert Path(f"/proc/{pid}/comm").read_text() == "nginx\n"
        assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title.encode())
        assert pid not in {master.pid for master in proxy_processes.masters()}


def test_where_programs_cannot_be_seen_only_root_and_docker_are_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if os.geteuid():
        unavailable("root is needed to start a process as somebody else")
    title = "nginx: master process /usr/sbin/nginx -c /etc/passwd"
    script = "open('/proc/self/comm', 'w').write('nginx'); import time; time.sleep(60)"
    python = os.path.realpath(sys.executable)
    real = proxy_processes._link
    monkeypatch.setattr(
        proxy_processes, "_link", lambda pid, name: "" if name == "exe" else real(pid, name)
    )
    for user, believed in ((0, True), (65534, False)):
        words = [title, "-c", script]
        with running(words, lambda: True, executable=python, user=user, cwd="/") as pid:
            while Path(f"/proc/{pid}/comm").read_text() != "nginx\n":
                time.sleep(0.01)
            found = ProxyFinder().look({}, ())
            assert (pid in {place.pid for place in found.values()}) is believed
            for told in (
                ["nginx"],
                ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"],
                ["app"],
            ):
                document = {
                    "Id": "a" * 64, "Name": "/web", "State": {"Pid": pid},
                    "Path": told[0], "Args": told[1:],
                }  # fmt: skip
                contained = ProxyFinder().look({}, (document,))
                assert ("web" in contained) is (believed or "nginx" in told)


def test_a_caddy_without_unit_is_found_with_its_file(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    text = "{\n\tadmin localhost:%d\n}\nhttp://:%d {\n\trespond ok\n}\n"
    (tmp_path / "Caddyfile").write_text(text % ports)
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    caddy = str(require("caddy"))
    for options in ([], ["--config", "Caddyfile"], ["--config=Caddyfile"]):
        with running([caddy, "run", *options], listening(ports[1]), cwd=tmp_path, env=home) as pid:
            (place,) = places(ProxyFinder().look({}, ()), tmp_path).values()
            assert (place.kind, place.pid, place.config, place.binary) == (
                "caddy", pid, str(tmp_path / "Caddyfile"), caddy,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/usr/sbin/nginx", ("/etc/nginx/nginx.conf", "")),
        ("/usr/sbin/nginx -g daemon off; -c /srv/a.conf -p /srv", ("/srv/a.conf", "/srv")),
        ("nginx -csites/a.conf -p /srv/", ("/srv/sites/a.conf", "/srv/")),
        ("nginx -p run -c a.conf", ("/here/run/a.conf", "/here/run")),
        ("nginx -c a.conf", ("/etc/nginx/a.conf", "")),
        ("/usr/local/nginx/sbin/nginx", ("/usr/local/nginx/conf/nginx.conf", "")),
        ("/usr/local/nginx/sbin/nginx -c conf/b.conf", ("/usr/local/nginx/conf/b.conf", "")),
        ("/usr/local/openresty/nginx/sbin/nginx",
         ("/usr/local/openresty/nginx/conf/nginx.conf", "")),
        ("/usr/local/openresty/bin/openresty",
         ("/usr/local/openresty/nginx/conf/nginx.conf", "")),
    ],
)  # fmt: skip
def test_the_configuration_of_a_command_line_is_known(
    tmp_path: Path, command: str, expected: tuple[str, str]
) -> None:
    for path in (
        "etc/nginx/nginx.conf", "usr/local/nginx/conf/nginx.conf",
        "usr/local/openresty/nginx/conf/nginx.conf",
    ):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    with files.seen_in(Root((("/", str(tmp_path)),))):
        assert proxy_options.nginx_files(command.split(" "), "/here") == expected


def test_a_build_of_its_own_prefix_has_its_file_there(tmp_path: Path) -> None:
    (tmp_path / "srv/conf").mkdir(parents=True)
    (tmp_path / "srv/conf/nginx.conf").touch()
    with files.seen_in(Root((("/", str(tmp_path)),))):
        found = proxy_options.nginx_files(["nginx", "-p", "/srv"])
    assert found == ("/srv/conf/nginx.conf", "/srv")


def test_where_a_container_is_reached_is_known() -> None:
    document = {
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
                "443/tcp": [{"HostIp": "10.0.0.1", "HostPort": "443"}],
                "9/tcp": None,
                "53/udp": [{"HostIp": "", "HostPort": "53"}],
                "81/tcp": [{"HostIp": "::1", "HostPort": "81"}],
            }
        }
    }
    assert list(proxy_finding.reached(document)) == [
        ("80", "127.0.0.1:8080"), ("443", "10.0.0.1:443"), ("81", "[::1]:81"),
    ]  # fmt: skip


def test_the_nginx_of_a_container_is_told_by_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Nginx(tmp_path, SERVER) as nginx:
        (by_hand,) = places(ProxyFinder().look({}, ()), tmp_path).values()
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "proxy"}
        document = {
            "Id": "a" * 64, "Name": "/shop-proxy-1", "Config": {"Labels": labels},
            "State": {"Pid": by_hand.pid, "Status": "running"},
            "HostConfig": {"NetworkMode": "shop_default"},
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
        }  # fmt: skip
        finder = ProxyFinder()
        found = finder.look({}, (document,))
        place = found["shop/proxy"]
        assert place.pid == by_hand.pid
        assert (place.container, place.binary, place.is_apart) == ("shop/proxy", "", True)
        assert place.reached == (("80", "127.0.0.1:8080"),)
        assert place.root[-1] == ("/", f"/proc/{by_hand.pid}/root")
        assert places(found, tmp_path) == {"shop/proxy": place}
    assert finder.look({}, (document,))["shop/proxy"].pid == 0
    assert "shop/proxy" not in finder.look({}, ())
    assert nginx.config.exists()


def test_a_container_that_nobody_describes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Nginx(tmp_path, SERVER):
        real = proxy_processes.masters()
        inside = tuple(
            proxy_processes.ProxyProcess(p.pid, p.kind, p.words, is_inside=True) for p in real
        )
        monkeypatch.setattr(proxy_processes, "masters", lambda: inside)
        assert ProxyFinder().look({}, ()) == {}


def test_looking_is_cheap() -> None:
    with tempfile.TemporaryDirectory() as folder, Nginx(Path(folder), SERVER):
        begun = os.times()
        for _ in range(10):
            proxy_processes.masters()
        ended = os.times()
        processes = sum(name.isdigit() for name in os.listdir("/proc"))
        assert (ended.user + ended.system - begun.user - begun.system) / 10 < 0.001 * processes
