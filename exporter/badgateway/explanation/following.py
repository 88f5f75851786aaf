"""Following files as they grow: what is appended is told within moments, over rotation too."""

from __future__ import annotations

import io
import os
import select
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from badgateway.explanation import reading
from badgateway.explanation.assembly import Assembly
from badgateway.explanation.recognition import Recogniser
from badgateway.explanation.same import Entry
from badgateway.explanation.story import Story

_PAUSE_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 1.0
"""How long other lines about a request are waited for: proxies write their logs one by one."""
_CHUNK: Final = 256 * 1024
_TURN: Final = 5000
"""Lines of one file before another has its turn."""
_LINE_BYTES: Final = 1024 * 1024


class _Tail:
    """One file's lines as they are written; the file may be replaced, cut or not be there."""

    def __init__(self, name: str, file: io.FileIO, only: str | None) -> None:
        self.name = name
        self.ended = False
        self.assembly = Assembly(Recogniser(name, only))
        self._file = file
        self._number = 0
        self._rest = b""

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield lines written since the last call, some thousands at most."""
        begun = self._number
        while self._number - begun < _TURN and select.select([self._file], [], [], 0)[0]:
            chunk = self._file.read(_CHUNK)
            if not chunk:
                if self._renewed():
                    begun = 0
                    continue
                return
            *whole, rest = (self._rest + chunk).split(b"\n")
            self._rest = rest[:_LINE_BYTES]
            for raw in whole:
                self._number += 1
                yield self._number, reading.decoded(raw)

    def _renewed(self) -> bool:
        """Whether there is another file to read from its beginning under the name."""
        if self.name == reading.STANDARD_INPUT:
            self.ended = True
            return False
        try:
            status = os.stat(self.name)
            mine = os.fstat(self._file.fileno())
            same = (mine.st_dev, mine.st_ino) == (status.st_dev, status.st_ino)
            if same and status.st_size >= self._file.tell():
                return False
            begun = reading.unbuffered(self.name)
        except (OSError, reading.Unreadable):
            return False  # between two files, or a pipe: what comes is read
        self._file.close()
        self._file, self._number, self._rest = begun, 0, b""
        return True


def followed(files: list[tuple[str, io.FileIO]], only: str | None) -> Iterator[Entry]:
    """Yield what is in the files, and then what is written to them, until all have ended.

    Only standard input ever ends.
    """
    tails = [_Tail(name, file, only) for name, file in files]
    story = Story(several=len(tails) > 1)
    reached: deque[tuple[float, int]] = deque()
    while not all(tail.ended for tail in tails):
        heard = False
        for tail in tails:
            for number, text in tail.lines():
                heard = True
                for told in tail.assembly.feed(number, text):
                    story.add(told)
        now = time.monotonic()
        if not heard:
            for tail in tails:
                for told in tail.assembly.flush():
                    story.add(told)
        reached.append((now, story.order))
        while reached and reached[0][0] <= now - _SETTLE_SECONDS:
            yield from story.until(reached.popleft()[1])
        yield from story.ready()
        if not heard:
            time.sleep(_PAUSE_SECONDS)
    yield from story.rest()
