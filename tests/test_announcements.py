"""The spool of announced deploys: what is written, and what of it is believed."""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from badgateway.announcements import Announcements
from badgateway.announcing import LIMIT_SECONDS, Announcement, announce, end

NOW = 1_800_000_000.0


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "announcements"


def seen(spool: Path, now: float = NOW) -> Announcements:
    found = Announcements(spool)
    found.look(now)
    return found


def write(spool: Path, name: str = "api.json", **changes: Any) -> Path:
    """Write a file as somebody else would."""
    said = {
        "format": "badgateway-announcement", "version": 1, "backend": "api", "at": NOW,
        "until": NOW + 60,
    }  # fmt: skip
    file = spool / name
    file.write_text(json.dumps(said | changes))
    return file


def test_an_announcement_is_open_until_its_time(spool: Path) -> None:
    announce(spool, "api", 300, NOW)
    found = seen(spool)
    told = found.open("api", NOW + 299)
    assert told is not None
    assert (told.at, told.until) == (NOW, NOW + 300)
    assert found.open("api", NOW + 300) is None
    assert found.open("other", NOW) is None
    assert found.last("api") == NOW  # the marker stays


def test_a_later_announcement_replaces_an_earlier_one_and_an_end_ends_it(spool: Path) -> None:
    announce(spool, "api", 300, NOW)
    found = seen(spool)
    announce(spool, "api", 60, NOW + 10)
    found.look(NOW + 10)
    told = found.open("api", NOW + 69)
    assert told is not None
    assert end(spool, "api", NOW + 20) is not None
    found.look(NOW + 20)
    assert found.open("api", NOW + 20) is None
    assert end(spool, "api", NOW + 21) is None
    assert end(spool, "never", NOW) is None


def test_a_grace_shortens_and_never_lengthens(spool: Path) -> None:
    announce(spool, "api", 300, NOW)
    end(spool, "api", NOW + 10, grace=30)
    assert seen(spool).open("api", NOW + 39) is not None
    end(spool, "api", NOW + 20, grace=3000)
    found = seen(spool).open("api", NOW + 21)
    assert found is not None
    assert found.until == NOW + 40


@pytest.mark.parametrize(
    "name", ["blue@one", "127.0.0.1:8001", "unix:/run/api.sock", "shop/web", ".hidden", "..", "ü"]
)
def test_every_backends_name_has_a_file_inside_the_spool(spool: Path, name: str) -> None:
    announce(spool, name, 60, NOW)
    assert seen(spool).open(name, NOW) is not None
    assert [file.parent for file in spool.iterdir()] == [spool]


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "-x", "x" * 300])
def test_a_name_that_no_backend_has_is_refused(spool: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        announce(spool, name, 60, NOW)


@pytest.mark.parametrize("seconds", [0, -1, LIMIT_SECONDS + 1, float("inf"), float("nan")])
def test_nobody_announces_for_ever(spool: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="60m"):
        announce(spool, "api", seconds, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"until": NOW + LIMIT_SECONDS + 5}, {"until": NOW + 1e12}, {"until": "soon"},
        {"until": NOW - 5}, {"at": NOW + 3600, "until": NOW + 3700}, {"format": "other"},
        {"version": 2}, {"backend": "web"}, {"backend": "x" * 5000}, {"backend": "a b"},
        {"at": None},
    ],
)  # fmt: skip
def test_a_file_that_says_more_than_it_may_is_not_believed(
    spool: Path, changes: dict[str, Any]
) -> None:
    spool.mkdir()
    write(spool, **changes)
    found = seen(spool)
    assert found.open("api", NOW) is None
    assert found.open("web", NOW) is None
    write(spool)
    assert seen(spool).open("api", NOW) is not None


def test_times_that_json_has_not_are_not_believed(spool: Path) -> None:
    spool.mkdir()
    file = write(spool)
    for text in ("NaN", "Infinity", "1e999"):
        file.write_text(file.read_text().replace(str(NOW + 60), text))
        assert seen(spool).open("api", NOW) is None


