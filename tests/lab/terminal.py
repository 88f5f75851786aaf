"""What the demonstration says, with times; colours only where somebody watches."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

_COLOURS: Final = {"title": "1", "good": "32", "bad": "31", "faint": "2", "page": "33"}


class Terminal:
    """Lines on standard output, each with the seconds since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def title(self, text: str) -> None:
        """Begin a part."""
        self._print(f"\n{self._clock()} {self._paint(text, 'title')}")

    def seen(self, place: str, what: str, seconds: float) -> None:
        """Something was seen at ``place``, ``seconds`` after its step began."""
        first, _, rest = what.partition("\n")
        tick = self._paint("✓", "good")
        self._print(f"{self._clock()}   {tick} {seconds:5.1f} s  {place}: {first}")
        if rest:
            self._block(rest, "faint")

    def failed(self, text: str) -> None:
        """Something did not happen."""
        self._print(f"{self._clock()}   {self._paint('✗ ' + text, 'bad')}")

    def say(self, text: str) -> None:
        """Tell something beside."""
        self._block(text, "")

    def page(self, text: str) -> None:
        """Show a notification that arrived."""
        self._print(f"{self._clock()}   {self._paint('▶ notification', 'page')}")
        self._block(text, "page")

    def _block(self, text: str, colour: str) -> None:
        lines = (f"{'':11}    {self._paint(line, colour)}" for line in text.splitlines())
        self._print("\n".join(lines))

    def _clock(self) -> str:
        return self._paint(f"[{time.monotonic() - self._began:7.1f} s]", "faint")

    def _paint(self, text: str, colour: str) -> str:
        if not self._coloured or not colour:
            return text
        return f"\033[{_COLOURS[colour]}m{text}\033[0m"

    def _print(self, text: str) -> None:
        with self._lock:  # notifications arrive on a thread of their own
            print(text, flush=True)
