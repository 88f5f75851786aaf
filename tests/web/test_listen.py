"""Where an exporter listens, and what it says when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from badgateway.web import listen
from badgateway.web.listen import ListenError, Tcp, Unix
from tests.lab.require import unavailable
from tests.servers import free_port
from tests.web import world
from tests.web.world import Served, everything, get, status

try:
    from systemd import daemon
except ImportError:
    daemon = None


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("127.0.0.1:10502", Tcp("127.0.0.1", 10502)),
        (":10502", Tcp("", 10502)),
        ("[::1]:10502", Tcp("::1", 10502)),
        ("[fe80::1%lo]:1", Tcp("fe80::1%lo", 1)),
        ("localhost:0", Tcp("localhost", 0)),
        ("unix:/run/x y.sock", Unix(Path("/run/x y.sock"))),
    ],
)
def test_an_address_is_understood(address: str, meaning: Tcp | Unix) -> None:
    assert listen.parse(address) == meaning


@pytest.mark.parametrize(
    "address",
    [
        "", "10502", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:10502",
        "[::1]", "[]:1", "[localhost]:1", "1.2.3.4:1:2", ":-1", "unix:", "unix:relative.sock",
        "http://localhost:1", "localhost:１２",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ListenError, match=r"^--web\.listen-address .*: write "):
        listen.parse(address)


def answer_at(family: socket.AddressFamily, where: tuple[str, int] | str) -> int:
    with socket.socket(family) as talking:
        talking.settimeout(10)
        talking.connect(where)
        talking.sendall(get())
        return status(everything(talking))


def has_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as found:
            found.bind(("::1", 0))
    except OSError:
        unavailable("no IPv6 on loopback")


def test_it_listens_at_every_address_it_is_given(tmp_path: Path) -> None:
    has_ipv6()
    path = tmp_path / "x.sock"
    flags = [f"--web.listen-address={a}" for a in ("[::1]:0", f"unix:{path}", "127.0.0.1:0")]
    with Served(tmp_path, *flags, listens=False) as served:
        served.wait_for_log("listening at", 3)
        six, unix, four = served.addresses
        assert answer_at(socket.AF_INET6, ("::1", int(six.rpartition(":")[2]))) == 200
        assert answer_at(socket.AF_INET, ("127.0.0.1", int(four.rpartition(":")[2]))) == 200
        assert unix == f"unix:{path}"
        assert answer_at(socket.AF_UNIX, str(path)) == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert served.end() == 0
    assert not path.exists()


def test_a_port_alone_is_every_address_of_both_families(tmp_path: Path) -> None:
    has_ipv6()
    with Served(tmp_path, "--web.listen-address=:0", listens=False) as served:
        assert served.url.startswith("http://[::]:")
        assert answer_at(socket.AF_INET, ("127.0.0.1", served.port)) == 200
        assert answer_at(socket.AF_INET6, ("::1", served.port)) == 200


def serve(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        world.command("serve", *flags), capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_a_taken_address_ends_everything_before_it_begins(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = serve(
            f"--storage.path={tmp_path / 'state'}", f"--web.listen-address=unix:{tmp_path}/x.sock",
            f"--web.listen-address={address}",
        )  # fmt: skip
    assert ended.returncode == 2
    assert f"cannot listen at {address}: Address already in use; choose another" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["192.0.2.1:0", "..:1"])
def test_an_address_that_is_not_to_be_had_is_named(address: str) -> None:
    with pytest.raises(ListenError) as refused:
        listen.listen([address])
    assert str(refused.value).startswith(f"cannot listen at {address}: ")
    assert str(refused.value).endswith("; choose another with --web.listen-address")


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    first = listen.listen([f"unix:{path}"])
    with pytest.raises(ListenError, match="Address already in use"):
        listen.listen([f"unix:{path}"])
    assert path.exists()
    listen.close(first)
    assert not path.exists()


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="it is there and no socket"):
        listen.listen([f"unix:{path}"])
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ListenError, match="it is there and no socket"):
        listen.listen([f"unix:{tmp_path / 'link'}"])
    assert path.read_text() == "precious"


@pytest.mark.parametrize("where", ["missing/x.sock", "x" * 120])
def test_a_socket_that_cannot_be_made_is_named(tmp_path: Path, where: str) -> None:
    with pytest.raises(ListenError, match="cannot listen at unix:/"):
        listen.listen([f"unix:{tmp_path}/{where}"])


def test_the_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    (mine,) = listen.listen([f"unix:{path}"])
    path.unlink()
    (successor,) = listen.listen([f"unix:{path}"])
    mine.close()
    assert path.exists()
    successor.close()


def test_an_address_given_twice_is_one(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    found = listen.listen([address, address])
    assert [listener.name for listener in found] == [address]
    listen.close(found)


# -- systemd


def needs_bindings() -> None:
    if daemon is None:
        unavailable("systemd-python is not installed")


def served_with(tmp_path: Path, passed: socket.socket) -> Served:
    # The pid is known only in the child: a shell says it, and becomes the exporter.
    return Served(
        tmp_path, "--web.systemd-socket", listens=False,
        wrapper=["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
        environment={"LISTEN_FDS": "1"}, prepare=lambda: os.dup2(passed.fileno(), 3),
    )  # fmt: skip


def test_a_passed_socket_is_served_and_left(tmp_path: Path) -> None:
    needs_bindings()
    path = tmp_path / "passed.sock"
    for family, where in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(path))):
        with socket.socket(family) as passed:
            passed.bind(where)
            passed.listen()
            with served_with(tmp_path, passed) as served:
                assert answer_at(family, passed.getsockname()) == 200
                assert served.end() == 0
    assert path.exists()  # it is systemd's


def test_a_socket_that_does_not_listen_is_refused(tmp_path: Path) -> None:
    needs_bindings()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        served = served_with(tmp_path, ours)
        assert served.process.wait(20) == 2
    assert "does not listen for streams; the socket unit needs" in served.log.read_text()


def test_without_a_socket_it_says_how_to_get_one() -> None:
    needs_bindings()
    ended = serve("--web.systemd-socket")
    assert ended.returncode == 2
    assert "--web.systemd-socket: no socket was passed; start it by its socket unit" in ended.stderr


def test_without_the_bindings_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "__init__.py").write_text("raise ImportError('not here')\n")
    ended = serve("--web.systemd-socket", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 2
    assert "--web.systemd-socket needs systemd-python" in ended.stderr


def test_an_address_and_a_passed_socket_exclude_each_other() -> None:
    ended = serve("--web.systemd-socket", "--web.listen-address=127.0.0.1:0")
    assert ended.returncode == 2
    assert "give either --web.listen-address or --web.systemd-socket" in ended.stderr


def test_systemds_own_tool_starts_it_at_the_first_connection(tmp_path: Path) -> None:
    needs_bindings()
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        unavailable("systemd-socket-activate is not installed")
    port = free_port()
    served = Served(
        tmp_path, "--web.systemd-socket", listens=False,
        wrapper=[tool, f"--listen=127.0.0.1:{port}"],
    )  # fmt: skip
    try:
        served.wait_for_log("Listening on")
        assert answer_at(socket.AF_INET, ("127.0.0.1", port)) == 200
        served.wait_for_log(f"listening at http://127.0.0.1:{port}")
        assert served.end() == 0
    finally:
        served.end(signal.SIGKILL)
