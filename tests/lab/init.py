"""Builds a machine of its own out of namespaces and becomes its systemd.

Runs as a process of its own (``python -m tests.lab.init PLAN``, as root). PLAN is the JSON of
``Plan``. It prints the pid of the new PID 1 and lives as long as that. Its root filesystem is the
host's, laid under a layer in memory: everything may be written, nothing of it reaches the host.
Standard library only.
"""

from __future__ import annotations

import grp
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.lab import cgroups, kernel

TARGET: Final = "lab.target"

VISITORS: Final = "visitors"
"""The cgroup, below the machine's own, of processes that its systemd did not start."""

_EMPTIED: Final = (
    # The host's own services, mounts and start-up work have no place here: what runs is what
    # the lab names.
    "etc/systemd/system",
    "usr/lib/systemd/system-generators",
    *(
        f"usr/lib/systemd/system/{target}.target.wants"
        for target in (
            "basic", "graphical", "initrd", "local-fs", "multi-user", "network-online", "network",
            "rescue", "sockets", "sysinit", "timers",
        )
    ),
)  # fmt: skip
_FRESH: Final = ("run", "tmp", "var/tmp", "var/log", "var/lib/systemd", "var/cache")
"""Not the host's: its journal, its time stamps, what people left in /tmp."""
_STICKY: Final = ("tmp", "var/tmp")

_NOT_ADDED: Final = ("doc", "man", "lintian", "bug")
_BOUND_BYTES: Final = 1_000_000
"""Larger files of a package are shown by a mount instead of being copied into memory."""

# Capabilities that reach beyond namespaces: kernel modules, raw devices, clocks, kernel log,
# audit, the machine's own reboot. (linux/capability.h)
_DROPPED_CAPABILITIES: Final = (16, 17, 22, 25, 29, 30, 34, 35, 36, 37)

_DEVICES: Final = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}

_JOURNALD: Final = """\
[Journal]
Storage=volatile
Audit=no
ReadKMsg=no
ForwardToConsole=no
ForwardToWall=no
"""

_TARGET_UNIT: Final = """\
[Unit]
Description=The lab
Requires=basic.target
Wants=systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
Wants=dbus.socket dbus.service
AllowIsolate=yes
"""


@dataclass(frozen=True)
class Plan:
    """What the new machine is made of."""

    layers: list[str]
    """Unpacked packages whose files it has beside the host's."""
    shown: dict[str, str]
    """Folders of the host shown read-only at a place of the new machine (host → inside)."""
    readable: list[str]
    """Folders whose way every user must be able to walk (an interpreter below /root)."""
    group: str
    """The cgroup of the host that the machine lives in."""
    name: str
    """Its host name."""
    parent: int
    """The pid of the process it must not outlive."""

    def argument(self) -> str:
        """Return it as the command-line argument."""
        return json.dumps(asdict(self))


def _main() -> int:
    plan = Plan(**json.loads(sys.argv[1]))
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != plan.parent:  # gone before the kernel was told
        return 1
    Path(plan.group, "cgroup.procs").write_text(str(os.getpid()))
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWCGROUP
    )
    pid = os.fork()
    if pid == 0:
        kernel.die_with_parent(signal.SIGKILL)
        _become_systemd(plan)
    # Only the new systemd stays at the top: no controller is given to a cgroup's children while
    # the cgroup itself holds processes that systemd cannot move.
    cgroups.join(Path(plan.group, VISITORS), os.getpid())
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _become_systemd(plan: Plan) -> None:
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    root = _overlay([*plan.layers, *plan.shown, *plan.readable])
    for layer in plan.layers:
        _add(Path(layer), root)
    for folder in _EMPTIED:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    for folder in _FRESH:
        _memory(root / folder, sticky=folder in _STICKY)
    _kernel_filesystems(root)
    _devices(root / "dev")
    _files(root, plan)
    for source, inside in plan.shown.items():
        _show(source, root / inside.lstrip("/"))
        own = root / source.lstrip("/")
        if not own.is_dir() or not any(own.iterdir()):
            # below /tmp, or a filesystem of its own: what was installed there names that path
            _show(source, own)
    _open_ways(root, plan.readable)
    kernel.pivot_root(root)
    socket.sethostname(plan.name)
    subprocess.run(["systemd-sysusers"], check=True, stdout=subprocess.DEVNULL)
    _journal_folder()
    for number in _DROPPED_CAPABILITIES:
        kernel.drop_capability(number)
    os.setsid()
    with open("/dev/null", "r+b") as nowhere:
        os.dup2(nowhere.fileno(), 0)
        os.dup2(nowhere.fileno(), 1)
    environment = {"container": "lab", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}
    arguments = ["--system", f"--unit={TARGET}", "--log-target=journal", "--show-status=no"]
    os.execve("/usr/lib/systemd/systemd", ["systemd", *arguments], environment)


