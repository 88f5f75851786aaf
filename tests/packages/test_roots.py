"""Files of a container, read from outside: nothing leads out, and what is unseen is not missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from badgateway.packages import files
from badgateway.packages.roots import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    inside, mount = tmp_path / "root", tmp_path / "mount"
    (inside / "etc").mkdir(parents=True)
    (inside / "srv").mkdir()
    mount.mkdir()
    (tmp_path / "secret").write_text("the host's")
    (inside / "etc/name").write_text("the container's")
    (mount / "app.py").write_text("app = 1")
    return Root.of([("/srv/app", str(mount)), ("/", str(inside))])


def place(root: Root, path: str) -> Path:
    hosts = dict(root.places)
    return Path(hosts["/"]) / path.lstrip("/")


@pytest.mark.parametrize(
    "target",
    ["/etc/name", "../../../../../etc/name", "../etc/name", "/../../etc/name", "//etc/./name"],
)
def test_a_link_leads_to_a_place_inside(root: Root, target: str) -> None:
    place(root, "/srv/link").symlink_to(target)
    with files.seen_in(root):
        assert files.read_text("/srv/link") == "the container's"
        assert files.realpath("/srv/link") == "/etc/name"


def test_no_path_leads_out(root: Root, tmp_path: Path) -> None:
    place(root, "/srv/out").symlink_to(tmp_path / "secret")
    place(root, "/srv/up").symlink_to("../../secret")
    with files.seen_in(root):
        for path in ("/srv/out", "/srv/up", f"/../..{tmp_path}/secret", "/srv/app/../../../secret"):
            assert files.exists(path) is False
            assert not files.is_file(path)


def test_what_is_mounted_lies_over_the_rest(root: Root) -> None:
    place(root, "/current").symlink_to("/srv/app")
    with files.seen_in(root):
        assert files.read_text("/current/app.py") == "app = 1"
        assert files.listdir("/srv/app") == ["app.py"]
        assert files.exists("/srv/app/../../etc/name")


def test_what_cannot_be_seen_is_unknown_and_what_is_not_there_is_missing(root: Root) -> None:
    mounts = Root(tuple(item for item in root.places if item[0] != "/"))
    with files.seen_in(mounts):
        assert files.exists("/etc/name") is None
        assert files.exists("/srv/app/app.py") is True
        assert files.exists("/srv/app/none") is False
        assert not files.is_directory("/srv")
        with pytest.raises(OSError, match="seen") as caught:
            files.read_bytes("/etc/name")
        assert caught.value.errno == errno.EACCES
    gone = Root.of([("/", "/proc/0/root")])
    with files.seen_in(gone):
        assert files.exists("/etc/name") is None


def test_links_that_lead_to_themselves_end(root: Root) -> None:
    place(root, "/loop").symlink_to("loop")
    with files.seen_in(root):
        assert files.exists("/loop") is False
        assert files.lexists("/loop")


def test_no_descriptor_is_left_open(root: Root) -> None:
    place(root, "/srv/link").symlink_to("/etc/name")
    before = len(os.listdir("/proc/self/fd"))
    with files.seen_in(root):
        for path in ("/srv/link", "/none", "/etc/name/below", "/loop", "/srv/app/app.py"):
            files.exists(path)
            files.realpath(path)
            files.lexists(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_hosts_files_are_meant_again_afterwards(root: Root, tmp_path: Path) -> None:
    with files.seen_in(root), files.seen_in(None):
        assert files.read_text(str(tmp_path / "secret")) == "the host's"
    assert files.read_text(str(tmp_path / "secret")) == "the host's"
