"""nginx sends a site to an address where nothing listens; the application is well all the time.

Two applications behind nginx. An edited configuration is told before it is loaded, and loaded all
the same. The rollback is an older file with another mistake, told before too. Then the other ways
to miss an application: another one in its place, and a name that no longer leads anywhere.
"""

from __future__ import annotations

from typing import Final

from tests.lab import names
from tests.lab.machine import Machine, Service
from tests.lab.scenario import (
    Scenario,
    Sight,
    Stage,
    Step,
    command_ends,
    diagnose_says,
    front_page_says,
    metric_is,
    nobody_notified,
    notified,
    site_answers,
    warning_waits,
)
from tests.lab.virtualenv import install, make_virtualenv

BACKEND: Final = "shop"
SITE_PORT: Final = 80

_PLACE: Final = "/srv/apps"
_SITES: Final = "/etc/nginx/conf.d/sites.conf"
_EDITED: Final = "/srv/changes/sites.edited.conf"
_OLDER: Final = "/srv/changes/sites.older.conf"
_RIGHT: Final = "/srv/changes/sites.right.conf"
_NAME: Final = "shop.internal"

_APP: Final = '''\
"""The shop and the desk: each says which one it is."""

import os

NAME = os.environ["NAME"].encode()


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = b"This is the %s\\n" % NAME
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
'''

_NGINX: Final = """\
user www-data;
pid /run/nginx.pid;
events {}
http {
	access_log /var/log/nginx/access.log;
	error_log /var/log/nginx/error.log;
	include /etc/nginx/conf.d/*.conf;
}
"""


def _sites(shop: str, more: str = "") -> str:
    return f"""\
server {{
	listen 80 default_server;
	server_name shop.test;
	location / {{
{more}		proxy_pass http://{shop};
	}}
}}

server {{
	listen 80;
	server_name desk.test;
	location / {{
		proxy_pass http://127.0.0.1:8002;
	}}
}}
"""


_NAMED: Final = _sites(
    "$shop:8001", "\t\tresolver 127.0.0.1 valid=1s ipv6=off;\n\t\tset $shop shop.internal;\n"
)


def _unit(name: str, port: int) -> str:
    command = f"{_PLACE}/.venv/bin/python -m uvicorn app:app --host 127.0.0.1 --port {port}"
    return (
        f"[Unit]\nDescription=The {name}\n[Service]\nUser=www-data\nWorkingDirectory={_PLACE}\n"
        f"Environment=NAME={name}\nExecStart={command}\nRestart=always\n"
    )


def _build(machine: Machine) -> None:
    machine.write(f"{_PLACE}/app.py", _APP)
    make_virtualenv(machine, f"{_PLACE}/.venv")
    install(machine, f"{_PLACE}/.venv", "uvicorn")
    machine.write(f"{_PLACE}/requirements.txt", "uvicorn\n")
    machine.write("/etc/nginx/nginx.conf", _NGINX)
    machine.write(_RIGHT, _sites("127.0.0.1:8001"))
    machine.write(_EDITED, _sites("127.0.0.1:9001"))
    machine.write(_OLDER, _sites("127.0.0.1:8801"))
    machine.write(_SITES, _sites("127.0.0.1:8001"))
    names.start(machine)
    names.write(machine, {_NAME: "127.0.0.1"})
    machine.run(["install", "-d", "-o", "www-data", "/var/log/nginx", "/var/lib/nginx"])
    machine.start(Service("shop", [], _unit("shop", 8001)))
    machine.start(Service("desk", [], _unit("desk", 8002)))
    machine.start(Service("nginx", []))


def _configuration(machine: Machine) -> str:
    expect = '{body: "This is the shop"}'
    return (
        f"environment: demo\nbackends:\n  - name: {BACKEND}\n    probes:\n"
        f'      - {{name: edge, vantage: edge, url: "http://127.0.0.1/", expect: {expect}}}\n'
    )


def _take(stage: Stage, path: str) -> None:
    stage.machine.run(["cp", path, _SITES])


def _reload(stage: Stage) -> None:
    stage.machine.run(["systemctl", "reload", "nginx"])


def _edit(stage: Stage) -> None:
    _take(stage, _EDITED)


def _roll_back(stage: Stage) -> None:
    _take(stage, _OLDER)
    _reload(stage)


def _put_right(stage: Stage) -> None:
    _take(stage, _RIGHT)
    _reload(stage)


def _to_the_desk(stage: Stage) -> None:
    stage.machine.write(_SITES, _sites("127.0.0.1:8002"))


def _by_name(stage: Stage) -> None:
    stage.machine.write(_SITES, _NAMED)
    _reload(stage)


def _lose_the_name(stage: Stage) -> None:
    names.write(stage.machine, {})


def _restore_the_name(stage: Stage) -> None:
    names.write(stage.machine, {_NAME: "127.0.0.1"})


