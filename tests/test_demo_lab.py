"""The lab's own parts: a booted host, its network, the shipped unit, the scenarios' form."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator

import pytest

from tests.lab import parts
from tests.lab.host import Host, refusal
from tests.lab.machine import Service
from tests.lab.plain import PlainHost
from tests.lab.require import unavailable
from tests.lab.routing import wait_of
from tests.lab.scenario import load

_SERVER = "/usr/bin/python3 -m http.server --bind 127.0.0.1 8000"

_READY = """\
#!/usr/bin/python3
import os, socket, time

told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    if reason := refusal():
        unavailable(f"no host can be booted: {reason}")
    with Host("lab-test") as booted:
        yield booted


@pytest.mark.lab
def test_a_host_restarts_services_and_keeps_their_journal(host: Host) -> None:
    host.start(
        Service(
            "speaks",
            [],
            unit="[Service]\nExecStart=/bin/sh -c 'echo it spoke; exit 3'\nRestart=always\n"
            "RestartSec=0.1\nStartLimitBurst=2\n",
        )
    )
    deadline = time.monotonic() + 10
    while host.systemctl("is-failed", "speaks", check=False).strip() != "failed":
        assert time.monotonic() < deadline, host.tail("speaks")
        time.sleep(0.1)
    assert "it spoke" in host.tail("speaks")
    assert "Start request repeated too quickly" in host.tail("speaks")
    members = host.run(["id", "-nG", "root"]).stdout
    assert "systemd-journal" not in members  # and yet: the group may read what root wrote
    readable = host.run(
        ["find", "/run/log/journal", "-group", "systemd-journal", "-name", "*.journal"]
    )
    assert readable.stdout


@pytest.mark.lab
def test_a_port_of_a_host_is_reached_from_here_and_only_through_its_bridge(host: Host) -> None:
    host.unit("files.service", f"[Service]\nExecStart={_SERVER}\nWorkingDirectory=/etc\n")
    host.systemctl("start", "files")
    answer = _get(host.forward(8000), "/hostname")
    assert answer == b"lab-test\n"
    with pytest.raises(OSError, match="refused"):
        http.client.HTTPConnection("127.0.0.1", 8000, 2).connect()


@pytest.mark.lab
def test_systemd_accepts_the_shipped_unit(host: Host) -> None:
    deploy = parts.CHECKOUT / "deploy"
    host.write(
        "/usr/lib/sysusers.d/badgateway.conf", (deploy / "sysusers.d/badgateway.conf").read_text()
    )
    host.run(["systemd-sysusers"])
    host.write("/usr/bin/badgateway", _READY, 0o755)
    host.unit("badgateway.service", (deploy / "badgateway.service").read_text())
    verified = host.run(["systemd-analyze", "verify", "badgateway.service"], check=False)
    assert "badgateway" not in verified.stderr
    assert verified.returncode == 0
    host.systemctl("start", "badgateway")
    status = host.run(["cat", f"/proc/{host.pid('badgateway')}/status"]).stdout
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    owner = host.run(["stat", "-c", "%U %a", "/var/lib/badgateway"]).stdout
    assert owner == "badgateway 710\n"


def test_a_plain_machine_restarts_its_services_and_ends_with_all_of_them() -> None:
    with PlainHost() as machine:
        place = machine.place("/count")
        script = f'echo "$$" >> {place}; exec sleep 1000'
        machine.start(Service("sleeper", ["/bin/sh", "-c", script], folder=machine.place("/")))
        first = _await_pid(machine, 0)
        machine.restart("sleeper")
        second = _await_pid(machine, first)
        assert machine.read("/count").split() == [str(first), str(second)]
    assert not os.path.exists(f"/proc/{second}")
    assert not os.path.exists(place)


def test_a_scenario_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(KeyError, match="missing-dependency"):
        load("no-such-thing")


def test_every_scenario_names_itself_and_ends_resolved() -> None:
    files = (parts.CHECKOUT / "tests/lab/scenarios").glob("[a-z]*.py")
    for file in files:
        scenario = load(file.stem)
        assert scenario.name == file.stem.replace("_", "-")
        assert "resolved" in {sight.wanted.split(",")[0] for sight in scenario.steps[-1].sights}


def test_the_wait_of_a_warning_is_that_of_the_shipped_routes() -> None:
    slow = wait_of({"alertname": "GatewayNextStartFails", "category": "early-warning"})
    assert (slow.receiver, slow.seconds) == ("tickets", 30)
    page = wait_of({"category": "symptom", "severity": "critical", "backend": "archive-api"})
    assert (page.receiver, page.group) == ("pager", "10s")


def _get(port: int, path: str) -> bytes:
    deadline = time.monotonic() + 10
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        finally:
            connection.close()


def _await_pid(machine: PlainHost, other_than: int) -> int:
    deadline = time.monotonic() + 10
    while (pid := machine.pid("sleeper")) in (0, other_than):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while str(pid) not in machine.read("/count").split():
        time.sleep(0.05)
    return pid
