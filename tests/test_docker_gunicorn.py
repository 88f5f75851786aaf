"""A real gunicorn in a real container: found, read, measured and counted."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from badgateway.packages import files
from badgateway.packages.roots import Root
from badgateway.topology.containers import applications as containers
from tests.dockerlab import DockerLab, labels
from tests.lab.parts import PartMissing
from tests.lab.require import unavailable
from tests.lab.wheels import wheelhouse
from tests.servers import ExporterProcess, free_port
from tests.test_docker_counting import EXITS, RESTARTS, settles, watching

APPLICATION = """
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(60)
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]
"""
_WHEELS = ("gunicorn", "packaging")


@pytest.fixture(scope="module")
def lab() -> Iterator[DockerLab]:
    with DockerLab() as found:
        yield found


@pytest.fixture(scope="module")
def project(lab: DockerLab) -> Path:
    """A folder with the application and gunicorn."""
    folder = lab.folder / "project"
    (folder / "site").mkdir(parents=True)
    (folder / "app.py").write_text(APPLICATION)
    try:
        wheels = wheelhouse()
    except PartMissing as missing:
        unavailable(str(missing))
    for name in _WHEELS:
        for wheel in wheels.glob(f"{name}-*.whl"):
            zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder


def gunicorn(lab: DockerLab, project: Path, name: str, script: str, **settings: object) -> str:
    """Run a script in a container that has this machine's Python."""
    binds = {str(project): "/srv/app", "/usr": "/usr"}
    binds |= {folder: folder for folder in ("/lib", "/lib64") if Path(folder).exists()}
    return lab.run(
        name, script, working_dir="/srv/app", environment={"PYTHONPATH": "/srv/app/site"},
        binds=[f"{host}:{inside}:ro" for host, inside in binds.items()], **settings,
    )  # fmt: skip


def test_it_is_found_and_its_worker_timeouts_restarts_and_memory_are_seen(
    lab: DockerLab, project: Path, tmp_path: Path
) -> None:
    port = free_port()
    options = f"-w 1 --timeout 1 --bind 127.0.0.1:{port} --no-control-socket"
    identifier = gunicorn(
        lab, project, "shop-web-1",
        f"sleep 1 && /usr/bin/python3 -m gunicorn {options} app:app; exit $?",
        labels=labels("shop", "web"), restart_policy={"Name": "always"},
        mem_limit="200m",
    )  # fmt: skip
    config = f"docker: {{host: '{lab.host}'}}\n"
    with ExporterProcess(tmp_path, config) as exporter:
        watching(exporter, "shop/web")
        exporter.wait_for("backend_info", 1, manager="docker", unit="shop/web", server="gunicorn")
        exporter.wait_for("upstream_listening", 1, upstream=f"127.0.0.1:{port}")
        exporter.wait_for("workers", 1, backend="shop/web")
        exporter.wait_for("memory_limit_bytes", 200 * 2**20, backend="shop/web")
        assert 2**20 < exporter.total("memory_bytes", backend="shop/web") < 200 * 2**20
        exporter.wait_for("source_up", 1, source="shop/web-container")
        document = lab.client.inspect_container(identifier)
        found = containers.container(document)
        assert (found.unit, found.shell_first, found.pauses) == ("shop/web", True, 1.0)
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/slow", timeout=10, trust_env=False)
        exporter.wait_for("worker_recycles_total", 1, reason="timeout", backend="shop/web")
        lab.client.restart(identifier, timeout=0)
        settles(exporter, "shop/web", {(EXITS, "stop_timeout"): 1, (RESTARTS, "manual"): 1})
        exporter.wait_for("workers", 1, backend="shop/web")
        exporter.wait_for("worker_recycles_total", 1, reason="timeout", backend="shop/web")


def test_an_application_that_does_not_load_is_a_boot_failure_of_its_container(
    lab: DockerLab, project: Path, tmp_path: Path
) -> None:
    config = f"docker: {{host: '{lab.host}'}}\n"
    with ExporterProcess(tmp_path, config) as exporter:
        exporter.wait_for("source_up", 1, source="docker")
        port = free_port()
        gunicorn(
            lab, project, "broken",
            f"exec /usr/bin/python3 -m gunicorn -w 1 --bind 127.0.0.1:{port} nothere:app",
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        )  # fmt: skip
        lab.wait_for("broken", "exited", 30)
        settles(exporter, "broken", {
            (EXITS, "boot_failure"): 3, (EXITS, "start_limit"): 1,
            (RESTARTS, "boot_failure"): 2,
        })  # fmt: skip


def test_the_files_of_a_running_container_are_read_as_it_sees_them(
    lab: DockerLab, project: Path
) -> None:
    script = "ln -s /etc/own /tmp/link; echo inside >/etc/own; ln -s /tmp/none /tmp/dead; sleep 600"
    identifier = gunicorn(lab, project, "files", script)
    found = containers.container(lab.wait_for(identifier, "running"))
    with files.seen_in(Root.of(found.root)):
        deadline = 100
        while not files.exists("/tmp/dead") and not files.lexists("/tmp/dead") and deadline:
            deadline -= 1
        assert files.read_text("/tmp/link") == "inside\n"
        assert files.realpath("/tmp/link") == "/etc/own"
        assert files.exists("/tmp/dead") is False
        assert files.exists("/etc/passwd") is False
        assert files.is_file("/srv/app/app.py")
        assert "app.py" in files.listdir("/srv/app")
    assert files.exists("/etc/passwd")
