"""The page on changing a proxy's configuration: each of its commands is run on the real parts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.lab.parts import CHECKOUT
from tests.lab.require import require
from tests.nginxlab import Nginx, application
from tests.routecheck.world import trusted_caddy
from tests.servers import free_port

PAGE = (CHECKOUT / "deploy" / "changing-a-proxy.md").read_text()
PROGRAM = Path(sys.executable).with_name("badgateway")
SITE = (
    "server {{ listen 127.0.0.1:PORT; server_name shop.example.org;"
    " location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
)


def commands(heading: str) -> list[str]:
    """The commands of a part of the page, as they stand there."""
    (part,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return [block.strip() for block in re.findall(r"```sh\n(.*?)```", part, re.S)]


class Site:
    """A host whose proxy and files lie below a folder of the test's own."""

    def __init__(self, folder: Path, kind: str, config: Path, port: int, admin: str = "") -> None:
        self.folder, self.config = folder, config
        self._own = folder / "badgateway.yml"
        proxy = {"name": "front", "kind": kind, "config": str(config)}
        written = {
            "discovery": {"enabled": False},
            "docker": {"enabled": False},
            "backends": [{"name": "shop", "upstreams": [f"127.0.0.1:{port}"]}],
            "proxies": [{**proxy, "admin": admin} if admin else proxy],
        }
        self._own.write_text(json.dumps(written))

    def run(self, command: str, flags: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the page, its programs and files replaced by those of the test."""
        for program, found in (
            ("badgateway check", f"{PROGRAM} check --config.file {self._own} {flags}"),
            ("badgateway discover", f"{PROGRAM} discover --config.file {self._own}"),
            ("badgateway verify", f"{PROGRAM} verify --config.file {self._own} --steady 1s"),
            ("nginx -", f"{require('nginx')} -"),
            ("caddy ", f"{require('caddy')} " if self.config.name == "Caddyfile" else "caddy "),
        ):
            command = re.sub(rf"(^|&& ){re.escape(program)}", rf"\g<1>{found}", command)
        for path in ("/etc/nginx/nginx.conf", "/etc/caddy/Caddyfile"):
            command = command.replace(path, str(self.config))
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def port() -> Iterator[int]:
    with application() as found:
        yield found


@pytest.fixture
def nginx(tmp_path: Path, port: int) -> Iterator[Nginx]:
    with Nginx(tmp_path, SITE.format(port=port)) as running:
        yield running


def lead_to(nginx: Nginx, old: int, new: int) -> None:
    text = nginx.config.read_text()
    assert f"127.0.0.1:{old};" in text
    nginx.config.write_text(text.replace(f"127.0.0.1:{old};", f"127.0.0.1:{new};"))


def test_the_commands_for_ci_pass_a_right_checkout_and_stop_a_wrong_one(
    nginx: Nginx, port: int
) -> None:
    site = Site(nginx.folder, "nginx", nginx.config, port)
    listing, checking, comparing = commands("In CI, away from the host")
    checkout = nginx.folder / "nginx" / "nginx.conf"
    checkout.parent.mkdir()
    checkout.write_text(nginx.config.read_text())
    staging = nginx.folder / "staging.conf"
    staging.write_text(checkout.read_text().replace("shop.example", "shop.staging.example"))
    for command in (listing, checking, comparing):
        done = site.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    for file in (checkout, staging):
        file.write_text(file.read_text().replace(f"127.0.0.1:{port};", "127.0.0.1:9;"))
    assert site.run(checking).returncode == 1
    checkout.write_text(nginx.config.read_text())
    assert site.run(comparing).returncode == 1


def test_the_commands_for_nginx_lead_through_a_change_and_back(nginx: Nginx, port: int) -> None:
    site = Site(nginx.folder, "nginx", nginx.config, port)
    keep, check, test, reload, verify, check_good, restore = commands("On the host: nginx")
    for command in (keep, check, test, reload, verify, check_good):
        done = site.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    wrong = free_port()
    lead_to(nginx, port, wrong)
    refused = site.run(check)
    assert refused.returncode == 1
    assert f"127.0.0.1:{wrong}" in refused.stdout
    # nginx itself takes it without a word
    assert site.run(test).returncode == 0
    assert site.run(reload).returncode == 0
    wait_for(lambda: nginx.get("/ok", "shop.example.org") == 502)
    assert site.run(verify.replace("20s", "3s")).returncode == 1
    for command in (check_good, restore, check, test, reload):
        assert site.run(command).returncode == 0, command
    wait_for(lambda: nginx.get("/ok", "shop.example.org") == 200)
    assert site.run(verify).returncode == 0


def test_the_whole_as_one_command_stops_before_the_reload(nginx: Nginx, port: int) -> None:
    site = Site(nginx.folder, "nginx", nginx.config, port)
    (whole,) = commands("As one command")
    done = site.run(whole)
    assert done.returncode == 0, (done.stdout, done.stderr)
    lead_to(nginx, port, free_port())
    assert site.run(whole).returncode == 1
    assert nginx.get("/ok", "shop.example.org") == 200


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that the adapter's user may look into; a test's own is private."""
    with tempfile.TemporaryDirectory(prefix="badgateway-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def caddy(folder: Path, port: int) -> Iterator[tuple[Path, int, str]]:
    """A Caddy that serves one site; gives its file, its port and its admin API."""
    served, admin = free_port(), f"localhost:{free_port()}"
    config = folder / "Caddyfile"
    config.write_text(
        f"{{\n\tadmin {admin}\n}}\n"
        f"http://shop.example.org:{served} {{\n\treverse_proxy 127.0.0.1:{port}\n}}\n"
    )
    words = ("run", "--config", str(config), "--adapter", "caddyfile")
    command = [str(require("caddy")), *words]
    places = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with subprocess.Popen(command, env=places, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: answers(served) == 200)
            yield config, served, f"http://{admin}"
        finally:
            process.terminate()


def answers(port: int) -> int:
    with suppress(httpx.HTTPError), httpx.Client(trust_env=False, timeout=5) as client:
        url = f"http://127.0.0.1:{port}/ok"
        return client.get(url, headers={"Host": f"shop.example.org:{port}"}).status_code
    return 0


def wait_for(fits: object) -> None:
    assert callable(fits)
    deadline = time.monotonic() + 10
    while not fits():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_commands_for_caddy_lead_through_a_change(public: Path, port: int) -> None:
    with caddy(public, port) as (config, served, admin):
        site = Site(public, "caddy", config, port, admin)
        check, validate, reload, verify = commands("On the host: Caddy")
        flags = f"--caddy {trusted_caddy()}"
        for command in (check, validate, reload, verify):
            done = site.run(command, flags)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        wrong = free_port()
        config.write_text(config.read_text().replace(f":{port}\n", f":{wrong}\n"))
        refused = site.run(check, flags)
        assert refused.returncode == 1
        assert f"127.0.0.1:{wrong}" in refused.stdout
        assert site.run(validate).returncode == 0
        assert answers(served) == 200


def test_the_page_promises_no_command_that_is_not_run() -> None:
    tried = sum(
        len(commands(heading))
        for heading in (
            "In CI, away from the host", "On the host: nginx", "On the host: Caddy",
            "As one command",
        )
    )  # fmt: skip
    assert tried == PAGE.count("```sh")
