"""A host with a real systemd, in private namespaces of this machine; needs root.

Everything the host writes stays in memory and goes with it: its root filesystem is the machine's
own, read through an overlay. It is killed by the kernel when the process that booted it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from tests.lab import bridge, cgroups, init, janitor, kernel, parts
from tests.lab.machine import Refused, Service

CHECKOUT_INSIDE: Final = "/opt/badgateway"
"""Where a host shows this checkout, read-only."""

_BOOT_SECONDS: Final = 30.0
_NEEDED: Final = ("systemd", "dbus")


class Host:
    """One booted host. A context manager; ``boot`` before anything else."""

    def __init__(self, name: str = "lab", packages: Sequence[str] = ()) -> None:
        """``packages``: Debian packages whose files the host has, beside those of the machine."""
        self.name = name
        self.systemd = True
        self._packages = packages
        self.cgroup = Path()
        """Its subtree of this machine's cgroup2 hierarchy, while it is booted."""
        self._launcher: subprocess.Popen[str] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def boot(self) -> None:
        """Boot it and wait until systemd has started; call from the main thread.

        Raises Refused where the machine lacks what it takes, PartMissing for a package.
        """
        reason = refusal()
        if reason:
            raise Refused(reason)
        layers = [str(parts.unpacked(name)) for name in (*_absent_packages(), *self._packages)]
        self.cgroup = cgroups.create(f"badgateway-{self.name}-{secrets.token_hex(4)}")
        self._janitor = janitor.start(group=self.cgroup)
        base = Path(sys.base_prefix)
        plan = init.Plan(
            layers=layers,
            shown={str(parts.CHECKOUT): CHECKOUT_INSIDE},
            readable=[] if base == Path("/usr") else [str(base)],
            group=str(self.cgroup),
            name=self.name,
            parent=os.getpid(),
        )
        self._launcher = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.init", plan.argument()],
            cwd=parts.CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._await_boot()
        except BaseException:
            self.stop()
            raise
        self.network = bridge.Network(self._pid)
        self._bridge = bridge.Bridge(self.network)

    def stop(self) -> None:
        """End every process of it and remove all it left; may be called twice."""
        if self._launcher is None:
            return
        with contextlib.suppress(AttributeError):  # not reached when the boot failed
            self._bridge.close()
            self.network.close()
        self._launcher.kill()
        self._launcher.communicate()
        self._launcher = None
        self._janitor.clean()

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
        environment: Mapping[str, str] | None = None,
        text: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as ``user`` (default root), with ``text`` as its input.

        Raises CalledProcessError when ``check`` and it fails, TimeoutExpired after ``timeout`` s.
        """
        as_user = ["runuser", "-u", user, "--"] if user else []
        return subprocess.run(
            self._inside([*as_user, *argv], environment or {}),
            input=text,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
            preexec_fn=self._join,
        )

    def open(self, argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a command inside and return it with its output to read; the child of it runs."""
        return subprocess.Popen(
            self._inside(argv, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=self._join,
        )

    def _inside(self, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        settings = [f"{name}={value}" for name, value in environment.items()]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8", "HOME=/root", *settings]
        entered = ["nsenter", "-t", str(self._pid), "-m", "-p", "-u", "-i", "-n", "-C"]
        return [*entered, *clean, *argv]

    def _join(self) -> None:
        """Put a child into the host's cgroup, beside those that its systemd makes."""
        cgroups.join(self.cgroup / init.VISITORS, os.getpid())

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside, with the folders it needs."""
        # By a process inside: a link would lead a path through /proc/PID/root out of the host.
        script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "-", path, f"{mode:o}"], text=text)

    def read(self, path: str) -> str:
        """Return the text of a file inside; raises CalledProcessError."""
        return self.run(["cat", path]).stdout

    def unit(self, name: str, text: str) -> None:
        """Write a unit file and have systemd read it."""
        self.write(f"/etc/systemd/system/{name}", text)
        self.systemctl("daemon-reload")

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """Run systemctl and return its output."""
        return self.run(["systemctl", "--no-pager", *arguments], check=check).stdout

    def journal(self, unit: str, lines: int = 20) -> str:
        """Return the end of a unit's journal."""
        arguments = ["--no-pager", "-o", "short-precise", "-n", str(lines), "-u", unit]
        return self.run(["journalctl", *arguments], check=False).stdout

    def forward(self, port: int) -> int:
        """Return the port of this machine's 127.0.0.1 that leads to ``port`` of the host's."""
        return self._bridge.forward(port)

    def place(self, path: str) -> str:
        """Return ``path``: the host has a root filesystem of its own."""
        return path

    def port(self, number: int) -> int:
        """Return ``number``: the host has a network of its own."""
        return number

    def start(self, service: Service) -> None:
        """Start a service by its unit; raises CalledProcessError."""
        if service.unit is not None:
            self.unit(f"{service.name}.service", service.unit)
        self.systemctl("start", service.name)

    def restart(self, name: str) -> None:
        """Restart a unit."""
        self.systemctl("restart", name)

    def pid(self, name: str) -> int:
        """Return the pid, inside, of a unit's main process; 0 when it has none."""
        return int(self.systemctl("show", "-P", "MainPID", f"{name}.service"))

    def outer_pid(self, name: str) -> int:
        """Return the pid of a unit's main process as this machine counts."""
        inner = str(self.pid(name))
        for process in psutil.Process(self._pid).children(recursive=True):
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                continue  # it has just ended
            numbers = re.search(r"^NSpid:\s+(.*)$", status, re.MULTILINE)
            if numbers and numbers[1].split()[-1] == inner:
                return int(process.pid)
        raise Refused(f"{name} runs no process")

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the end of a unit's journal."""
        return self.journal(f"{name}.service", lines)

    def _await_boot(self) -> None:
        assert self._launcher is not None
        assert self._launcher.stdout is not None
        said = self._launcher.stdout.readline().strip()
        if not said:
            raise Refused(f"no host could be made: {self._last_words()}")
        self._pid = int(said)
        deadline = time.monotonic() + _BOOT_SECONDS
        while self._state() != "active":
            if self._launcher.poll() is not None:
                raise Refused(f"systemd did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise Refused(f"systemd was not up after {_BOOT_SECONDS:.0f} s")
            time.sleep(0.1)

    def _state(self) -> str:
        return self.systemctl("is-active", init.TARGET, check=False).strip()

    def _last_words(self) -> str:
        assert self._launcher is not None
        _, words = self._launcher.communicate(timeout=10)
        return words.strip().rpartition("\n")[2] or "no reason given"


def refusal() -> str:
    """Return why this machine cannot boot a host, or an empty string."""
    if sys.platform != "linux":
        return "not Linux"
    if os.geteuid() != 0:
        return "not root"
    for tool in ("nsenter", "runuser"):
        if shutil.which(tool) is None:
            return f"no {tool} (Debian package util-linux)"
    closed = _closed_to_others()
    if closed:
        return f"{closed} is not readable by all users (chmod -R o+rX; the exporter is not root)"
    if cgroups.cgroup2_mount() is None:
        return "no writable cgroup2 hierarchy (as in a plain container)"
    trial = os.fork()
    if trial == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET)
            kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
            os._exit(0)
        except OSError:
            os._exit(1)
    _, status = os.waitpid(trial, 0)
    return "the kernel refuses new namespaces or mounts (as in a plain container)" if status else ""


def _closed_to_others() -> str:
    needed = (".", "exporter/badgateway", "alerts/rules.yml", ".venv/bin", ".venv/pyvenv.cfg")
    for path in needed:
        place = parts.CHECKOUT / path
        if place.exists() and not place.stat().st_mode & 0o004:
            return str(place)
    return ""


def _absent_packages() -> list[str]:
    """Return the Debian packages that this machine lacks to run systemd and its bus."""
    there = ("/usr/lib/systemd/systemd", "/usr/bin/dbus-daemon", "/usr/share/dbus-1/system.conf")
    if all(Path(path).exists() for path in there):
        return []
    try:
        said = subprocess.run(
            ["apt-get", "-q", "-s", "install", "--no-install-recommends", *_NEEDED],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise parts.PartMissing(
            f"systemd is not here and cannot be fetched ({error}); apt-get update may help"
        ) from error
    return re.findall(r"^Inst (\S+)", said, re.MULTILINE)
