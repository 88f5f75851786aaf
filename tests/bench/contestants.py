"""Who is measured: badgateway as it is served, mtail with a program that counts the same, grep."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from tests.bench.samples import LOG_FORMAT, SITES, UPSTREAMS
from tests.lab import parts
from tests.servers import ExporterProcess, free_port

_DEADLINE: Final = 120.0
_LINES: Final = "badgateway_log_lines_total"

_NGINX: Final = """
events {{}}
http {{
  log_format bench '{log_format}';
  access_log {folder}/nginx-access.log bench;
  error_log {folder}/nginx-errors.log;
  {servers}
}}
"""

_CONFIG: Final = """
discovery: {{enabled: false}}
probes: {{default: false}}
proxies:
  - {{name: nginx, kind: nginx, config: {folder}/nginx.conf}}
  - {{name: caddy, kind: caddy, admin: "", config: {folder}/caddy.json,
      logs: [{{file: {folder}/caddy-access.log}}]}}
"""

_PROGRAMS: Final = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Effort:
    """What reading a log took.

    Attributes:
        seconds: from the first byte to the last line counted.
        cpu: seconds of processor time.
        grown: MiB by which the process' peak memory grew; 0 for one that ends.
    """

    seconds: float
    cpu: float
    grown: float


def grep(folder: Path, log: Path) -> Effort:
    """Count a log's lines that hold a digit: the floor, one pass over the bytes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    # into a pipe: grep that writes to nowhere stops at the first match
    subprocess.run(["grep", "-c", "1", str(log)], check=True, stdout=subprocess.PIPE)
    seconds = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Effort(seconds, cpu, 0.0)


def badgateway(folder: Path, log: Path, lines: int) -> Effort:
    """Let a running exporter read a log that appears in its file, and count it."""
    folder.mkdir()
    _configure(folder)
    target = folder / log.name
    source = f"{'caddy' if 'caddy' in log.name else 'nginx'}-log"
    with ExporterProcess(folder, _CONFIG.format(folder=folder)) as exporter:
        names = {"nginx-errors.log": "nginx-log", "nginx-access.log": "nginx-log-2"}
        source = names.get(log.name, source)
        series = (_LINES, (("result", "event"), ("source", source)))
        # new series are shown as 0 to one whole scrape: that is over before it is measured
        _until(lambda: series in exporter.scrape(), exporter.log)
        time.sleep(1.0)
        exporter.scrape()

        def counted() -> float:
            series = f'{_LINES}{{result="event",source="{source}"'
            return _sum(f"{exporter.url}/metrics?name[]={_LINES}", series)

        return _timed(exporter.pid, log, target, counted, lines)


def mtail(folder: Path, log: Path, lines: int) -> Effort:
    """Let a running mtail read a log that appears in its file, and count it."""
    folder.mkdir()
    target, port = folder / log.name, free_port()
    target.touch()
    shutil.copy(program(log.stem), folder)
    name = "failures_total" if log.stem == "nginx-errors" else "responses_total"
    with (folder / "mtail.log").open("wb") as words:
        process = subprocess.Popen(
            [
                parts.binary("mtail"), "--address", "127.0.0.1", "--port", str(port),
                "--progs", str(folder), "--logs", str(target), "--logtostderr",
            ],
            stdout=words, stderr=words,
        )  # fmt: skip
    try:

        def counted() -> float:
            return _sum(f"http://127.0.0.1:{port}/metrics", f"{name}{{")

        _until(lambda: _answers(counted), folder / "mtail.log")
        return _timed(process.pid, log, target, counted, lines)
    finally:
        process.terminate()
        process.wait(10)


def _sum(url: str, begins: str) -> float:
    """Sum the samples whose lines begin so."""
    rows = httpx.get(url, trust_env=False, timeout=10).text.splitlines()
    return sum(float(row.rpartition(" ")[2]) for row in rows if row.startswith(begins))


def program(log: str) -> Path:
    """Return the mtail program that counts what badgateway counts of a log."""
    return _PROGRAMS / f"{log}.mtail"


def _configure(folder: Path) -> None:
    servers = "".join(
        f"server {{ server_name {site}; location / {{ proxy_pass http://{upstream}; }} }}\n"
        for site, upstream in zip(SITES, UPSTREAMS, strict=True)
    )
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, log_format=LOG_FORMAT, servers=servers)
    )
    routes = [
        {
            "match": [{"host": [site]}],
            "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": upstream}]}],
        }
        for site, upstream in zip(SITES, UPSTREAMS, strict=True)
    ]
    document = {"apps": {"http": {"servers": {"s": {"listen": [":80"], "routes": routes}}}}}
    (folder / "caddy.json").write_text(json.dumps(document))
    for name in ("nginx-access.log", "nginx-errors.log", "caddy-access.log"):
        (folder / name).touch()


def _timed(pid: int, log: Path, target: Path, counted: Callable[[], float], lines: int) -> Effort:
    process = psutil.Process(pid)
    peak, spent, begun = _peak(pid), cpu(process), time.monotonic()
    _fill(log, target)
    _until(lambda: counted() >= lines, target, pause=0.25)
    seconds = time.monotonic() - begun
    found = counted()
    if found != lines:
        raise AssertionError(f"{found} of {lines} lines were counted")
    return Effort(seconds, cpu(process) - spent, _peak(pid) - peak)


def _fill(log: Path, target: Path) -> None:
    """Let a log's bytes come into the file that is followed, as fast as the disk takes them."""
    with log.open("rb") as given, target.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        while os.sendfile(file.fileno(), given.fileno(), None, 1 << 24):
            pass


def _answers(counted: Callable[[], float]) -> bool:
    try:
        counted()
    except httpx.HTTPError:
        return False
    return True


def _until(fits: Callable[[], bool], told: Path, pause: float = 0.05) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not fits():
        if time.monotonic() > deadline:
            raise AssertionError(f"not done after {_DEADLINE:.0f} s; see {told}")
        time.sleep(pause)


def cpu(process: psutil.Process) -> float:
    """Return the processor time a process has spent, seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak(pid: int) -> float:
    """A process' peak memory so far, MiB (``VmHWM`` of proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
