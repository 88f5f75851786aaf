"""A log that a real exporter reads while everything happens to it."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.caddylog import failure
from tests.sources.rotating import RotatingLog


class Busy(RotatingLog):
    """A Caddy's log that is written and rotated at random, in the real time."""

    HAPPENINGS = (
        "write", "write", "write", "begin_line", "rotate", "rotate_and_create", "reopen",
        "copy_and_cut", "compress", "compress_all_but_the_newest",
    )  # fmt: skip

    KEPT = 99  # nothing is deleted before it can have been read

    def __init__(self, place: Path, style: str, seed: int) -> None:
        place.mkdir()
        self.chance = random.Random(seed)
        super().__init__(place, style, 0)

    def text(self, line: int) -> bytes:
        return failure(line)

    def happen(self) -> None:
        self.now = time.time()
        name = self.chance.choice(self.HAPPENINGS)
        if name == "write":
            self.write(self.chance.randint(1, 4))
        else:
            getattr(self, name)()
