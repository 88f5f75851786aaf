"""A dependency is declared and used, but nobody installs it: all is well until the next restart.

Caddy in front of uvicorn, in a virtualenv, under systemd. The change is pulled, and the service is
restarted hours later: `ModuleNotFoundError`, a crash loop, 502 on every route.
"""

from __future__ import annotations

from typing import Final

from tests.lab.machine import Machine, Service
from tests.lab.parts import binary
from tests.lab.scenario import (
    Scenario,
    Stage,
    Step,
    check_says,
    diagnose_says,
    front_page_says,
    metric_is,
    notified,
    site_answers,
    warning_waits,
)
from tests.lab.virtualenv import install_editable, make_virtualenv

BACKEND: Final = "archive-api"
PROJECT: Final = "/srv/archive-api"
PACKAGE: Final = "msgspec"
APP_PORT: Final = 8001
SITE_PORT: Final = 80
_TARGET: Final = "archive_api.app:app"

_PYPROJECT: Final = """\
[build-system]
requires = ["flit_core>=3.12"]
build-backend = "flit_core.buildapi"

[project]
name = "archive-api"
version = "1.4.0"
description = "The archive's records"
requires-python = ">=3.11"
dependencies = [
    "starlette>=1",
    "uvicorn>=0.40",
]
"""

_APP: Final = '''\
"""The archive's API."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from archive_api import records


async def front(request: Request) -> Response:
    return PlainTextResponse("The archive\\n")


async def search(request: Request) -> Response:
    found = records.search(request.query_params.get("q", ""))
    return Response(records.encode(found), media_type="application/json")


async def record(request: Request) -> Response:
    number = request.path_params["number"]
    return Response(records.encode([number]), media_type="application/json")


app = Starlette(
    routes=[Route("/", front), Route("/search", search), Route("/records/{number:int}", record)]
)
'''

_RECORDS: Final = '''\
"""Finding and encoding records."""

import json


def search(words: str) -> list[int]:
    return [len(word) for word in words.split()]


def encode(numbers: list[int]) -> bytes:
    return json.dumps({"records": numbers}).encode()
'''


def _build(machine: Machine) -> None:
    machine.write(f"{PROJECT}/pyproject.toml", _PYPROJECT)
    machine.write(f"{PROJECT}/archive_api/__init__.py", '"""The archive\'s API."""\n')
    machine.write(f"{PROJECT}/archive_api/app.py", _APP)
    machine.write(f"{PROJECT}/archive_api/records.py", _RECORDS)
    make_virtualenv(machine, f"{PROJECT}/.venv")
    install_editable(machine, PROJECT)
    if machine.systemd:
        machine.write("/etc/sysusers.d/archive.conf", f'u archive - "The archive" {PROJECT}\n')
        machine.run(["systemd-sysusers"])
        # As Debian's package makes them when it is installed.
        machine.run(["install", "-d", "-o", "caddy", "/var/lib/caddy", "/var/log/caddy"])
    machine.write("/etc/default/archive-api", f"PORT={machine.port(APP_PORT)}\n")
    machine.write("/etc/caddy/Caddyfile", _caddyfile(machine))
    machine.start(Service(BACKEND, _app_command(machine), _UNIT, machine.place(PROJECT)))
    machine.start(Service("caddy", _caddy_command(machine)))


_UNIT: Final = f"""\
[Unit]
Description=The archive's API
After=network.target

[Service]
User=archive
WorkingDirectory={PROJECT}
Environment=VENV={PROJECT}/.venv HOST=127.0.0.1
EnvironmentFile=/etc/default/archive-api
ExecStart=/bin/bash -lc 'exec ${{VENV}}/bin/uvicorn {_TARGET} --host ${{HOST}} --port ${{PORT}}'
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
"""


def _app_command(machine: Machine) -> list[str]:
    uvicorn = machine.place(f"{PROJECT}/.venv/bin/uvicorn")
    port = str(machine.port(APP_PORT))
    return [uvicorn, _TARGET, "--host", "127.0.0.1", "--port", port]


def _caddy_command(machine: Machine) -> list[str]:
    return [str(binary("caddy")), "run", "--config", machine.place("/etc/caddy/Caddyfile")]


