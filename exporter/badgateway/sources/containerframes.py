"""What ``GET /containers/ID/logs?timestamps=1`` sends, read as lines (API 1.24 and later).

Without a terminal each message is a frame: the stream's number (1 standard output, 2 standard
error), three zero bytes, the length in four bytes, then the time, a space and the text. A line
longer than 16 KiB comes as several messages of one time, all but the last without a line's end.
With a terminal there are no frames.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from badgateway.events import LINE_LIMIT
from badgateway.topology.containers.times import nanoseconds

OUTPUT: Final = 1
ERROR: Final = 2
_HEADER: Final = struct.Struct(">BxxxL")
_FRAME_LIMIT: Final = 4 * 1024 * 1024


class FramesError(ValueError):
    """What came are no frames."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a container's log: the stream, nanoseconds since the epoch, and the text."""

    stream: int
    at: int
    text: str


class Frames:
    """Takes bytes as they come and gives whole lines."""

    def __init__(self, has_terminal: bool) -> None:
        """``has_terminal``: the container's ``Config.Tty``."""
        self._has_terminal = has_terminal
        self._rest = b""
        self._begun: dict[int, tuple[int, bytes]] = {}

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the lines that are whole with these bytes.

        Raises:
            FramesError: they are no frames.
        """
        self._rest += data
        pieces = self._lines() if self._has_terminal else self._frames()
        for stream, piece in pieces:
            stamp, _, text = piece.partition(b" ")
            begun = self._begun.pop(stream, None)
            at = nanoseconds(stamp.decode("ascii", "replace"))
            if begun is not None:
                at, text = begun[0], begun[1] + text
            if not text.endswith(b"\n"):
                self._begun[stream] = (at, text[:LINE_LIMIT])
            elif at:
                line = text[:LINE_LIMIT].decode("utf-8", "replace")
                yield Message(stream, at, line.rstrip("\r\n"))

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while len(self._rest) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._rest)
            if stream > ERROR or length > _FRAME_LIMIT:
                raise FramesError("the daemon's answer is no log")
            end = _HEADER.size + length
            if len(self._rest) < end:
                return
            piece, self._rest = self._rest[_HEADER.size : end], self._rest[end:]
            yield stream or OUTPUT, piece

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        *lines, self._rest = self._rest.split(b"\n")
        self._rest = self._rest[: 2 * LINE_LIMIT]
        for line in lines:
            yield OUTPUT, line + b"\n"