def _overlay(needed: list[str]) -> Path:
    """Lay memory over the host's root (and over its /usr where that is a mount of its own)."""
    # In this process' own mount table alone, and where it hides nothing that is needed later.
    base = next(
        place
        for place in (Path("/mnt"), Path("/media"), Path("/srv"), Path("/opt"))
        if place.is_dir() and not any(Path(path).is_relative_to(place) for path in needed)
    )
    kernel.mount("tmpfs", base, "tmpfs", options="size=4g,mode=755")
    root = base / "root"
    root.mkdir()
    for place in ("", "usr"):
        host = Path("/", place)
        if not place or host.is_mount():
            upper, work = base / f"upper-{place}", base / f"work-{place}"
            upper.mkdir(mode=0o755)
            work.mkdir()
            folders = f"lowerdir={host},upperdir={upper},workdir={work}"
            kernel.mount("overlay", root / place, "overlay", options=folders)
    return root


def _add(layer: Path, root: Path) -> None:
    """Put an unpacked package's files into ``root``."""
    # Not as a further layer of the overlay: it may lie on the host's root filesystem, and the
    # kernel refuses a layer inside another.
    for folder, folders, files in os.walk(layer):
        place = root / Path(folder).relative_to(layer)
        folders[:] = [name for name in folders if name not in _NOT_ADDED]
        place.mkdir(exist_ok=True)
        for name in files:
            source, target = Path(folder, name), place / name
            target.unlink(missing_ok=True)
            if source.is_symlink() or source.stat().st_size < _BOUND_BYTES:
                shutil.copy(source, target, follow_symlinks=False)
            else:
                target.touch()
                kernel.mount(str(source), target, flags=kernel.MS_BIND)


def _memory(folder: Path, *, sticky: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    options = f"mode={'1777' if sticky else '755'}"
    kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def _kernel_filesystems(root: Path) -> None:
    guarded = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", root / "proc", "proc", guarded)
    # The kernel's settings are the host's: look, don't touch.
    for name in ("sys", "sysrq-trigger"):
        place = root / "proc" / name
        if not place.exists():
            continue
        kernel.mount(str(place), place, flags=kernel.MS_BIND)
        kernel.mount("none", place, flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY)
    # Those of a network are each network's own: Docker sets some for its bridge.
    network = root / "proc/sys/net"
    kernel.mount(str(network), network, flags=kernel.MS_BIND)
    kernel.mount("none", network, flags=kernel.MS_REMOUNT | kernel.MS_BIND)
    kernel.mount("sysfs", root / "sys", "sysfs", guarded | kernel.MS_RDONLY)
    kernel.mount("cgroup2", root / "sys/fs/cgroup", "cgroup2", guarded)


def _devices(dev: Path) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", kernel.MS_NOSUID, "mode=755")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (dev / name).symlink_to(f"/proc/self/{target}")
    for name in ("shm", "pts", "mqueue"):
        (dev / name).mkdir()
    kernel.mount("tmpfs", dev / "shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    kernel.mount("devpts", dev / "pts", "devpts", options="newinstance,ptmxmode=0666,mode=620")
    (dev / "ptmx").symlink_to("pts/ptmx")


def _files(root: Path, plan: Plan) -> None:
    etc = root / "etc"
    for path, text in {
        "machine-id": f"{secrets.token_hex(16)}\n",
        "hostname": f"{plan.name}\n",
        "hosts": f"127.0.0.1 localhost {plan.name}\n",
        "fstab": "",
        "systemd/journald.conf": _JOURNALD,
        f"systemd/system/{TARGET}": _TARGET_UNIT,
    }.items():
        place = etc / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # a link would lead out of the new root
        place.write_text(text)
    (etc / "sysusers.d").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("sysusers.conf"), etc / "sysusers.d/lab.conf")


def _journal_folder() -> None:
    """Let the group systemd-journal read, as systemd-tmpfiles does on a whole machine."""
    folder = Path("/run/log/journal", Path("/etc/machine-id").read_text().strip())
    folder.mkdir(parents=True)
    for place in (folder.parent, folder):
        os.chown(place, 0, grp.getgrnam("systemd-journal").gr_gid)
        place.chmod(0o2755)


def _show(source: str, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    kernel.mount(source, place, flags=kernel.MS_BIND | kernel.MS_REC)
    again = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY
    kernel.mount("none", place, flags=again)


def _open_ways(root: Path, folders: list[str]) -> None:
    for folder in folders:
        for ancestor in [Path(folder), *Path(folder).parents][:-1]:
            place = root / str(ancestor).lstrip("/")
            if place.is_dir():
                place.chmod(place.stat().st_mode | 0o555)


if __name__ == "__main__":
    sys.exit(_main())
