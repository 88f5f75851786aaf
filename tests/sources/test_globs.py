"""Which files a pattern stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from badgateway.sources import globs


def expanded(place: Path, pattern: str, *names: str) -> list[str]:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x\n")
    return [str(path.relative_to(place)) for path in globs.expand(f"{place}/{pattern}")]


@pytest.mark.parametrize(
    "rotated",
    [
        "access.log.1", "access.log.12", "access.log.2.gz", "access.log.1.xz", "access.1.log",
        "access.log-20261121", "access.log-20261121.gz", "access-20261121.log",
        "access.log-20261121-1763683200", "access.log_2026-11-21", "access.log.3.zst",
        "access-2026-11-21T16-58-50.123.log", "access-2026-11-21T16-58-50.123.log.gz",
        "access-2026-11-21T16-58-50.123-size.log", "access-2026-11-21T16-58-50.123-time.log.zst",
    ],
)  # fmt: skip
def test_what_a_log_was_rotated_to_is_not_a_log_of_its_own(tmp_path: Path, rotated: str) -> None:
    names = ("access.log", "error.log", rotated)
    assert expanded(tmp_path, "*log*", *names) == ["access.log", "error.log"]


def test_a_rotated_file_is_none_while_its_log_is_between_two_names(tmp_path: Path) -> None:
    assert expanded(tmp_path, "*.log*", "access.log.1") == []


def test_numbers_and_dates_in_names_of_their_own_are_kept(tmp_path: Path) -> None:
    assert expanded(tmp_path, "worker.*", "worker.1", "worker.2") == ["worker.1", "worker.2"]
    days = ("app-2026-11-20.log", "app-2026-11-21.log")
    assert expanded(tmp_path, "app-*.log", *days) == list(days)


def test_only_regular_files_and_links_to_them_are_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "directory.log").mkdir()
    (tmp_path / "dangling.log").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked.log").symlink_to(tmp_path / "real")
    assert expanded(tmp_path, "*.log", "real", "a.log") == ["a.log", "linked.log"]


def test_directories_below_are_taken_where_the_pattern_says_so(tmp_path: Path) -> None:
    names = ("a/x.log", "a/b/y.log", "z.log")
    assert expanded(tmp_path, "**/*.log", *names) == sorted(names)
    assert expanded(tmp_path, "*/*.log", *names) == ["a/x.log"]


@pytest.mark.parametrize("pattern", ["", "[", "/nowhere/*", "\0*", "/proc/self/fd/*", "**/" * 50])
def test_no_pattern_raises(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(globs.expand(pattern), list)


def test_their_number_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globs, "LIMIT", 3)
    names = [f"{n}.log" for n in "edcba"]
    assert expanded(tmp_path, "*.log", *names) == ["a.log", "b.log", "c.log"]
