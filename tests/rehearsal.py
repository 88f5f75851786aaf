"""A host with real systemd, Caddy and uvicorn, and the exporter as its shipped unit on it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.lab import observers
from tests.lab.host import CHECKOUT_INSIDE, Host, refusal
from tests.lab.parts import PartMissing
from tests.lab.require import require, unavailable
from tests.servers import Series

SITE = "/srv/site"
"""What all the applications share: uvicorn, gunicorn and what they need."""

BASE = """\
import asyncio
import os


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.path.exists("/run/lifespan-fails"):
            await send({"type": "lifespan.startup.failed", "message": "the database is away"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status = {"/500": 500, "/404": 404}.get(scope["path"], 200)
    if scope["path"] == "/slow":
        await asyncio.sleep(30)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

NEEDS = "slowapi-like"
"""A package that is installed nowhere."""


class Rehearsal:
    """A booted host and what a person would look at on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.sites: dict[str, int] = {}

    def application(
        self,
        name: str,
        port: int,
        options: str = "",
        service: str = "Restart=always\nRestartSec=1",
        wrapper: str = "{}",
        source: str = BASE,
        unit: str = "",
    ) -> None:
        """Write a project, its virtualenv and its unit; ``wrapper`` goes around the command."""
        place = f"/srv/{name}"
        self.code(name, source)
        self.host.run(["python3", "-m", "venv", "--without-pip", f"{place}/.venv"])
        self.host.write(f"{place}/.venv/lib/python3.11/site-packages/shared.pth", f"{SITE}\n")
        command = f"{place}/.venv/bin/python -m uvicorn {name}.main:app --port {port} {options}"
        self.host.write(
            f"/etc/systemd/system/{unit or name}.service",
            f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nWorkingDirectory={place}\n"
            f"ExecStart={wrapper.format(command)}\n{service}\n",
        )
        self.sites[name] = port

    def code(self, name: str, source: str = BASE, needs: Sequence[str] = ()) -> None:
        """Write an application's code and declaration: what a pull brings."""
        self.host.write(
            f"/srv/{name}/pyproject.toml",
            f'[project]\nname = "{name}"\nversion = "1"\ndependencies = {json.dumps([*needs])}\n',
        )
        self.host.write(f"/srv/{name}/{name}/__init__.py", "")
        self.host.write(f"/srv/{name}/{name}/main.py", source)

    def break_code(self, name: str) -> None:
        """Have an application declare and import what is not installed."""
        self.code(name, f"import slowapi_like\n\n\n{BASE}", [f"{NEEDS}>=0.1"])

    def caddyfile(self, options: str = "", **sites: str) -> None:
        """Write Caddy's file: ``options`` are global, ``sites`` name → directives."""
        blocks = "".join(f"http://{name}.test {{\n{text}\n}}\n" for name, text in sites.items())
        self.host.write("/etc/caddy/Caddyfile", f"{{\n{options}\n}}\n{blocks}")

    def proxied(self) -> dict[str, str]:
        """Return a site's directives for each application."""
        return {name: f"\treverse_proxy 127.0.0.1:{port}" for name, port in self.sites.items()}

    def start_exporter(self, configuration: str = "") -> None:
        """Start it as its shipped unit."""
        observers.start_exporter(self.host, configuration)

    def get(self, name: str, path: str = "/", seconds: int = 3) -> str:
        """Ask for a site through the proxy at port 80; return the status."""
        argv = ["curl", "-s", "-m", str(seconds), "-o", "/dev/null", "-w", "%{http_code}"]
        url = f"http://127.0.0.1{path}"
        return self.host.run([*argv, "-H", f"Host: {name}.test", url], check=False).stdout

    def answers(self) -> dict[str, dict[str, Any]]:
        """Return what the exporter says of each backend."""
        said = self.host.run(
            ["curl", "-s", "-m", "5", "127.0.0.1:10502/api/v1/diagnosis"], check=False
        ).stdout
        return {b["backend"]: b for b in json.loads(said)["backends"]} if said else {}

    def cause(self, name: str) -> tuple[str, str]:
        """Return a backend's cause and subject; empty while there is no verdict."""
        found = self.answers().get(name)
        return (found["diagnosis"]["name"], found["diagnosis"]["subject"]) if found else ("", "")

    def scrape(self) -> dict[Series, float]:
        """Return every sample of one scrape, nothing when nobody answers."""
        text = self.host.run(
            ["curl", "-s", "-m", "5", "127.0.0.1:10502/metrics"], check=False
        ).stdout
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of the series of a metric that bear these labels."""
        return [
            value
            for (metric, found), value in self.scrape().items()
            if metric == f"badgateway_{name}" and labels.items() <= dict(found).items()
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return their sum."""
        return sum(self.values(name, **labels))

    def still(self, unit: str) -> None:
        """Stop a looping unit's processes until nothing moves any more."""
        before = -1
        while before != (now := self.restarts(unit)):
            before = now
            self.host.systemctl("kill", "-s", "STOP", unit, check=False)
            time.sleep(1.5)

    def settled(self, name: str, **labels: str) -> int:
        """Return a counter's sum once it has stood still for a while."""
        counts: list[float] = []

        def stands() -> bool:
            counts.append(self.total(name, **labels))
            return len(counts) > 8 and len(set(counts[-8:])) == 1

        until(stands, 30, 0.3)
        return int(counts[-1])

    def restarts(self, unit: str) -> int:
        """Return systemd's own count of automatic restarts."""
        return int(self.host.systemctl("show", "-P", "NRestarts", unit))


def until(fits: Callable[[], object], seconds: float, pause: float = 0.2) -> float:
    """Wait until something holds; return how long it took.

    Raises:
        AssertionError: it did not within ``seconds``.
    """
    begun = time.monotonic()
    while not (found := fits()):
        assert time.monotonic() - begun < seconds, f"not within {seconds} s: {found}"
        time.sleep(pause)
    return time.monotonic() - begun


@contextmanager
def rehearsal(name: str, *packages: str) -> Iterator[Rehearsal]:
    """Boot a host with the servers' files on it; skip or fail the test where that is refused."""
    reason = refusal()
    if reason:
        unavailable(reason)
    require("caddy")
    try:
        with Host(name, ("caddy", *packages)) as host:
            libraries = f"{CHECKOUT_INSIDE}/.venv/lib/python3.11/site-packages"
            host.run(["mkdir", "-p", SITE])
            for package in ("uvicorn", "gunicorn", "click", "h11", "packaging"):
                copied = f"cp -r {libraries}/{package} {libraries}/{package}-*.dist-info {SITE}/"
                host.run(["sh", "-c", copied])
            # as Debian's package makes them when it is installed
            host.run(["install", "-d", "-o", "caddy", "/var/lib/caddy", "/var/log/caddy"])
            yield Rehearsal(host)
    except PartMissing as missing:
        unavailable(str(missing))
