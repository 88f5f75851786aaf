"""What happens to real containers, counted by a real exporter."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockerlab import DockerLab, labels
from tests.servers import ExporterProcess

RESTARTS = "service_restarts_total"
EXITS = "service_exits_total"


@pytest.fixture(scope="module")
def lab() -> Iterator[DockerLab]:
    with DockerLab() as found:
        yield found


def config(lab: DockerLab, *units: str) -> str:
    named = ", ".join(f"{{name: {unit.replace('/', '-')}, container: {unit}}}" for unit in units)
    return (
        f"docker: {{host: '{lab.host}'}}\nprobes: {{enabled: false}}\n"
        f"discovery: {{enabled: false}}\nbackends: [{named}]\n"
    )


def watching(exporter: ExporterProcess, *units: str) -> None:
    """Wait until it is known from where on the containers' starts and ends count."""
    wanted = {("badgateway_" + EXITS, unit) for unit in units}
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if wanted <= {(name, dict(given).get("unit")) for name, given in exporter.scrape()}:
            return
        time.sleep(0.1)
    raise AssertionError(exporter.log.read_text()[-2000:])


def counted(exporter: ExporterProcess, unit: str) -> dict[tuple[str, str], float]:
    """What is counted of a unit: (metric, reason) → number, without what is 0."""
    found = {}
    for (name, given), value in exporter.scrape().items():
        of = dict(given)
        metric = name.removeprefix("badgateway_")
        if metric in (RESTARTS, EXITS) and of["unit"] == unit and value:
            found[metric, of["reason"]] = value
    return found


def settles(exporter: ExporterProcess, unit: str, expected: dict[tuple[str, str], float]) -> None:
    """Wait until exactly this is counted of a unit, and see that it stays so."""
    deadline = time.monotonic() + 10
    while counted(exporter, unit) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    assert counted(exporter, unit) == expected, exporter.log.read_text()[-2000:]


def state(exporter: ExporterProcess, unit: str) -> str:
    return next(
        dict(given)["state"]
        for (name, given), value in exporter.scrape().items()
        if name == "badgateway_service_state" and value and dict(given)["unit"] == unit
    )


def test_each_end_and_start_has_its_reason(lab: DockerLab, tmp_path: Path) -> None:
    sleeps = {
        name: lab.run(name, "sleep 600", restart_policy={"Name": "always"})
        for name in ("stopped", "killed", "restarted", "stubborn", "outside", "paused")
    }
    polite = lab.run("polite", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
    ends = {name: lab.create(name, script) for name, script in (
        ("fails", "sleep 0.2; exit 7"), ("done", "sleep 0.2"), ("nocommand", "sleep 0.2; exit 127"),
    )}  # fmt: skip
    units = [*sleeps, "polite", *ends, "limited"]
    limited = lab.create(
        "limited",
        "sleep 0.2; exit 4",
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
    )
    with ExporterProcess(tmp_path, config(lab, *units)) as exporter:
        watching(exporter, *units)
        lab.client.stop(polite, timeout=5)
        lab.client.stop(sleeps["stopped"], timeout=1)
        lab.client.start(sleeps["stopped"])
        lab.client.kill(sleeps["killed"])
        lab.client.restart(sleeps["restarted"], timeout=0)
        pid = lab.client.inspect_container(sleeps["outside"])["State"]["Pid"]
        os.kill(pid, signal.SIGKILL)
        lab.client.pause(sleeps["paused"])
        for identifier in (*ends.values(), limited):
            lab.client.start(identifier)
        lab.wait_for(limited, "exited")
        settles(exporter, "polite", {(EXITS, "manual"): 1})
        settles(exporter, "stopped", {(EXITS, "stop_timeout"): 1, (RESTARTS, "manual"): 1})
        settles(exporter, "killed", {(EXITS, "killed"): 1})
        settles(exporter, "restarted", {(EXITS, "stop_timeout"): 1, (RESTARTS, "manual"): 1})
        settles(exporter, "outside", {(EXITS, "signal"): 1, (RESTARTS, "signal"): 1})
        settles(exporter, "paused", {})
        settles(exporter, "fails", {(EXITS, "exit_code"): 1})
        settles(exporter, "done", {(EXITS, "clean_exit"): 1})
        settles(exporter, "nocommand", {(EXITS, "exec_failed"): 1})
        settles(exporter, "limited", {
            (EXITS, "exit_code"): 3, (EXITS, "start_limit"): 1, (RESTARTS, "exit_code"): 2,
        })  # fmt: skip
        states = {unit: state(exporter, unit) for unit in units}
        assert states == {
            "stopped": "active", "killed": "inactive", "restarted": "active", "stubborn": "active",
            "outside": "active", "paused": "paused", "polite": "inactive", "fails": "failed",
            "done": "inactive", "nocommand": "failed", "limited": "failed",
        }  # fmt: skip


def test_a_crash_loop_is_counted_to_the_last_start_over_kills_of_the_exporter(
    lab: DockerLab, tmp_path: Path
) -> None:
    identifier = lab.create(
        "loop", "sleep 0.05; exit 3",
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 6},
    )  # fmt: skip
    with ExporterProcess(tmp_path, config(lab, "loop")) as exporter:
        watching(exporter, "loop")
        lab.client.start(identifier)
        for pause in (0.9, 0.6, 1.5):
            time.sleep(pause)
            exporter.end(signal.SIGKILL)
            time.sleep(0.3)
            exporter.start()
        lab.wait_for(identifier, "exited", 20)
        settles(exporter, "loop", {
            (EXITS, "exit_code"): 7, (EXITS, "start_limit"): 1, (RESTARTS, "exit_code"): 6,
        })  # fmt: skip