def _caddyfile(machine: Machine) -> str:
    # Debian's unit has systemd keep what Caddy logs; without systemd Caddy keeps a file.
    log = "" if machine.systemd else f"\n\tlog {{\n\t\toutput file {_caddy_log(machine)}\n\t}}"
    return f"""\
{{
	admin 127.0.0.1:{machine.port(2019)}{log}
}}

:{machine.port(SITE_PORT)} {{
	reverse_proxy 127.0.0.1:{machine.port(APP_PORT)}
	log {{
		output file {machine.place("/var/log/caddy/access.log")}
	}}
}}
"""


def _caddy_log(machine: Machine) -> str:
    return machine.place("/var/log/caddy/caddy.log")


def _configuration(machine: Machine) -> str:
    site = f"http://127.0.0.1:{machine.port(SITE_PORT)}/"
    edge = f'      - {{name: edge, vantage: edge, url: "{site}"}}'
    if machine.systemd:  # all the rest is discovered
        return f"environment: demo\nbackends:\n  - name: {BACKEND}\n    probes:\n{edge}\n"
    command = ", ".join(f'"{word}"' for word in _app_command(machine))
    return f"""\
environment: demo
backends:
  - name: {BACKEND}
    command: [{command}]
    working_directory: {machine.place(PROJECT)}
    logs: [{{file: {machine.place(f"/var/log/{BACKEND}.log")}}}]
    probes:
{edge}
proxies:
  - name: caddy
    kind: caddy
    admin: http://127.0.0.1:{machine.port(2019)}
    logs: [{{file: {_caddy_log(machine)}}}]
"""


def _pull_the_change(stage: Stage) -> None:
    declared = _PYPROJECT.replace('    "starlette', f'    "{PACKAGE}>=0.20",\n    "starlette')
    used = _RECORDS.replace("import json", f"import {PACKAGE}.json").replace(
        'json.dumps({"records": numbers}).encode()',
        f'{PACKAGE}.json.encode({{"records": numbers}})',
    )
    stage.machine.write(f"{PROJECT}/pyproject.toml", declared)
    stage.machine.write(f"{PROJECT}/archive_api/records.py", used)


def _restart(stage: Stage) -> None:
    stage.machine.restart(BACKEND)


def _install(stage: Stage) -> None:
    install_editable(stage.machine, PROJECT)


SCENARIO: Final = Scenario(
    name="missing-dependency",
    title="a dependency is declared and used, but not installed",
    backend=BACKEND,
    site_port=SITE_PORT,
    packages=("caddy",),
    build=_build,
    configuration=_configuration,
    services=(BACKEND, "caddy", "badgateway"),
    hidden_without_systemd=(
        "restarts counted by systemd, and the reason of each",
        "log lines read from the journal: files are read instead",
        "discovery from units: a configuration file names command and logs",
    ),
    steps=(
        Step(
            "All is well",
            (
                site_answers(200),
                metric_is("badgateway_probe_status_code", 200, vantage="edge"),
                metric_is("badgateway_next_start", 1, verdict="ok"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
            ),
            limit=60,
        ),
        Step(
            f"A change is pulled: {PACKAGE} is declared and used, nobody runs pip",
            (
                site_answers(200),
                metric_is(
                    "badgateway_risk", 1, moment="fault_to_warning", risk="next_start_fails"
                ),
                metric_is("badgateway_next_start", 1, verdict="will_fail"),
                front_page_says("next_start_fails", PACKAGE),
                check_says(PACKAGE),
                warning_waits(),
                site_answers(200),
            ),
            limit=60,
            action=_pull_the_change,
        ),
        Step(
            "The service is restarted",
            (
                site_answers(502),
                metric_is(
                    "badgateway_diagnosis", 1, moment="fault_to_metric", cause="missing_dependency"
                ),
                diagnose_says("missing_dependency", PACKAGE),
                notified(
                    "pager", "firing", PACKAGE, "missing_dependency", moment="fault_to_page"
                ),
            ),
            limit=120,
            action=_restart,
        ),
        Step(
            "pip install",
            (
                site_answers(200, moment="repair_to_200"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                metric_is("badgateway_risk", 0, risk="next_start_fails"),
                notified("pager", "resolved", moment="repair_to_resolved"),
            ),
            limit=300,
            action=_install,
        ),
    ),
)  # fmt: skip
