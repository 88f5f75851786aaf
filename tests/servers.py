"""The exporter as a process of its own, and scraping it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, tuple[tuple[str, str], ...]]


def free_port() -> int:
    """Return a loopback port that was free a moment ago.

    Each worker of the suite has ports of its own, none of which the kernel gives to clients: what
    is free now is free until its server is started.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 3
    while True:
        port = 20_000 + 4_000 * number + secrets.randbelow(4_000)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody has it
            return port


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Let a server of the test's own serve while the context lasts; yields its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class ExporterProcess:
    """`badgateway serve` on a port of its own; a context manager."""

    def __init__(
        self,
        directory: Path,
        config: str = "",
        port: int | None = None,
        flags: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``wrapper`` is a command that becomes the exporter, such as ``unshare -m``."""
        self.directory = directory
        self._flags, self._wrapper = flags, wrapper
        self._environment = dict(environment or {})
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "exporter.log"
        self._config = directory / "badgateway.yml"
        self._config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ExporterProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def start(self, wait: float = 15.0) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._wrapper, sys.executable, "-m", "badgateway", "serve",
                    f"--config.file={self._config}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    f"--storage.path={self.directory / 'state'}", *self._flags,
                ],
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self._environment},
            )  # fmt: skip
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/-/healthy", trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the exporter does not answer:\n{self.log.read_text()}")

    @property
    def pid(self) -> int:
        """Its pid."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: int = signal.SIGTERM, wait: float = 10.0) -> int:
        """Send a signal and return the exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        status = self._process.wait(wait)
        self._process = None
        return status

    def scrape(self) -> dict[Series, float]:
        """Return every sample of one scrape.

        Raises:
            httpx.HTTPError: it does not answer now.
        """
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=5).text
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the series of a metric that bear these labels."""
        return sum(
            value
            for (metric, found), value in self.scrape().items()
            if metric == f"badgateway_{name}" and labels.items() <= dict(found).items()
        )

    def wait_for(self, name: str, value: float, seconds: float = 15.0, **labels: str) -> float:
        """Wait until the sum is ``value``; return how long it took.

        Raises:
            AssertionError: it was not within ``seconds``.
        """
        begun = time.monotonic()
        found = float("nan")
        while time.monotonic() - begun < seconds:
            found = self.total(name, **labels)
            if found == value:
                return time.monotonic() - begun
            time.sleep(0.05)
        raise AssertionError(
            f"{name}{labels} is {found}, not {value}, after {seconds} s\n{self.log.read_text()}"
        )


def is_counter(series: Series) -> bool:
    """Whether a series must never step back."""
    return series[0].startswith("badgateway_") and series[0].endswith("_total")
