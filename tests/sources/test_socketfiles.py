"""May a proxy connect to a unix socket, by the files' rights; compared with the kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from badgateway.sources import socketfiles
from badgateway.sources.socketfiles import DENIED, MISSING, Identity

NOBODY = Identity(65534, frozenset((65534,)))
IN_GROUP = Identity(65534, frozenset((65534, 4)))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that listens, below folders that everybody may pass."""
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    path = tmp_path / "run" / "app.sock"
    path.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def connects(path: Path, who: Identity) -> bool:
    """Whether a process of that user really may connect."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups(sorted(who.groups))
            os.setgid(65534)
            os.setuid(who.uid)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_root
@pytest.mark.parametrize(
    ("mode", "folder", "who", "may"),
    [
        (0o666, 0o755, NOBODY, True),
        (0o660, 0o755, NOBODY, False),
        (0o660, 0o755, IN_GROUP, True),
        (0o606, 0o755, IN_GROUP, False),
        (0o666, 0o750, NOBODY, False),
        (0o666, 0o750, IN_GROUP, True),
        (0o666, 0o711, NOBODY, True),
        (0o600, 0o755, Identity(0, frozenset((0,))), True),
    ],
)
def test_the_rights_are_what_the_kernel_makes_of_them(
    listening: Path, mode: int, folder: int, who: Identity, may: bool
) -> None:
    os.chown(listening, 0, 4)
    os.chown(listening.parent, 0, 4)
    listening.chmod(mode)
    listening.parent.chmod(folder)
    assert connects(listening, who) is may
    assert socketfiles.look([str(listening)], who) == ({} if may else {str(listening): DENIED})


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "app.sock")
    assert socketfiles.look([path], None) == {path: MISSING}


def test_an_abstract_socket_is_no_file() -> None:
    assert socketfiles.look(["@app", "\0app"], NOBODY) == {}


def test_who_a_process_is(tmp_path: Path) -> None:
    found = socketfiles.identity(os.getpid())
    assert found is not None
    assert found.uid == os.geteuid()
    assert os.getegid() in found.groups
    assert socketfiles.identity(2**22 + 1) is None
