"""What happens to units of a real systemd is counted, each with its reason and once.

One host for all: every unit is provoked in its own way, and the counters compared with what was
done.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.host import CHECKOUT_INSIDE, Host, refusal
from tests.lab.require import unavailable

pytestmark = [pytest.mark.lab]

FOR_EVER = "ExecStart=/bin/sleep 1000"
PYTHON = f"{CHECKOUT_INSIDE}/.venv/bin/python"
SECONDS = 20.0
SCHEDULED = "5eb03494b6584870a536b337290809b3"
EXITED = "98e322203f7a4ed290d09fe03c09fe15"


@dataclass(frozen=True)
class Case:
    """A unit, what is done to it, and what is to be counted of it.

    Attributes:
        service: lines of its ``[Service]`` section.
        actions: commands of systemctl; ``sleep N`` waits.
        exits: reason → number.
        restarts: likewise.
        unit: lines of its ``[Unit]`` section.
    """

    service: str
    actions: tuple[str, ...] = ("start {}",)
    exits: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    unit: str = ""


def shell(script: str, more: str = "") -> str:
    return f"ExecStart=/bin/sh -c '{script}'\n{more}"


LAST = ("sleep 0",) * 6
"""daemon-reexec sets the limit of starts back: what rests on it comes after that."""
UVICORN = f"ExecStart={PYTHON} -m uvicorn app:app --port"
LOOP = "StartLimitIntervalSec=3600\nStartLimitBurst="
CASES: dict[str, Case] = {
    "loop": Case(
        shell("sleep 0.1; exit 7", "Restart=always\nRestartSec=100ms"),
        (*LAST, "start {}"), unit=f"{LOOP}77",
        exits={"exit_code": 77, "start_limit": 1}, restarts={"exit_code": 76},
    ),
    "failing": Case(shell("exit 3"), exits={"exit_code": 1}),
    "ended": Case(shell("exit 0", "Restart=on-failure"), exits={"clean_exit": 1}),
    "ending": Case(
        shell("sleep 0.1", "Restart=always\nRestartSec=50ms"), unit=f"{LOOP}3",
        exits={"clean_exit": 3, "start_limit": 1}, restarts={"clean_exit": 2},
    ),
    "segv": Case(shell("kill -SEGV $$$$", "LimitCORE=0"), exits={"signal": 1}),
    "watchdog": Case(
        f"{FOR_EVER}\nWatchdogSec=300ms\nWatchdogSignal=SIGKILL", exits={"watchdog": 1}
    ),
    "noexec": Case("ExecStart=/nonexistent/program", exits={"exec_failed": 1}),
    "nouser": Case(f"{FOR_EVER}\nUser=no-such-user", exits={"exec_failed": 1}),
    "nodir": Case(f"{FOR_EVER}\nWorkingDirectory=/nonexistent", exits={"exec_failed": 1}),
    "noenv": Case(f"{FOR_EVER}\nEnvironmentFile=/nonexistent", exits={"resources": 1}),
    "badpre": Case(f"ExecStartPre=/bin/sh -c 'exit 9'\n{FOR_EVER}", exits={"exit_code": 1}),
    "slowstart": Case(
        f"{FOR_EVER}\nType=notify\nTimeoutStartSec=300ms", exits={"start_timeout": 1}
    ),
    "slowstop": Case(
        shell("trap : TERM; while :; do sleep 1; done", "TimeoutStopSec=300ms"),
        ("start {}", "sleep 0.3", "stop {}"), {"stop_timeout": 1},
    ),
    "limited": Case(f"{FOR_EVER}\nRuntimeMaxSec=300ms", exits={"runtime_limit": 1}),
    "condition": Case(
        FOR_EVER, exits={"condition": 1}, unit="ConditionPathExists=/nonexistent"
    ),
    "assertion": Case(FOR_EVER, exits={"condition": 1}, unit="AssertPathExists=/nonexistent"),
    "needy": Case(
        FOR_EVER, exits={"dependency": 1}, unit="Requires=broken.service\nAfter=broken.service"
    ),
    "restarted": Case(
        FOR_EVER,
        ("start {}", "restart {}", "daemon-reload", "daemon-reexec", "try-restart {}", "stop {}",
         "start {}"),
        {"manual": 3}, {"manual": 3},
    ),
    "killed": Case(
        f"{UVICORN} 8392\nWorkingDirectory=/srv", ("start {}", "sleep 2", "kill -s KILL {}"),
        {"killed": 1},
    ),
    "terminated": Case(
        f"{UVICORN} 8393\nWorkingDirectory=/srv\nRestart=always\nRestartSec=100ms",
        ("start {}", "sleep 2", "kill -s TERM --kill-who=main {}", "sleep 2", "reload {}"),
        {"killed": 1}, {"killed": 1},
    ),
    "woken": Case(
        shell("sleep 0.1; exit 5"), (*LAST, "! curl -s 127.0.0.1:8394"),
        {"exit_code": 5, "start_limit": 1}, {"exit_code": 4}, unit="",
    ),
    "refused": Case(
        shell("exit 1"), (*LAST, "start {}", "sleep 0.2", "start {}", "sleep 0.2", "start {}"),
        {"exit_code": 2, "start_limit": 1}, {"manual": 1}, unit=f"{LOOP}2",
    ),
    "part": Case(
        FOR_EVER, ("start {}", "restart whole", "stop whole", "start whole", "start {}"),
        {"propagated": 2}, {"propagated": 1, "manual": 1}, unit="PartOf=whole.service",
    ),
    "bound": Case(
        FOR_EVER, ("start {}", "kill -s KILL anchor", "sleep 0.3"), {"propagated": 1},
        unit="BindsTo=anchor.service\nAfter=anchor.service",
    ),
    "usage": Case(
        f"ExecStart={PYTHON} -m gunicorn --keepalive 5 app:app\nWorkingDirectory=/srv",
        exits={"usage": 1},
    ),
    "unbootable": Case(
        f"ExecStart={PYTHON} -m gunicorn -b 127.0.0.1:8391 nothing:app\nWorkingDirectory=/srv",
        exits={"boot_failure": 1},
    ),
    "unloaded": Case(
        shell("sleep 0.2; exit 0"), ("start {}", "sleep 0.6", "start {}", "sleep 0.6"),
        {"clean_exit": 2}, {"manual": 1},
    ),
}  # fmt: skip
AGAIN = f"[Service]\n{shell('sleep 0.1; exit 1', 'Restart=always')}\nRestartSec=200ms\n"
OTHERS = {
    "again": f"[Unit]\nStartLimitIntervalSec=0\n{AGAIN}",
    "broken": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "whole": f"[Service]\n{FOR_EVER}\n",
    "anchor": f"[Service]\n{FOR_EVER}\n",
}


def units(host: Host) -> None:
    for name, case in CASES.items():
        host.write(
            f"/etc/systemd/system/{name}.service",
            f"[Unit]\n{case.unit}\n[Service]\n{case.service}\n",
        )
    host.write("/etc/systemd/system/woken.socket", "[Socket]\nListenStream=127.0.0.1:8394\n")
    host.write("/srv/app.py", "async def app(scope, receive, send): pass\n")
    for name, text in OTHERS.items():
        host.write(f"/etc/systemd/system/{name}.service", text)
    backends = [{"name": name, "unit": f"{name}.service"} for name in (*CASES, "again")]
    config = {"backends": backends, "probes": {"enabled": False}}
    host.write("/etc/badgateway.yml", json.dumps(config))
    host.unit(
        "badgateway.service",
        f"[Service]\nExecStart={CHECKOUT_INSIDE}/.venv/bin/badgateway serve "
        "--config.file /etc/badgateway.yml --storage.path /var/lib/badgateway\n",
    )


def provoke(host: Host) -> None:
    """Do all that is to be done; a unit's commands in their order, one round after another."""
    for number in range(max(len(case.actions) for case in CASES.values())):
        waits = [0.0]
        for name, case in CASES.items():
            for action in case.actions[number : number + 1]:
                if action.startswith("!"):
                    host.run(["timeout", "3", "sh", "-c", action[1:]], check=False)
                elif action.startswith("sleep"):
                    waits.append(float(action.split()[1]))
                else:
                    host.systemctl(*action.format(name).split(), check=False)
        time.sleep(max(waits))


