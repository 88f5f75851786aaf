"""A healthy site of two applications behind Caddy, and what its operators do all day."""

from __future__ import annotations

import collections
import time
from typing import Final

from tests.lab.host import CHECKOUT_INSIDE, Host
from tests.lab.machine import Service
from tests.lab.virtualenv import install_editable, make_virtualenv, uninstall

SHOP, DESK = "shop", "desk"

_PYPROJECT: Final = """\
[build-system]
requires = ["flit_core>=3.12"]
build-backend = "flit_core.buildapi"

[project]
name = "shop"
version = "{version}"
description = "A shop"
requires-python = ">=3.11"
dependencies = ["starlette>=1", "uvicorn>=0.40"{more}]
"""

_SHOP: Final = """\
import asyncio
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
{imports}
time.sleep({loading})


async def front(request):
    return PlainTextResponse("open")


async def broken(request):
    raise RuntimeError("no such article")


async def slow(request):
    await asyncio.sleep(3)
    return PlainTextResponse("at last")


app = Starlette(routes=[Route("/", front), Route("/500", broken), Route("/slow", slow)])
"""

_DESK: Final = """\
def app(environ, start_response):
    status = "500 Internal Server Error" if environ["PATH_INFO"] == "/500" else "200 OK"
    start_response(status, [("Content-Length", "2")])
    return [b"ok"]
"""

_UNIT: Final = """\
[Service]
WorkingDirectory=/srv/{name}
ExecStart=/srv/{name}/.venv/bin/python -m {command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
"""

_CADDYFILE: Final = """\
{{
	grace_period 5s
}}
http://shop.test {{
	header X-Release {release}
	reverse_proxy 127.0.0.1:8201
	log {{
		output file /var/log/caddy/access.log
	}}
}}
http://desk.test {{
	reverse_proxy 127.0.0.1:8202
	log {{
		output file /var/log/caddy/access.log
	}}
}}
"""


class Site:
    """The site, and what its operators do."""

    def __init__(self, host: Host, loading: float = 0.0) -> None:
        """``loading``: seconds that one of the applications takes to load."""
        self.host, self.loading = host, loading
        self.done: collections.Counter[str] = collections.Counter()
        self._release = 0

    def build(self) -> None:
        """Make two applications and the proxy, and start them."""
        host = self.host
        self.pull(extra=False)
        make_virtualenv(host, f"/srv/{SHOP}/.venv")
        install_editable(host, f"/srv/{SHOP}")
        host.write(f"/srv/{DESK}/{DESK}/__init__.py", "")
        host.write(f"/srv/{DESK}/{DESK}/main.py", _DESK)
        project = f'[project]\nname = "{DESK}"\nversion = "1"\ndependencies = ["gunicorn"]\n'
        host.write(f"/srv/{DESK}/pyproject.toml", project)
        host.run(["python3", "-m", "venv", "--without-pip", f"/srv/{DESK}/.venv"])
        libraries = f"{CHECKOUT_INSIDE}/.venv/lib/python3.11/site-packages"
        for package in ("gunicorn", "packaging"):
            wanted = f"{libraries}/{package} {libraries}/{package}-*.dist-info"
            place = f"/srv/{DESK}/.venv/lib/python3.11/site-packages/"
            host.run(["sh", "-c", f"cp -r {wanted} {place}"])
        host.run(["install", "-d", "-o", "caddy", "-m", "755", "/var/lib/caddy", "/var/log/caddy"])
        commands = {
            SHOP: "uvicorn shop.main:app --port 8201",
            DESK: "gunicorn -w 2 --max-requests 25 --max-requests-jitter 5 -b 127.0.0.1:8202 "
            "desk.main:app",
        }
        for name, command in commands.items():
            host.start(Service(name, [], unit=_UNIT.format(name=name, command=command)))
        self._caddyfile()
        host.start(Service("caddy", []))

    def pull(self, extra: bool) -> None:
        """Write the next release's code and declaration; ``extra``: it needs a package more."""
        self._release += 1
        more = ', "msgspec>=0.18"' if extra else ""
        imports = "import msgspec\n" if extra else ""
        self.host.write(
            f"/srv/{SHOP}/pyproject.toml",
            _PYPROJECT.format(version=f"1.{self._release}", more=more),
        )
        self.host.write(f"/srv/{SHOP}/{SHOP}/__init__.py", '"""A shop."""\n')
        self.host.write(
            f"/srv/{SHOP}/{SHOP}/main.py", _SHOP.format(imports=imports, loading=self.loading)
        )

    def restart(self) -> None:
        """Restart both applications."""
        self.host.systemctl("restart", SHOP, DESK)
        self.done["restarts"] += 2

    def stop_and_start(self) -> None:
        """Stop one, and start it shortly after."""
        self.host.systemctl("stop", SHOP)
        time.sleep(3)
        self.host.systemctl("start", SHOP)
        self.done["stops_and_starts"] += 1

    def deploy(self) -> None:
        """Pull, install, restart: as a deploy should be; every second one takes a package away."""
        adding = self.done["deploys"] % 2 == 0
        self.pull(extra=adding)
        install_editable(self.host, f"/srv/{SHOP}")
        self.host.systemctl("restart", SHOP)
        if not adding:
            uninstall(self.host, f"/srv/{SHOP}", "msgspec")
        self.done["deploys"] += 1

    def reload_proxy(self) -> None:
        """Change the proxy's configuration and have it loaded."""
        self._caddyfile()
        self.host.systemctl("reload", "caddy")
        self.done["proxy_reloads"] += 1

    def reload_workers(self) -> None:
        """Have gunicorn replace its workers."""
        self.host.systemctl("reload", DESK)
        self.done["server_reloads"] += 1

    def rotate(self) -> None:
        """Copy the access log away and truncate it, as logrotate's copytruncate does."""
        log = "/var/log/caddy/access.log"
        self.host.run(["sh", "-c", f"cp {log} {log}.1 && truncate -s 0 {log}"])
        self.done["rotations"] += 1

    def _caddyfile(self) -> None:
        release = self.done["proxy_reloads"]
        self.host.write("/etc/caddy/Caddyfile", _CADDYFILE.format(release=release))
