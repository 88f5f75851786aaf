"""Python tracebacks in a stream of lines (CPython 3.8 to 3.13)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from badgateway.redaction import redacted

_HEADER: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'^ +File "([^"]{1,400})", line (\d+)(?:, in (\S+))?')
_LAST: Final = re.compile(r"^([A-Za-z_][\w.]{0,200})(?:: (.*))?$", re.S)
_MODULE: Final = re.compile(r"^No module named '([\w.]{1,200})'")
_FRAMES_KEPT: Final = 200
MESSAGE_KEPT: Final = 300


@dataclass(frozen=True, slots=True)
class Traceback:
    """One finished traceback.

    Attributes:
        exception: class name without its module.
        message: its text, cut.
        files: the files of its frames, outermost first.
        module: the module that was not found, if it says so.
    """

    exception: str
    message: str
    files: tuple[str, ...]
    module: str | None

    def passed_through(self, *endings: str) -> bool:
        """Tell whether a frame lies in a file that ends like one of ``endings``."""
        return any(file.endswith(endings) for file in self.files)

    def within(self, part: str) -> bool:
        """Tell whether a frame lies in a file whose path holds ``part``."""
        return any(part in file for file in self.files)


class Collector:
    """Collects the traceback that one writer prints."""

    def __init__(self) -> None:
        self._files: list[str] | None = None

    def feed(self, text: str) -> Traceback | bool:
        """Take one line.

        Returns:
            The traceback this line ends; True when the line belongs to an open one; False when it
            has nothing to do with tracebacks.
        """
        if text == _HEADER:
            self._files = []
            return True
        if self._files is None:
            return False
        if text.startswith(" ") or not text:
            frame = _FRAME.match(text)
            if frame and len(self._files) < _FRAMES_KEPT:
                self._files.append(frame[1])
            return True
        files, self._files = tuple(self._files), None
        last = _LAST.match(text)
        if not last:
            return False
        message = redacted(last[2] or "")[:MESSAGE_KEPT]
        missing = _MODULE.match(message)
        return Traceback(
            last[1].rpartition(".")[2], message, files, missing[1] if missing else None
        )
