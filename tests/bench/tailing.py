"""What it costs to follow files in which nothing happens.

``python -m tests.bench.tailing [--files N] [--seconds N]``. Three processes run side by side: an
exporter that follows the files, one that follows none, and mtail that follows them too.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from tests.bench.contestants import cpu, program
from tests.lab import parts
from tests.servers import ExporterProcess, free_port

_SETTLE_SECONDS: Final = 10.0
_CONFIG: Final = """
discovery: {{enabled: false}}
probes: {{default: false}}
proxies:
  - name: web
    kind: nginx
    config: {folder}/nginx.conf
    logs: {logs}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench-tail", description=__doc__)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as name:
        folder = Path(name)
        for number in range(given.files):
            (folder / f"access-{number}.log").write_text("")
        (folder / "nginx.conf").write_text("events {} http { access_log off; }")
        followed = _exporter(folder / "followed", folder, f"[{{file: {folder}/access-*.log}}]")
        alone = _exporter(folder / "alone", folder, "[]")
        with followed as many, alone as none, _Mtail(folder) as peer:
            for number in range(given.files):
                source = "web-log" if not number else f"web-log-{number + 1}"
                many.wait_for("source_up", 1, source=source)
            time.sleep(_SETTLE_SECONDS)
            processes = [psutil.Process(pid) for pid in (many.pid, none.pid, peer)]
            before = [cpu(process) for process in processes]
            time.sleep(given.seconds)
            shares = [
                (cpu(process) - begun) / given.seconds * 100
                for process, begun in zip(processes, before, strict=True)
            ]
    print(f"{given.files} quiet files for {given.seconds:.0f} s, in percent of a core:")
    print(f"  badgateway following them  {shares[0]:6.2f}")
    print(f"  badgateway following none  {shares[1]:6.2f}")
    print(f"  the files alone            {shares[0] - shares[1]:6.2f}")
    print(f"  mtail following them       {shares[2]:6.2f}")
    return 0


def _exporter(place: Path, folder: Path, logs: str) -> ExporterProcess:
    place.mkdir()
    return ExporterProcess(place, _CONFIG.format(folder=folder, logs=logs))


class _Mtail:
    """mtail following the files; a context manager that gives its pid."""

    def __init__(self, folder: Path) -> None:
        programs = folder / "mtail"
        programs.mkdir()
        shutil.copy(program("nginx-access"), programs)
        self._command = [
            str(parts.binary("mtail")), "--address", "127.0.0.1", "--port", str(free_port()),
            "--progs", str(programs), "--logs", f"{folder}/access-*.log",
        ]  # fmt: skip

    def __enter__(self) -> int:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
