"""Who listens, how many wait, and whose socket it is: real sockets."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.collectors.listeners import Queue, Reader
from badgateway.sources import cgroupnames, sockdiag
from tests.lab import cgroups
from tests.lab.require import unavailable


@contextlib.contextmanager
def listening(
    family: int, address: object, backlog: int = 7, **options: int
) -> Iterator[socket.socket]:
    with socket.socket(family) as made:
        for option in options.values():
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind(address)  # type: ignore[arg-type]
        made.listen(backlog)
        yield made


def address(made: socket.socket) -> str:
    host, port = made.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@pytest.mark.parametrize("tables", [False, True], ids=["sock_diag", "tables"])
def test_tcp_ipv6_and_unix_sockets_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: bool
) -> None:
    def refused() -> tuple[sockdiag.Listening, ...]:
        raise OSError("sock_diag is not in this kernel")

    if tables:
        monkeypatch.setattr(sockdiag, "listening", refused)
    path = str(tmp_path / "api.sock")
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0)) as four,
        listening(socket.AF_INET6, ("::1", 0)) as six,
        listening(socket.AF_UNIX, path),
    ):
        found = Reader().read()
        for upstream in (address(four), address(six), f"unix:{path}"):
            assert found.at(upstream) is True, upstream
        port = four.getsockname()[1]
        assert found.at(f"localhost:{port}") is True
        assert found.at(f"[::1]:{port}") is False
        assert found.at(f"198.51.100.7:{port}") is None
    found = Reader().read()
    assert found.at(f"127.0.0.1:{port}") is False
    assert found.at(f"unix:{path}") is False


def test_a_wildcard_that_takes_ipv6_only_does_not_listen_at_ipv4() -> None:
    """As asyncio has them, and so uvicorn with ``--host ::``."""
    for only in (False, True):
        with socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=not only
        ) as made:
            port = made.getsockname()[1]
            found = Reader().read()
            assert found.at(f"127.0.0.1:{port}") is not only
            assert found.at(f"[::1]:{port}") is True
            assert found.at(f"localhost:{port}") is True


def test_those_who_wait_are_counted_with_their_limit(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    with (
        listening(socket.AF_INET, ("127.0.0.1", 0), 5) as made,
        listening(socket.AF_UNIX, path, 9),
        socket.create_connection(made.getsockname()),
        socket.create_connection(made.getsockname()),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(path)
        found = Reader().read()
        assert found.queue(address(made)) == Queue(2, 5)
        assert found.queue(f"unix:{path}") == Queue(1, 9)
        assert found.queue("127.0.0.1:1") is None


def test_sockets_that_share_an_address_are_added_up() -> None:
    share = {"reuse": socket.SO_REUSEPORT}
    with listening(socket.AF_INET, ("127.0.0.1", 0), 5, **share) as one:  # noqa: SIM117
        with listening(socket.AF_INET, one.getsockname(), 6, **share):
            clients = [socket.create_connection(one.getsockname()) for _ in range(8)]
            assert Reader().read().queue(address(one)) == Queue(8, 11)
            for client in clients:
                client.close()


def test_a_socket_is_its_units() -> None:
    mount = cgroups.cgroup2_mount()
    if mount is None or os.geteuid() != 0:
        unavailable("a cgroup2 hierarchy that may be written")
    group = mount / f"badgateway-test-{os.getpid()}.service"
    group.mkdir()
    code = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )

    def join() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=join,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert Reader().read().owner(f"127.0.0.1:{port}") == group.name
    finally:
        process.communicate()
        cgroups.remove(group)


def test_a_network_of_its_own_is_seen_through_its_first_process() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("root and unshare(1), for a network of its own")
    code = (
        "import os, socket, sys; os.system('ip link set lo up');"
        "s = socket.socket(); s.bind(('0.0.0.0', 8000)); s.listen(); print('up', flush=True);"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        ["unshare", "-n", sys.executable, "-c", code], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        found = Reader().read([process.pid, os.getpid()])
        assert set(found.inside) == {process.pid}
        within = found.within(process.pid, ("0.0.0.0:8000",))
        assert within is not None
        assert len(within) == 1
        assert found.within(process.pid, ("0.0.0.0:8001",)) == ()
        assert found.within(os.getpid(), ("0.0.0.0:8000",)) is None
    finally:
        process.communicate()


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/api.service", "api.service"),
        ("/system.slice/system-gunicorn.slice/gunicorn@7.service/worker", "gunicorn@7.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service"),
        (f"/system.slice/docker-{'ab' * 32}.scope", "ab" * 32),
        (f"/docker/{'cd' * 32}", "cd" * 32),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_control_groups_path_names_unit_or_container(path: str, unit: str) -> None:
    assert cgroupnames.unit_of(path) == unit
