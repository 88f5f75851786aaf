"""How the exporter reaches Docker, and what it says where it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockerlab import DockerLab
from tests.dockerproxy import READ_ONLY, proxy
from tests.servers import ExporterProcess
from tests.test_docker_counting import EXITS, RESTARTS, settles, watching


@pytest.fixture(scope="module")
def lab() -> Iterator[DockerLab]:
    with DockerLab() as found:
        yield found


def config(host: str, unit: str) -> str:
    return (
        f"docker: {{host: '{host}'}}\ndiscovery: {{enabled: false}}\n"
        "probes: {enabled: false}\n"
        f"backends: [{{name: web, container: {unit}}}]\n"
    )


def says(exporter: ExporterProcess, text: str) -> None:
    """Wait until its log says something."""
    deadline = time.monotonic() + 10
    while text not in exporter.log.read_text():
        assert time.monotonic() < deadline, exporter.log.read_text()
        time.sleep(0.05)


def test_a_proxy_that_lets_only_reading_through_is_enough(lab: DockerLab, tmp_path: Path) -> None:
    identifier = lab.run("proxied", "sleep 600", restart_policy={"Name": "always"})
    with (
        proxy(lab.folder, lab.socket) as (host, server),
        ExporterProcess(tmp_path, config(host, "proxied")) as exporter,
    ):
        watching(exporter, "proxied")
        os.kill(lab.client.inspect_container(identifier)["State"]["Pid"], 9)
        settles(exporter, "proxied", {(EXITS, "signal"): 1, (RESTARTS, "signal"): 1})
        assert server.refused == []
        assert all(line.startswith("GET ") for line in server.asked)


def test_without_events_containers_are_looked_at_and_it_is_said(
    lab: DockerLab, tmp_path: Path
) -> None:
    lab.run("polled", "sleep 600", restart_policy={"Name": "always"})
    allowed = [path for path in READ_ONLY if path != "/events"]
    with (
        proxy(lab.folder, lab.socket, allowed) as (host, _),
        ExporterProcess(tmp_path, config(host, "polled")) as exporter,
    ):
        watching(exporter, "polled")
        os.kill(lab.client.inspect_container("polled")["State"]["Pid"], 9)
        # of an end that was not seen nothing is left once the container runs again
        settles(exporter, "polled", {(EXITS, "unknown"): 1, (RESTARTS, "unknown"): 1})
        says(exporter, "no events: the socket proxy refuses /events")


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("unix:///nowhere/docker.sock", "no socket at /nowhere/docker.sock: Docker does not run"),
        ("tcp://127.0.0.1:1", "Docker does not run: the connection was refused"),
    ],
)
def test_a_daemon_that_is_not_there_is_said_with_what_helps(
    host: str, said: str, tmp_path: Path
) -> None:
    with ExporterProcess(tmp_path, config(host, "web")) as exporter:
        says(exporter, said)
        assert not exporter.total("source_up", source="docker")


def test_a_socket_that_may_not_be_used_says_what_would_be_enough(lab: DockerLab) -> None:
    lab.folder.chmod(0o755)
    own = lab.folder / "nobody"
    own.mkdir()
    own.chmod(0o777)
    wrapper = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with ExporterProcess(own, config(lab.host, "web"), wrapper=wrapper) as exporter:
        says(exporter, "a read-only socket proxy that allows GET /version")


def test_a_host_without_docker_is_no_broken_source(tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": "", "DOCKER_CONFIG": str(tmp_path)}
    if os.path.lexists("/var/run/docker.sock"):
        pytest.skip("this host has a Docker daemon")
    with ExporterProcess(tmp_path, environment=environment) as exporter:
        exporter.wait_for("collector_success", 1, collector="discovery")
        time.sleep(0.5)
        assert not [labels for _, labels in exporter.scrape() if ("source", "docker") in labels]
