"""A Docker daemon that goes away and comes back, and what is counted then."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.dockerlab import DockerLab
from tests.servers import ExporterProcess
from tests.test_docker_counting import EXITS, RESTARTS, config, settles, watching


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("watched", [True, False], ids=["watched", "exporter-away"])
def test_a_restart_of_the_daemon_is_one_restart_of_each_container(
    number: signal.Signals, watched: bool, tmp_path: Path
) -> None:
    with DockerLab() as lab:
        script = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
        always = lab.run("always", script, restart_policy={"Name": "always"})
        lab.run("never", script)
        with ExporterProcess(tmp_path, config(lab, "always", "never")) as exporter:
            exporter.wait_for("service_state", 1, unit="never", state="active")
            watching(exporter, "always", "never")
            if not watched:
                exporter.end(signal.SIGKILL)
            lab.restart(number)
            lab.wait_for(always, "running")
            if not watched:
                exporter.start()
            exporter.wait_for("source_up", 1, source="docker")
            settles(exporter, "always", {
                (EXITS, "daemon_restart"): 1, (RESTARTS, "daemon_restart"): 1,
            })  # fmt: skip
            settles(exporter, "never", {(EXITS, "daemon_restart"): 1})


def test_containers_that_outlive_their_daemon_are_not_restarted(tmp_path: Path) -> None:
    with DockerLab("--live-restore") as lab:
        lab.run("lives", "sleep 600", restart_policy={"Name": "always"})
        dies = lab.run("dies", "sleep 600", restart_policy={"Name": "always"})
        with ExporterProcess(tmp_path, config(lab, "lives", "dies")) as exporter:
            exporter.wait_for("service_state", 1, unit="dies", state="active")
            watching(exporter, "lives", "dies")
            pid = lab.client.inspect_container(dies)["State"]["Pid"]
            lab.stop()
            os.kill(pid, signal.SIGKILL)
            exporter.wait_for("source_up", 0, source="docker")
            exporter.wait_for("service_state", 1, unit="lives", state="unknown")
            lab.start()
            lab.wait_for(dies, "running")
            exporter.wait_for("source_up", 1, source="docker")
            settles(exporter, "lives", {})
            settles(exporter, "dies", {
                (EXITS, "daemon_restart"): 1, (RESTARTS, "daemon_restart"): 1,
            })  # fmt: skip