def counted(host: Host, metric: str) -> dict[str, Counter[str]]:
    """Unit → reason → number, of those above 0."""
    text = host.run(["curl", "-s", "127.0.0.1:10502/metrics"]).stdout
    found: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"badgateway_{metric}" and sample.value:
                of = found.setdefault(sample.labels["unit"].removesuffix(".service"), Counter())
                of[sample.labels["reason"]] += int(sample.value)
    return found


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    reason = refusal()
    if reason:
        unavailable(reason)
    with Host("reasons") as host:
        units(host)
        host.systemctl("start", "woken.socket", "badgateway")
        deadline = time.monotonic() + SECONDS
        while (
            "service_exits_total"
            not in host.run(["curl", "-s", "127.0.0.1:10502/metrics"], check=False).stdout
            and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        provoke(host)
        deadline = time.monotonic() + 4 * SECONDS
        while counted(host, "service_exits_total").get("loop", Counter())["start_limit"] < 1:
            assert time.monotonic() < deadline, host.journal("loop.service")
            time.sleep(0.3)
        time.sleep(1.5)
        yield host


@pytest.mark.parametrize("name", CASES)
def test_what_was_done_to_a_unit_is_what_is_counted(host: Host, name: str) -> None:
    case = CASES[name]
    exits = counted(host, "service_exits_total").get(name, Counter())
    restarts = counted(host, "service_restarts_total").get(name, Counter())
    assert (exits, restarts) == (Counter(case.exits), Counter(case.restarts)), host.journal(
        f"{name}.service", 30
    )


def told(host: Host, unit: str, message: str) -> int:
    """How many of systemd's messages of a kind are about a unit."""
    found = host.run(["journalctl", "-o", "cat", f"UNIT={unit}", f"MESSAGE_ID={message}"]).stdout
    return len(found.splitlines())


def test_reset_failed_and_reloads_lose_nothing_and_count_nothing(host: Host) -> None:
    def both() -> tuple[int, int]:
        counted_now = counted(host, "service_restarts_total").get("again", Counter())
        return counted_now.total(), told(host, "again.service", SCHEDULED)

    host.systemctl("start", "again")
    for command in ("reset-failed again", "daemon-reload", "reset-failed again", "daemon-reexec"):
        time.sleep(0.7)
        host.systemctl(*command.split())
    time.sleep(0.7)
    host.systemctl("stop", "again")
    time.sleep(1.2)
    ours, systemds = both()
    assert ours == systemds > 3
    restarts = counted(host, "service_restarts_total")["again"]
    exits = counted(host, "service_exits_total")["again"]
    assert restarts == Counter(exit_code=systemds)
    # it may have been stopped while it waited to be started again
    assert exits["exit_code"] == told(host, "again.service", EXITED)
    assert exits.total() - exits["exit_code"] <= 1