def test_a_recreated_service_keeps_its_identity(lab: DockerLab, tmp_path: Path) -> None:
    with ExporterProcess(tmp_path, config(lab, "shop/web")) as exporter:
        old = lab.run("shop-web-1", "sleep 600", labels=labels("shop", "web"))
        exporter.wait_for("service_state", 1, unit="shop/web", state="active")
        watching(exporter, "shop/web")
        lab.client.rename(old, f"{old[:12]}_shop-web-1")
        lab.client.stop(old, timeout=0)
        lab.client.remove_container(old)
        new = lab.run("shop-web-1", "sleep 600", labels=labels("shop", "web"))
        settles(exporter, "shop/web", {(EXITS, "stop_timeout"): 1, (RESTARTS, "recreated"): 1})
        exporter.end(signal.SIGKILL)
        lab.client.remove_container(new, force=True)
        lab.run("shop-web-1", "sleep 600", labels=labels("shop", "web"))
        exporter.start()
        settles(exporter, "shop/web", {
            (EXITS, "stop_timeout"): 1, (EXITS, "killed"): 1, (RESTARTS, "recreated"): 2,
        })  # fmt: skip


def test_a_child_killed_for_memory_leaves_its_container_and_is_known(
    lab: DockerLab, tmp_path: Path
) -> None:
    hungry = "s=x; while :; do s=$s$s; done"
    child = lab.create(
        "child", f"sh -c '{hungry}'; sleep 600", mem_limit="16m", memswap_limit="16m"
    )
    first = lab.create("first", f"exec sh -c '{hungry}'", mem_limit="16m", memswap_limit="16m")
    with ExporterProcess(tmp_path, config(lab, "child", "first")) as exporter:
        watching(exporter, "child", "first")
        lab.client.start(child)
        lab.client.start(first)
        lab.wait_for(first, "exited")
        settles(exporter, "first", {(EXITS, "oom"): 1})
        settles(exporter, "child", {})
        exporter.wait_for("memory_limit_bytes", 16 * 2**20, backend="child")


def test_a_container_that_is_gone_is_not_found_and_a_renamed_one_goes_on(
    lab: DockerLab, tmp_path: Path
) -> None:
    lab.run("vanishing", "sleep 600")
    with ExporterProcess(tmp_path, config(lab, "vanishing", "newname")) as exporter:
        watching(exporter, "vanishing")
        lab.client.rename("vanishing", "newname")
        exporter.wait_for("service_state", 1, unit="newname", state="active")
        lab.client.remove_container("newname", force=True)
        exporter.wait_for("service_state", 1, unit="newname", state="not_found")
        settles(exporter, "newname", {(EXITS, "killed"): 1})
        settles(exporter, "vanishing", {})


def test_a_service_runs_as_long_as_one_of_its_replicas_does(lab: DockerLab, tmp_path: Path) -> None:
    replicas = [
        lab.run(f"shop-two-{n}", "sleep 600", labels=labels("shop", "two", n)) for n in (1, 2)
    ]
    with ExporterProcess(tmp_path, config(lab, "shop/two")) as exporter:
        watching(exporter, "shop/two")
        lab.client.kill(replicas[0])
        settles(exporter, "shop/two", {(EXITS, "killed"): 1})
        assert state(exporter, "shop/two") == "active"
        lab.client.kill(replicas[1])
        exporter.wait_for("service_state", 1, unit="shop/two", state="inactive")


def test_the_exporter_ends_at_once_while_containers_are_watched(
    lab: DockerLab, tmp_path: Path
) -> None:
    lab.run("ending", "sleep 600")
    with ExporterProcess(tmp_path, config(lab, "ending")) as exporter:
        watching(exporter, "ending")
        begun = time.monotonic()
        assert exporter.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 3
