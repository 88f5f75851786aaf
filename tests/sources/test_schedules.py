"""Whatever happens to a log and to its reader, in whatever order: none lost, none doubled."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.world import World

ACTIONS: Final[dict[str, Callable[[World], object]]] = {
    "write": lambda world: world.write(3),
    "begin line": World.begin_line,
    "finish line": World.finish,
    "rotate": World.rotate,
    "rotate and create": World.rotate_and_create,
    "copy": World.copy,
    "cut": World.cut,
    "copy and cut": World.copy_and_cut,
    "reopen": World.reopen,
    "compress": World.compress,
    "compress later": World.compress_all_but_the_newest,
    "begin compression": World.begin_compression,
    "end compression": World.end_compression,
    "truncate": World.truncate,
    "truncate and outgrow": World.truncate_and_outgrow,
    "vanish": World.vanish,
    "expire": World.expire,
    "directory": World.become_a_directory,
    "file again": World.become_a_file_again,
    "start": World.start,
    "kill": World.kill,
    "step": World.step,
    "read all": World.read_all,
    "commit": World.commit,
    "scrape": World.scrape,
    "a moment": lambda world: world.pass_time(7),
    "a while": lambda world: world.pass_time(100),
}
HARMFUL: Final = ("truncate", "truncate and outgrow", "vanish", "expire", "cut")
HARMLESS: Final = [name for name in ACTIONS if name not in HARMFUL]
STYLES: Final = st.sampled_from(("numbers", "dates", "caddy"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def play(style: str, existing: int, schedule: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="badgateway-") as place:
        world = World(Path(place), style, existing)
        try:
            for name in schedule:
                world.pass_time(1)
                ACTIONS[name](world)
            world.settle()
            world.check()
        finally:
            world.close()


EXACT: Final = settings(
    max_examples=600, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@EXACT
@given(STYLES, st.integers(-1, 3), st.lists(st.sampled_from(sorted(ACTIONS)), max_size=40))
def test_every_loss_is_told_and_nothing_else_is_lost_or_doubled(
    style: str, existing: int, schedule: list[str]
) -> None:
    play(style, existing, schedule)


@EXACT
@given(STYLES, st.integers(-1, 3), st.lists(st.sampled_from(HARMLESS), max_size=60))
def test_what_only_rotates_loses_nothing_and_tells_no_gap(
    style: str, existing: int, schedule: list[str]
) -> None:
    play(style, existing, schedule)
