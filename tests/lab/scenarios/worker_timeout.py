"""A slow request blocks the only worker: gunicorn kills it, nginx answers 502, all is healthy.

nginx in front of a container made by Docker Compose. The first cure holds an invalid option, and is
told before it is started; the second one helps.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Final

import httpx

from tests.lab.machine import Machine, Service
from tests.lab.scenario import (
    Scenario,
    Sight,
    Stage,
    Step,
    check_says,
    counted,
    diagnose_says,
    front_page_says,
    metric_is,
    nobody_notified,
    notified,
    site_answers,
)
from tests.lab.virtualenv import install, make_virtualenv

BACKEND: Final = "shop/web"
PROJECT: Final = "/srv/shop"
SITE_PORT: Final = 80
SLOW_SECONDS: Final = 33

_COMPOSE: Final = f"{PROJECT}/compose.yaml"
_SLOW: Final = "reports/2207?token=d41d8cd9"
_WAITING: Final = "export"
_FIRST: Final = "--timeout 30"
_INVALID: Final = "--timeout 120 --keepalive 120"
_CURE: Final = "--timeout 120 --max-requests 1000 --max-requests-jitter 50"

_APP: Final = f'''\
"""The shop."""

import asyncio
import time


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"].startswith("/reports/"):
        time.sleep(600)
    if scope["path"] == "/export":
        await asyncio.sleep({SLOW_SECONDS})
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": b"The shop\\n"}})
'''

_NGINX: Final = """\
user www-data;
pid /run/nginx.pid;
events {}
http {
	access_log /var/log/nginx/access.log;
	error_log /var/log/nginx/error.log;
	server {
		listen 80 default_server;
		location / {
			proxy_pass http://127.0.0.1:8000;
			proxy_read_timeout 180s;
		}
	}
}
"""

_IMAGE: Final = """\
set -e
cd "$(mktemp -d)"
mkdir -p usr etc tmp srv proc sys dev
for folder in bin sbin lib lib64; do ln -s usr/$folder $folder; done
echo root:x:0:0:root:/root:/bin/sh >etc/passwd
tar -c . | docker import - shop-web
"""


def _compose(options: str) -> str:
    base = {"/usr", sys.base_prefix}
    check = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/', timeout=5)"
    server = "python -m gunicorn app:app -w 1 -k uvicorn.workers.UvicornWorker"
    document = {
        "name": "shop",
        "services": {
            "web": {
                "image": "shop-web",
                "command": ["sh", "-c", f"sleep 10 && {server} --bind 0.0.0.0:8000 {options}"],
                "working_dir": PROJECT,
                "environment": {"PATH": f"{PROJECT}/.venv/bin:/usr/bin"},
                "ports": ["127.0.0.1:8000:8000"],
                "volumes": [f"{place}:{place}:ro" for place in (*sorted(base), PROJECT)],
                "healthcheck": {
                    "test": ["CMD", "python", "-c", check],
                    "interval": "10s",
                    "timeout": "6s",
                    "retries": 6,
                    "start_period": "15s",
                },
                "restart": "unless-stopped",
                "cap_drop": ["ALL"],  # the lab has not all that Docker gives by default
            }
        },
    }
    return json.dumps(document, indent=2)  # which is YAML too


def _build(machine: Machine) -> None:
    machine.write(f"{PROJECT}/app.py", _APP)
    machine.write(_COMPOSE, _compose(_FIRST))
    make_virtualenv(machine, f"{PROJECT}/.venv")
    install(machine, f"{PROJECT}/.venv", "gunicorn", "uvicorn")
    machine.write("/etc/default/docker", 'DOCKER_OPTS="--iptables=false --storage-driver=vfs"\n')
    machine.write("/etc/sysusers.d/docker.conf", "g docker - -\n")
    machine.run(["systemd-sysusers"])
    machine.write("/etc/nginx/nginx.conf", _NGINX)
    machine.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
    machine.run(["systemctl", "start", "docker"])
    machine.run(["sh", "-c", _IMAGE])
    machine.start(Service("nginx", []))
    _up(machine)


def _up(machine: Machine) -> None:
    machine.run(["docker", "compose", "-f", _COMPOSE, "up", "-d"])


def _watching(machine: Machine) -> None:
    folder = "/etc/systemd/system/badgateway.service.d"
    machine.write(f"{folder}/docker.conf", "[Service]\nSupplementaryGroups=docker\n")


def _configuration(machine: Machine) -> str:
    site = f"http://127.0.0.1:{SITE_PORT}/"
    # asked for every 10 s, it fails three times only when its worker has been killed
    return (
        "environment: demo\nprobes: {interval: 10s}\nbackends:\n"
        f"  - name: {BACKEND}\n    probes:\n"
        f'      - {{name: edge, vantage: edge, url: "{site}"}}\n'
    )


class _Client:
    """Asks in the background, and keeps what it was answered."""

    def __init__(self) -> None:
        self.answers: list[int] = []

    def ask(self, stage: Stage, path: str, times: int = 1) -> None:
        """Ask for a page, one request after the other."""
        self.answers.clear()

        def run() -> None:
            for _ in range(times):
                try:
                    answer = httpx.get(stage.site + path, timeout=200, trust_env=False)
                    self.answers.append(answer.status_code)
                except httpx.HTTPError:
                    self.answers.append(0)

        threading.Thread(target=run, daemon=True).start()

    def answered(self, status: int, what: str, times: int = 1) -> Sight:
        """Every one of the requests got this status."""

        def look(stage: Stage) -> str | None:
            if len(self.answers) < times:
                return None
            return f"{what}: {status}" if set(self.answers) == {status} else None

        return Sight("a client", f"{what}: {status}", look)


_CLIENT: Final = _Client()


def _ask_for_reports(stage: Stage) -> None:
    _CLIENT.ask(stage, _SLOW, times=2)


def _ask_for_an_export(stage: Stage) -> None:
    _CLIENT.ask(stage, _WAITING)


def _write_the_invalid(stage: Stage) -> None:
    stage.machine.write(_COMPOSE, _compose(_INVALID))


def _up_again(stage: Stage) -> None:
    _up(stage.machine)


def _cure(stage: Stage) -> None:
    stage.machine.write(_COMPOSE, _compose(_CURE))
    _up(stage.machine)


def _ask_often(stage: Stage) -> None:
    _CLIENT.ask(stage, "", times=1100)


def _healthy() -> Sight:
    """Docker says that the container is healthy."""

    def look(stage: Stage) -> str | None:
        words = ["docker", "inspect", "--format", "{{.State.Health.Status}}", "shop-web-1"]
        health = stage.machine.run(words, check=False).stdout.strip()
        return health if health == "healthy" else None

    return Sight("docker inspect", "healthy", look)


SCENARIO: Final = Scenario(
    name="worker-timeout",
    title="a slow request blocks the only worker, and gunicorn kills it",
    backend=BACKEND,
    site_port=SITE_PORT,
    packages=(
        "nginx", "nginx-common", "docker.io", "containerd", "runc", "docker-compose/trixie",
    ),
    build=_build,
    configuration=_configuration,
    files=_watching,
    services=("badgateway", "nginx", "docker"),
    needs_host="This scenario needs Docker, and a host of its own to run it on: be root, on a "
    "machine where namespaces, overlay mounts and a cgroup2 hierarchy may be made.",
    steps=(
        Step(
            "All is well: ten seconds after the container was started",
            (
                site_answers(200),
                metric_is("badgateway_probe_status_code", 200, vantage="edge"),
                metric_is("badgateway_service_state", 1, manager="docker", state="active"),
                metric_is("badgateway_timeout_seconds", 30, hop="server", setting="worker"),
                metric_is("badgateway_timeout_seconds", 180, hop="proxy", setting="read"),
                metric_is("badgateway_config_mismatch", 1, check="timeout_ladder"),
                metric_is("badgateway_risk", 0, risk="timeout_ladder"),
                metric_is("badgateway_next_start", 1, verdict="ok"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                _healthy(),
                nobody_notified(),
            ),
            limit=90,
        ),
        Step(
            "Reports are asked for, which block the event loop",
            (
                counted(
                    "badgateway_worker_recycles_total", 1, moment="fault_to_count",
                    reason="timeout",
                ),
                metric_is(
                    "badgateway_diagnosis", 1, moment="fault_to_metric", cause="worker_timeout"
                ),
                front_page_says("worker_timeout", "30 s", "180 s", "GET /reports/:id"),
                diagnose_says("worker_timeout", "GET /reports/:id"),
                metric_is("badgateway_risk", 1, risk="timeout_ladder"),
                notified("pager", "firing", "worker_timeout", moment="fault_to_page"),
                _CLIENT.answered(502, "two reports", times=2),
                _healthy(),
            ),
            limit=150,
            action=_ask_for_reports,
        ),
        Step(
            f"An export is asked for, which only waits {SLOW_SECONDS} s",
            (
                _CLIENT.answered(200, "the export"),
                metric_is("badgateway_worker_recycles_total", 2, reason="timeout"),
                # nothing of it fails now: what was told is of the last minutes
                diagnose_says("worker_timeout", "answers 200", "healthy"),
                notified("pager", "resolved"),
            ),
            limit=300,
            action=_ask_for_an_export,
        ),
        Step(
            f"A cure is written down, and not started yet: {_INVALID}",
            (
                metric_is(
                    "badgateway_next_start", 1, moment="mistake_to_warning", verdict="will_fail"
                ),
                metric_is("badgateway_risk", 1, risk="next_start_fails"),
                check_says("--keepalive", "--keep-alive"),
                site_answers(200),
            ),
            limit=60,
            action=_write_the_invalid,
        ),
        Step(
            "docker compose up -d",
            (
                site_answers(502),
                metric_is("badgateway_diagnosis", 1, cause="bad_option"),
                diagnose_says("bad_option", "--keepalive"),
                notified("pager", "firing", "bad_option"),
            ),
            limit=150,
            action=_up_again,
        ),
        Step(
            f"The cure: {_CURE}",
            (
                site_answers(200, moment="repair_to_200"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                metric_is("badgateway_risk", 0, risk="next_start_fails"),
            ),
            limit=120,
            action=_cure,
        ),
        Step(
            "Eleven hundred requests",
            (
                _CLIENT.answered(200, "1100 requests", times=1100),
                counted("badgateway_worker_recycles_total", 1, reason="max_requests"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                nobody_notified("firing", "worker_timeout"),
                notified("pager", "resolved", moment="requests_to_resolved"),
            ),
            limit=300,
            action=_ask_often,
        ),
    ),
)  # fmt: skip