def _nothing_of_a_database() -> Sight:
    """No page mentions what has nothing to do with it."""

    def look(stage: Stage) -> str | None:
        told = " ".join(notification.text() for notification in stage.pager.received)
        return None if "database" in told.lower() else "no word of a database"

    return Sight("all notifications", "no word of a database", look)


SCENARIO: Final = Scenario(
    name="wrong-upstream",
    title="nginx sends the shop to an address where nothing listens",
    backend=BACKEND,
    site_port=SITE_PORT,
    packages=("nginx", "nginx-common"),
    build=_build,
    configuration=_configuration,
    services=("badgateway", "nginx", "shop", "desk", "names"),
    needs_host="This scenario needs a host of its own, with systemd: be root, on a machine where "
    "namespaces, overlay mounts and a cgroup2 hierarchy may be made.",
    steps=(
        Step(
            "All is well",
            (
                site_answers(200),
                metric_is("badgateway_probe_status_code", 200, vantage="edge"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                metric_is("badgateway_risk", 0, risk="next_reload_misroutes"),
                command_ends(0, "check", "nginx"),
            ),
            limit=60,
        ),
        Step(
            "The configuration is edited, and not loaded yet",
            (
                metric_is(
                    "badgateway_risk", 1, moment="mistake_to_warning", risk="next_reload_misroutes"
                ),
                front_page_says("next_reload_misroutes", "127.0.0.1:9001", f"{_SITES}:5"),
                command_ends(
                    1, "check", "nginx", saying=("127.0.0.1:9001", "sites.conf:5", "127.0.0.1:8001")
                ),
                warning_waits(),
                site_answers(200),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                nobody_notified(),
            ),
            limit=60,
            action=_edit,
        ),
        Step(
            "systemctl reload nginx",
            (
                site_answers(502),
                metric_is(
                    "badgateway_diagnosis", 1, moment="fault_to_metric", cause="wrong_upstream"
                ),
                notified(
                    "pager", "firing", "wrong_upstream", "127.0.0.1:9001", moment="fault_to_page"
                ),
                diagnose_says("wrong_upstream", "127.0.0.1:9001", "where nothing listens"),
                front_page_says(
                    "shop itself answers at 127.0.0.1:8001", "has received no request since"
                ),
                metric_is("badgateway_risk", 0, risk="next_reload_misroutes"),
                _nothing_of_a_database(),
            ),
            limit=120,
            action=_reload,
        ),
        Step(
            "A rollback to an older file, which has another mistake: check said so before",
            (
                command_ends(1, "check", _OLDER, saying=("127.0.0.1:8801", "sites.older.conf:5")),
                site_answers(502),
                command_ends(1, "verify", BACKEND, "--wait", "6s", saying=("wrong_upstream",)),
                diagnose_says("wrong_upstream", "127.0.0.1:8801"),
            ),
            limit=120,
            action=_roll_back,
        ),
        Step(
            "The right file: check finds nothing, verify holds",
            (
                command_ends(0, "check", _RIGHT),
                site_answers(200, moment="repair_to_200"),
                command_ends(0, "verify", BACKEND, "--wait", "60s"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                notified("pager", "resolved", moment="repair_to_resolved"),
            ),
            limit=300,
            action=_put_right,
        ),
        Step(
            "Another mistake: the shop is sent to the desk; not loaded yet",
            (
                metric_is("badgateway_risk", 1, risk="next_reload_misroutes"),
                front_page_says("127.0.0.1:8002", "which is desk"),
                site_answers(200),
            ),
            limit=60,
            action=_to_the_desk,
        ),
        Step(
            "systemctl reload nginx: 200 for everybody, from the wrong application",
            (
                site_answers(200),
                metric_is("badgateway_diagnosis", 1, cause="wrong_upstream"),
                notified("pager", "firing", "wrong_upstream", "127.0.0.1:8002"),
                diagnose_says("wrong_upstream", "which is desk"),
            ),
            limit=120,
            action=_reload,
        ),
        Step(
            "Right again, by a name",
            (
                site_answers(200),
                command_ends(0, "verify", BACKEND, "--wait", "60s"),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                notified("pager", "resolved"),
            ),
            limit=300,
            action=_by_name,
        ),
        Step(
            "The name is gone",
            (
                site_answers(502),
                metric_is("badgateway_diagnosis", 1, cause="name_unresolved"),
                notified("pager", "firing", "name_unresolved", "shop.internal"),
                diagnose_says("name_unresolved", "shop.internal"),
                _nothing_of_a_database(),
            ),
            limit=120,
            action=_lose_the_name,
        ),
        Step(
            "The name is back",
            (
                site_answers(200),
                metric_is("badgateway_diagnosis", 1, cause="none"),
                notified("pager", "resolved"),
            ),
            limit=300,
            action=_restore_the_name,
        ),
    ),
)