def test_only_small_files_of_their_own_are_read(spool: Path, tmp_path: Path) -> None:
    spool.mkdir()
    outside = write(tmp_path, "outside.json")
    (spool / "api.json").symlink_to(outside)
    assert seen(spool).open("api", NOW) is None
    (spool / "api.json").unlink()
    os.link(outside, spool / "api.json")
    assert seen(spool).open("api", NOW) is None
    (spool / "api.json").unlink()
    os.mkfifo(spool / "api.json")
    assert seen(spool).open("api", NOW) is None  # and it did not wait
    (spool / "api.json").unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(spool / "api.json"))
        assert seen(spool).open("api", NOW) is None
    (spool / "api.json").unlink()
    write(spool).write_text(" " * 3000)
    assert seen(spool).open("api", NOW) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize(
    ("mode", "believed"), [(0o755, False), (0o770, True), (0o2770, True), (0o777, False)]
)
def test_another_users_file_counts_where_only_the_group_may_write(
    spool: Path, mode: int, believed: bool
) -> None:
    spool.mkdir()
    spool.chmod(mode)
    os.chown(write(spool), 12345, 12345)
    assert (seen(spool).open("api", NOW) is not None) is believed
    if believed:
        told = seen(spool).open("api", NOW)
        assert told is not None
        assert told.by == "12345"


def test_the_spool_is_open_to_the_group_whatever_the_umask(spool: Path) -> None:
    before = os.umask(0o077)
    try:
        announce(spool, "api", 60, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o770
    assert stat.S_IMODE((spool / "api.json").stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory to another user")
def test_root_makes_the_spool_for_the_exporter(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    announce(tmp_path / "announcements", "api", 60, NOW)
    made = (tmp_path / "announcements").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)


def test_a_spool_that_is_gone_or_never_was_announces_nothing(spool: Path) -> None:
    announce(spool, "api", 60, NOW)
    found = seen(spool)
    (spool / "api.json").unlink()
    spool.rmdir()
    found.look(NOW)
    assert found.open("api", NOW) is None
    nothing = Announcements(None)
    nothing.look(NOW)
    assert nothing.open("api", NOW) is None


def test_a_clock_set_back_does_not_lengthen_an_announcement(spool: Path) -> None:
    announce(spool, "api", 300, NOW)
    found = seen(spool, NOW - 3600)
    assert found.open("api", NOW - 3600) is None


def test_a_flood_of_files_is_bounded(spool: Path) -> None:
    spool.mkdir()
    for number in range(700):
        write(spool, f"b{number}.json", backend=f"b{number}")
    found = seen(spool)
    assert sum(found.open(f"b{number}", NOW) is not None for number in range(700)) == 500


def test_rubbish_is_told_once(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool.mkdir()
    (spool / "api.json").write_text("\x1b[31m{")
    found = seen(spool)
    os.utime(spool)
    found.look(NOW)
    told = [record for record in caplog.records if "not believed" in record.getMessage()]
    assert len(told) == 1


def test_old_files_are_cleared_away(spool: Path) -> None:
    announce(spool, "api", 60, NOW)
    seen(spool, NOW + 40 * 24 * 3600)
    assert list(spool.iterdir()) == []


def test_an_end_is_of_the_announcement_that_was_made(spool: Path) -> None:
    first = announce(spool, "api", 300, NOW)
    second = announce(spool, "api", 300, NOW + 5)
    assert end(spool, "api", NOW + 6, made=first.at) is None
    assert seen(spool, NOW + 7).open("api", NOW + 7) == Announcement(
        "api", second.at, second.until, pwd.getpwuid(os.geteuid()).pw_name
    )
    assert end(spool, "api", NOW + 8, made=second.at) is not None
    assert seen(spool, NOW + 9).open("api", NOW + 9) is None


def test_a_name_too_long_for_a_file_is_told_as_that(spool: Path) -> None:
    announce(spool, "ü" * 40, 60, NOW)
    with pytest.raises(ValueError, match="must fit into a file's"):
        announce(spool, "ü" * 41 + "x" * 9, 60, NOW)


def test_what_a_writer_that_was_killed_left_stops_nobody(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        announce(spool, "api", 60, NOW)
    monkeypatch.undo()
    assert len(list(spool.iterdir())) == 1
    announce(spool, "api", 60, NOW)
    assert seen(spool).open("api", NOW) is not None


def test_a_link_in_its_place_leads_nobody_away(spool: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    spool.symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        announce(spool, "api", 60, NOW)
    assert list(elsewhere.iterdir()) == []


def test_a_link_put_there_while_it_is_made_gives_nothing_away(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    make_directory = Path.mkdir

    def swapped(self: Path, *args: Any, **kwargs: Any) -> None:
        make_directory(self, *args, **kwargs)
        self.rmdir()
        self.symlink_to(elsewhere)

    monkeypatch.setattr(Path, "mkdir", swapped)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        announce(spool, "api", 60, NOW)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700


def test_on_a_full_disk_an_announcement_can_still_be_ended(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(spool, "api", 300, NOW)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        announce(spool, "other", 300, NOW)
    assert end(spool, "api", NOW + 5, grace=30) is not None
    assert list(spool.iterdir()) == []
