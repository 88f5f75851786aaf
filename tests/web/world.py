"""Certificates, users and a served exporter for the tests of the HTTP side."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import bcrypt

from tests.lab.require import unavailable

FIXTURES = Path(__file__).parent / "webconfig"
QUIET = "discovery: {enabled: false}\nprobes: {enabled: false}\n"
PASSWORDS = {"alice": "alice123", "bob": "bob:with:colons ü"}


@cache
def hashed(user: str, rounds: int = 4) -> str:
    """Return the bcrypt hash of a user's password, written as htpasswd writes it."""
    made = bcrypt.hashpw(PASSWORDS[user].encode(), bcrypt.gensalt(rounds)).decode()
    return made.replace("$2b$", "$2y$", 1)


def make_certificates(directory: Path) -> None:
    """Write server and client certificates, each signed by itself, and their keys."""
    for name, names in (
        ("server", "DNS:localhost,IP:127.0.0.1,IP:::1"),
        ("client", "DNS:client.example,email:ops@client.example,URI:spiffe://x/y,IP:::1"),
        ("stranger", "DNS:stranger.example"),
    ):
        _openssl(
            directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
            "-keyout", f"{name}.key", "-out", f"{name}.crt",
        )  # fmt: skip
    _openssl(
        directory, "rsa", "-aes128", "-passout", "pass:secret", "-in", "server.key",
        "-out", "encrypted.key",
    )  # fmt: skip


def _openssl(directory: Path, *words: str) -> None:
    try:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
    except FileNotFoundError:
        unavailable("openssl is not installed")


def place(fixture: Path, directory: Path, name: str = "web.yml") -> Path:
    """Write a fixture into ``directory``, with its placeholders filled in.

    ``{FILE}`` alone on a line is that file's content, ``{hash:USER}`` a user's bcrypt hash.
    """
    text = re.sub(
        r"(?m)^( +)\{(\w+\.\w+)\}$",
        lambda m: "\n".join(
            m[1] + line for line in (directory / m[2]).read_text().splitlines()
        ),
        fixture.read_text(),
    )  # fmt: skip
    text = re.sub(r"\{hash:(\w+)\}", lambda m: hashed(m[1]), text)
    path = directory / name
    replace(path, text)
    return path


def replace(path: Path, text: str) -> None:
    """Write a file at once, as an editor or a configuration tool does."""
    made = path.with_name(path.name + ".new")
    made.write_text(text)
    made.rename(path)


def command(*arguments: str) -> list[str]:
    """Return the words that run badgateway."""
    return [sys.executable, "-m", "badgateway", *arguments]


class Served:
    """`badgateway serve` with flags, watching nothing; a context manager."""

    def __init__(
        self,
        directory: Path,
        *flags: str,
        config: str = QUIET,
        wrapper: Sequence[str] = (),
        listens: bool = True,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self.log = directory / "served.log"
        (directory / "badgateway.yml").write_text(config)
        words = command(
            "serve", f"--config.file={directory / 'badgateway.yml'}",
            f"--storage.path={directory / 'state'}", *flags,
        )  # fmt: skip
        if listens:
            words.append("--web.listen-address=127.0.0.1:0")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, *words], stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **(environment or {})}, preexec_fn=prepare,
                close_fds=prepare is None,
            )  # fmt: skip

    def __enter__(self) -> Served:
        self.wait_for_log("listening at")
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def wait_for_log(self, text: str, times: int = 1, seconds: float = 20) -> None:
        """Wait until a text has been logged so often."""
        deadline = time.monotonic() + seconds
        while self.log.read_text().count(text) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it and return its exit status."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.process.wait(10)

    @property
    def addresses(self) -> list[str]:
        """Where it says that it listens."""
        return re.findall(r"listening at ([^, ]+), state", self.log.read_text())

    @property
    def port(self) -> int:
        """The port of the last address."""
        return int(self.addresses[-1].rpartition(":")[2])

    @property
    def url(self) -> str:
        """The last address as a URL."""
        return self.addresses[-1]

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self, timeout: float = 15) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def tls(self, client: ssl.SSLContext) -> ssl.SSLSocket:
        """Return a connection after its handshake."""
        return client.wrap_socket(self.connect(), server_hostname="localhost")

    def ask(self, request: bytes, timeout: float = 15) -> bytes:
        """Send bytes, and return everything that is answered until the end."""
        with self.connect(timeout) as talking:
            talking.sendall(request)
            return everything(talking)

    def scrape_seconds(self) -> float:
        """Return how long a scrape takes; it must succeed."""
        begun = time.monotonic()
        answer = self.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        assert b"badgateway_build_info" in answer
        return time.monotonic() - begun


def everything(talking: socket.socket) -> bytes:
    """Return all that comes until the other end closes, by FIN or RST."""
    parts = []
    try:
        while part := talking.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def one_answer(talking: socket.socket) -> bytes:
    """Return one whole response from a connection that stays open."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = talking.recv(65536)
        assert part, answer
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        part = talking.recv(65536)
        assert part, answer
        body += part
    return head + b"\r\n\r\n" + body


def get(path: str = "/-/healthy", *headers: str, method: str = "GET") -> bytes:
    """Return the bytes of a request after which the connection is closed."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def status(answer: bytes) -> int:
    """Return an answer's status; 0 for none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def client_context(directory: Path, certificate: str = "") -> ssl.SSLContext:
    """Return what a client that trusts the server's certificate connects with."""
    made = ssl.create_default_context(cafile=str(directory / "server.crt"))
    if certificate:
        made.load_cert_chain(directory / f"{certificate}.crt", directory / f"{certificate}.key")
    return made
