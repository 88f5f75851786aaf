"""A Docker daemon of the test's own, with its own socket and data; needs root."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import psutil
import requests
from docker.errors import DockerException

from tests.lab import parts
from tests.lab.require import unavailable

_PACKAGES = ("docker.io", "containerd", "runc")
_START_SECONDS = 30.0
IMAGE = "lab"


class DockerLab:
    """One daemon; a context manager. Its containers have no network of their own."""

    def __init__(self, *flags: str) -> None:
        """``flags``: further options of dockerd, such as ``--live-restore``."""
        if os.geteuid():
            unavailable("root is needed to run a Docker daemon")
        try:
            folders = [parts.unpacked(package) for package in _PACKAGES]
            self._busybox = parts.unpacked("busybox-static")
        except parts.PartMissing as missing:
            unavailable(str(missing))
        own = [str(folder / place) for folder in folders for place in ("usr/bin", "usr/sbin")]
        self._path = ":".join([*own, os.environ.get("PATH", "")])
        self._dockerd = folders[0] / "usr/sbin/dockerd"
        self._flags = flags
        self.folder = Path(tempfile.mkdtemp(prefix="dockerlab-"))
        self.socket = self.folder / "d.sock"
        self.host = f"unix://{self.socket}"
        self.log = self.folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DockerLab:
        try:
            self.start()
            self._import()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        command = [
            str(self._dockerd), "--host", self.host, "--data-root", str(self.folder / "data"),
            "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
            "--storage-driver", "vfs", "--iptables=false", "--bridge=none", *self._flags,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PATH": self._path}, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(DockerException, OSError):
                self.client = docker.APIClient(self.host, version="1.41", timeout=30)
                self.client.ping()
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        unavailable(f"no Docker daemon can be run here:\n{self.log.read_text()[-2000:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the daemon; its containers go with it unless they are kept alive."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)
        if number == signal.SIGKILL:
            self._end(lambda words: "containerd" in os.path.basename(words[0]), shims=False)
            # a machine whose first process reaps nobody shows the dead one as alive
            (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def restart(self, number: int = signal.SIGTERM) -> None:
        """End the daemon and start another."""
        self.stop(number)
        self.start()

    def create(self, name: str, script: str, **settings: Any) -> str:
        """Create a container that runs a shell script; return its id.

        Args:
            name: its name.
            script: for ``sh -c``.
            settings: ``labels``, ``tty``, ``environment``, ``working_dir``, ``healthcheck``, and
                whatever the host configuration knows.
        """
        settings.setdefault("stop_timeout", 1)  # a daemon that goes down waits for each
        own = (
            "stop_timeout",
            "labels",
            "tty",
            "environment",
            "working_dir",
            "healthcheck",
            "entrypoint",
        )
        given = {key: settings.pop(key) for key in own if key in settings}
        command = settings.pop("command", ["sh", "-c", script])
        host = self.client.create_host_config(network_mode="host", **settings)
        made = self.client.create_container(IMAGE, command, name=name, host_config=host, **given)
        return str(made["Id"])

    def run(self, name: str, script: str, **settings: Any) -> str:
        """Create and start a container; return its id."""
        identifier = self.create(name, script, **settings)
        self.client.start(identifier)
        return identifier

    def wait_for(self, identifier: str, status: str, seconds: float = 15.0) -> Mapping[str, Any]:
        """Wait until a container has a status; return its description."""
        deadline = time.monotonic() + seconds
        while True:
            document: Mapping[str, Any] = self.client.inspect_container(identifier)
            if document["State"]["Status"] == status:
                return document
            assert time.monotonic() < deadline, document["State"]
            time.sleep(0.05)

    def close(self) -> None:
        """End everything and remove it."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(DockerException, requests.RequestException, OSError):
                for row in self.client.containers(all=True):
                    self.client.remove_container(row["Id"], force=True)
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._end(lambda _: True, shims=True)
        for place in _mounts(self.folder):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, is_meant: Any, shims: bool) -> None:
        """End processes that name this daemon's folder on their command line, by their pids."""
        ended = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or [""]
            if process.pid == os.getpid() or not any(str(self.folder) in word for word in words):
                continue
            is_shim = "shim" in os.path.basename(words[0])
            if is_meant(words) and (shims or not is_shim):
                below = process.children(recursive=True) if is_shim else []
                for one in (*below, process):
                    with contextlib.suppress(psutil.Error):
                        one.kill()
                        ended.append(one)
        psutil.wait_procs(ended, timeout=10)

    def _import(self) -> None:
        """Make the image: busybox and its names."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(self._busybox / "usr/bin/busybox", "bin/busybox")
            for name in ("sh", "sleep", "echo", "cat", "kill", "ls", "seq", "yes", "tail"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
            for folder in ("tmp", "proc", "dev", "sys", "etc"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
        answer = self.client.import_image_from_data(data.getvalue(), repository=IMAGE, tag="latest")
        assert "error" not in json.loads(str(answer).splitlines()[-1]), answer


def labels(project: str, service: str, number: int = 1, **further: str) -> dict[str, str]:
    """Return the labels that Compose gives a container."""
    prefix = "com.docker.compose."
    return {
        prefix + "project": project,
        prefix + "service": service,
        prefix + "container-number": str(number),
        prefix + "oneoff": "False",
        **{prefix + name.replace("__", "."): value for name, value in further.items()},
    }


def _mounts(folder: Path) -> Sequence[str]:
    """What is mounted below a folder, the deepest first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((p for p in places if p.startswith(f"{folder}/")), key=len, reverse=True)


@contextlib.contextmanager
def lab(*flags: str) -> Iterator[DockerLab]:
    """A daemon that lives while the context lasts."""
    with DockerLab(*flags) as found:
        yield found
