"""A machine of plain processes in restart loops, where no systemd can be booted.

Its files lie in a folder under the checkout's ``.lab/``, its servers listen on free ports of this
machine's loopback. Everything ends with the process that made it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from tests.lab import janitor, kernel, parts
from tests.lab.bridge import Network
from tests.lab.machine import Service

_RESTART_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 5.0


class PlainHost:
    """Services as child processes. A context manager."""

    def __init__(self, name: str = "plain") -> None:
        """Make its folder; nothing runs yet."""
        self.name = name
        self.systemd = False
        self.network = Network()
        self._mark = secrets.token_hex(8)
        self._folder = parts.LAB / "runs" / self._mark
        (self._folder / "tmp").mkdir(parents=True)
        self._janitor: janitor.Janitor | None = janitor.start(mark=self._mark, folder=self._folder)
        self._ports: dict[int, int] = {}
        self._loops: dict[str, _RestartLoop] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def place(self, path: str) -> str:
        """Return where ``path`` lies in the work folder."""
        return str(self._folder / path.lstrip("/"))

    def port(self, number: int) -> int:
        """Return a free port that stands for ``number`` from now on."""
        if number not in self._ports:
            with socket.socket() as trial:
                trial.bind(("127.0.0.1", 0))
                self._ports[number] = int(trial.getsockname()[1])
        return self._ports[number]

    def forward(self, port: int) -> int:
        """Return the port itself: the network is this machine's."""
        return self.port(port)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, with the folders it needs."""
        place = Path(self.place(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def read(self, path: str) -> str:
        """Return the text of a file; raises OSError."""
        return Path(self.place(path)).read_text(errors="replace")

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
        """Run a command with ``text`` as its input; there is one user here, and no other.

        Raises CalledProcessError when ``check`` and it fails, TimeoutExpired after ``timeout`` s.
        """
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
            cwd=self._folder,
            env=self._environment(environment or {}),
        )

    def start(self, service: Service) -> None:
        """Start a service and keep starting it."""
        log = Path(self.place(f"/var/log/{service.name}.log"))
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = self._environment(service.environment)
        self._loops[service.name] = _RestartLoop(service, environment, log)

    def restart(self, name: str) -> None:
        """Stop a service's process; the loop starts it anew at once."""
        self._loops[name].restart()

    def pid(self, name: str) -> int:
        """Return the pid of a service's process; 0 when it has none."""
        return self._loops[name].pid()

    def tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a service's log file."""
        with contextlib.suppress(OSError):
            return "\n".join(self.read(f"/var/log/{name}.log").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """End every process and remove the work folder; may be called twice."""
        if self._janitor is None:
            return
        for loop in self._loops.values():
            loop.stop()
        cleaner, self._janitor = self._janitor, None
        cleaner.clean()

    def _environment(self, added: Mapping[str, str]) -> dict[str, str]:
        path = "/usr/local/bin:/usr/bin:/bin"
        home, temporary = str(self._folder), self.place("/tmp")
        base = {"PATH": path, "LANG": "C.UTF-8", "HOME": home, "TMPDIR": temporary}
        return {**base, **added, janitor.MARK: self._mark}


class _RestartLoop:
    """Runs one service in a thread, again and again."""

    def __init__(self, service: Service, environment: dict[str, str], log: Path) -> None:
        self._service = service
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._wanted = threading.Event()
        self._output: IO[bytes] = log.open("ab")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def pid(self) -> int:
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def restart(self) -> None:
        self._wanted.set()
        self._end_process()

    def stop(self) -> None:
        self._ended.set()
        self._wanted.set()
        self._end_process()
        self._thread.join()
        self._output.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wanted.clear()
            self._process = subprocess.Popen(
                self._service.command,
                cwd=self._service.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_us,  # with this thread, which lives as long as we do
            )
            self._process.wait()
            self._wanted.wait(_RESTART_SECONDS)

    def _end_process(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _die_with_us() -> None:
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() == 1:  # we were gone before the kernel was told
        os._exit(1)
