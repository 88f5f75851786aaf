"""Proxies among the processes of this host, whoever started them (proc(5)).

An nginx is known by its program and by the title that its master gives itself
(``ngx_setproctitle``); one without a master (``master_process off``) is not found. Only read, never
run. Everything here may block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway.sources import cgroupnames, proctree
from badgateway.topology.proxies import options as proxy_options

_MASTER: Final = "nginx: master process "
_LEVELS: Final = 30
"""Processes above one that are looked at."""


@dataclass(frozen=True, slots=True)
class ProxyProcess:
    """The first process of a proxy.

    Attributes:
        pid: as this host numbers it.
        kind: ``nginx`` or ``caddy``.
        words: its command line, the program first.
        folder: its working directory; empty where that cannot be seen.
        program: the program's path, as the process sees it; empty where that cannot be seen.
        container: the id of the container it runs in, as far as its control group tells.
        unit: the systemd unit it belongs to, as far as its control group tells.
        is_inside: whether it runs in a container: it has another pid there.
        above: the pids of the processes above it, the nearest first.
        is_claimed: whether nothing but its own title says that it is one.
    """

    pid: int
    kind: str
    words: tuple[str, ...]
    folder: str = ""
    program: str = ""
    container: str = ""
    unit: str = ""
    is_inside: bool = False
    above: tuple[int, ...] = ()
    is_claimed: bool = False


def masters() -> tuple[ProxyProcess, ...]:
    """Return the proxies that run, and those that claim to be one, in the order of their pids."""
    found: dict[int, ProxyProcess] = {}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        kind = kind_of(_first_line(pid, "comm"))
        if kind and (process := _master(pid, kind)) is not None:
            found[pid] = process
    # a new program that takes over (USR2) is begun by the old one
    return tuple(process for process in found.values() if not set(process.above[:1]) & set(found))


def _master(pid: int, kind: str) -> ProxyProcess | None:
    words = _words(proctree.command(pid), kind)
    program = _link(pid, "exe").removesuffix(" (deleted)")
    status = _status(pid)
    if not words or (program and kind_of(os.path.basename(program)) != kind):
        return None
    # not ours to look at: anybody may call a process so, but for root
    is_claimed = not program and status.get("Uid", "1").split()[0] != "0"
    above = tuple(_above(status))
    group = cgroupnames.of_process(pid)
    container = cgroupnames.container_of(group)
    return ProxyProcess(
        pid, kind, words, _link(pid, "cwd"), program, container,
        "" if container else cgroupnames.unit_of(group),
        len(status.get("NSpid", "").split()) > 1, above, is_claimed,
    )  # fmt: skip


def _words(command: bytes, kind: str) -> tuple[str, ...]:
    """The words of a proxy's first process; none of another process of it."""
    text = command.rstrip(b"\0 ").decode("utf-8", "replace")
    if kind == "nginx":
        return tuple(text.removeprefix(_MASTER).split()) if text.startswith(_MASTER) else ()
    words = tuple(text.split("\0"))
    return words if words[1:2] == ("run",) else ()


def kind_of(name: str) -> str:
    """Return which proxy a program of this name is; empty for none."""
    if name == "caddy":
        return "caddy"
    return "nginx" if name in proxy_options.NGINX else ""


def _above(status: Mapping[str, str]) -> Iterator[int]:
    for _ in range(_LEVELS):
        parent = status.get("PPid", "0")
        if not parent.isdigit() or parent == "0":
            return
        yield int(parent)
        status = _status(int(parent))


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _first_line(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""
