"""One log followed by its name, step by step."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from badgateway.events import Batch, lines_of
from badgateway.sources import Position
from badgateway.sources.following import Follower


class Reader:
    """A follower and what it counted."""

    def __init__(self, path: Path, position: Position | None = None, late: bool = False) -> None:
        self.now = 1_790_000_000.0
        self.follower = Follower("web-log", path, position, born_late=late, clock=lambda: self.now)
        self._steps = self.follower.batches()
        self.position = position
        self.gaps: list[str] = []

    def read(self) -> list[str]:
        """Return the lines counted until there is nothing more at the moment."""
        counted: list[str] = []
        while (batch := next(self._steps)) is not None:
            counted += [line.text for line in lines_of(batch)] if batch.counted else []
            self._take(batch)
        return counted

    def _take(self, batch: Batch) -> None:
        self.gaps += [batch.gap] if batch.gap else []
        self.position = batch.position or self.position


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def test_lines_of_before_the_first_start_are_not_counted(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    assert reader.read() == []
    write(log, "after")
    assert reader.read() == ["after"]


def test_a_line_half_written_at_the_first_start_is_counted_when_it_ends(log: Path) -> None:
    log.write_text("before\nhal")
    reader = Reader(log)
    assert reader.read() == []
    write(log, "f")
    assert reader.read() == ["half"]


def test_a_file_said_to_be_born_late_is_counted_from_its_first_byte(log: Path) -> None:
    write(log, "first")
    assert Reader(log, late=True).read() == ["first"]


def test_a_file_that_appears_while_the_reader_is_away_is_counted_whole(log: Path) -> None:
    reader = Reader(log)
    assert reader.read() == []
    write(log, "first")
    assert Reader(log, reader.position).read() == ["first"]


def test_a_writer_that_has_not_been_told_yet_is_read_beside_the_new_file(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    with log.open("a") as writer:
        log.rename(f"{log}.1")
        log.touch()
        assert reader.read() == []
        writer.write("to the old one\n")
        writer.flush()
        write(log, "to the new one")
        assert sorted(reader.read()) == ["to the new one", "to the old one"]
        again = Reader(log, reader.position)
        again.read()
        writer.write("later\n")
        writer.flush()
        assert again.read() == ["later"]
    assert again.gaps == []


def test_a_link_that_leads_to_another_file_is_followed_after_the_old_is_read(log: Path) -> None:
    monday, tuesday = log.with_name("app-20261123.log"), log.with_name("app-20261124.log")
    write(monday, "before")
    log.symlink_to(monday)
    reader = Reader(log)
    reader.read()
    write(monday, "monday")
    write(tuesday, "tuesday")
    log.unlink()
    log.symlink_to(tuesday)
    assert reader.read() == ["monday", "tuesday"]
    assert reader.gaps == []


def test_links_switched_while_away_are_read_in_their_order(log: Path) -> None:
    days = [log.with_name(f"app-2026-11-2{number}.log") for number in range(1, 5)]
    write(days[0], "before")
    log.symlink_to(days[0])
    reader = Reader(log)
    reader.read()
    for day in days:
        write(day, day.stem)
    log.unlink()
    log.symlink_to(days[-1])
    away = Reader(log, reader.position)
    assert away.read() == [day.stem for day in days]
    assert away.gaps == []


def test_a_rotation_into_another_directory_is_found(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    write(log, "away")
    (log.parent / "old").mkdir()
    log.rename(log.parent / "old" / "app.log.1")
    write(log, "new")
    away = Reader(log, reader.position)
    assert away.read() == ["away", "new"]
    assert away.gaps == []


def test_a_damaged_archive_is_a_gap_and_what_can_be_read_counts(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    lines = [f"{number} {os.urandom(40).hex()}" for number in range(20_000)]
    write(log, *lines)
    packed = gzip.compress(log.read_bytes())
    log.with_name("app.log.1.gz").write_bytes(packed[: len(packed) // 2])
    log.unlink()
    write(log, "new")
    away = Reader(log, reader.position)
    counted = away.read()
    assert len(away.gaps) == 1
    assert counted[-1] == "new"
    assert 1000 < len(counted) < 20_000
    assert counted[:-1] == lines[: len(counted) - 1]


def test_a_file_cut_and_written_to_the_same_length_is_another(log: Path) -> None:
    write(log, "one")
    reader = Reader(log)
    reader.read()
    log.write_text("two\n")
    assert reader.read() == ["two"]
    assert len(reader.gaps) == 1


def test_what_follows_a_pause_is_of_the_past_even_when_it_is_read_in_two_lives(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    write(log, "away")
    away = Reader(log, {**(reader.position or {}), "at": reader.now - 3600})
    assert not away.follower.status.catching_up
    assert away.read() == ["away"]
    assert away.follower.status.catching_up
    write(log, "now")
    again = Reader(log, away.position)
    assert again.read() == ["now"]
    assert not again.follower.status.catching_up


def test_a_directory_in_its_place_is_told_and_the_file_is_read_again(log: Path) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    log.rename(f"{log}.1")
    log.mkdir()
    reader.read()
    assert reader.follower.status.up is False
    assert "not a regular file" in reader.follower.status.problem
    log.rmdir()
    write(log, "back")
    assert reader.read() == ["back"]
    assert reader.follower.status.up is True
    assert reader.gaps == []


@pytest.mark.parametrize("running", [False, True], ids=["started then", "running"])
def test_a_log_that_cannot_be_opened_for_a_while_is_read_on_where_it_was(
    log: Path, running: bool
) -> None:
    write(log, "before")
    reader = Reader(log)
    reader.read()
    write(log, "one")
    assert reader.read() == ["one"]
    kept = log.rename(log.with_name("elsewhere"))
    log.symlink_to(log)  # as a file whose permission was taken: there, and not to be opened
    if not running:
        reader.follower.close()
        reader = Reader(log, reader.position)
    assert reader.read() == []
    log.unlink()
    kept.rename(log)
    write(log, "two")
    assert reader.read() + reader.read() == ["two"]
    assert reader.gaps == []
