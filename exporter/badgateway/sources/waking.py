"""Waking a thread when its file was written to: inotify(7), one instance for all of them.

Where there is none (no instance left, a network file system that another host writes to), a file is
looked at from time to time: often while it grows, ever more rarely while it is silent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

LOOK_SECONDS: Final = 8.0
"""A watched file is looked at this often even when nothing is said of it."""

POLL_SECONDS: Final = 0.25
POLL_LIMIT_SECONDS: Final = 2.0
"""An unwatched file is looked at this often: at first, and when it has long been silent."""

_READ_DELAY_SECONDS: Final = 0.02
_FILE_EVENTS: Final = 0x00000002 | 0x80000000  # IN_MODIFY, IN_ONESHOT
# IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_ONLYDIR
_DIRECTORY_EVENTS: Final = 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000
_OVERFLOW: Final = 0x00004000
_IGNORED: Final = 0x00008000

log = logging.getLogger("badgateway.sources")


class Watch:
    """Wakes one thread when one log, or what bears its name, changes. Used by that thread."""

    def __init__(self, path: Path, wake: threading.Event) -> None:
        """``wake`` is set when there may be something to read at ``path``."""
        self._path, self._wake = path, wake
        self._inotify = _shared()
        self._directories: dict[Path, int] = {}
        self._files: dict[tuple[int, int], int] = {}
        self._missed = 0
        self._grew = time.monotonic()

    def arm(self, descriptors: Iterable[int]) -> None:
        """Be woken once by each of these open files, and by whatever gets the log's name."""
        if self._inotify is None:
            return
        for directory in {self._path.parent, _target(self._path).parent}:
            known = self._directories.pop(directory, None)
            if known is not None and self._inotify.is_watched(known, self):
                self._directories[directory] = known
            else:  # a directory that was made anew is another
                number = self._inotify.watch_directory(directory, self)
                if number is not None:
                    self._directories[directory] = number
        armed = {}
        for descriptor in descriptors:
            status = os.fstat(descriptor)
            key = status.st_dev, status.st_ino
            number = self._files.get(key)
            if number is None or not self._inotify.is_watched(number, self):
                number = self._inotify.watch_file(descriptor, self)
            if number is not None:
                armed[key] = number
        for number in set(self._files.values()) - set(armed.values()):
            self._inotify.forget(number, self)
        self._files = armed

    def wait(self) -> None:
        """Wait until woken, or until it is time to look."""
        silent = time.monotonic() - self._grew
        pause = min(POLL_LIMIT_SECONDS, max(POLL_SECONDS, silent / 10))
        if self._files and self._directories and self._missed < 2:
            pause = LOOK_SECONDS
        self._wake.wait(pause)

    def grown(self, woken: bool) -> None:
        """Note that there was something to read, and whether that had been said."""
        self._grew = time.monotonic()
        self._missed = 0 if woken else self._missed + 1

    def changed(self, name: str) -> None:
        """Wake the thread if a name in a directory, or the file itself, concerns it."""
        if not name or name == self._path.name or len(self._directories) > 1:
            self._wake.set()

    def close(self) -> None:
        """Watch no longer."""
        if self._inotify is not None:
            for number in (*self._directories.values(), *self._files.values()):
                self._inotify.forget(number, self)
        self._directories, self._files = {}, {}


class _Inotify:
    """The one instance, and the thread that reads it."""

    def __init__(self) -> None:
        from inotify_simple import INotify  # type: ignore[import-untyped]

        self._inotify: Any = INotify()
        self._lock = threading.Lock()
        self._watches: dict[int, set[Watch]] = {}
        threading.Thread(target=self._run, name="inotify", daemon=True).start()

    def watch_directory(self, path: Path, watch: Watch) -> int | None:
        """Watch a directory; None when that cannot be. May hang with its file system."""
        try:
            number: int = self._inotify.add_watch(path, _DIRECTORY_EVENTS)
        except OSError:
            return None
        with self._lock:
            self._watches.setdefault(number, set()).add(watch)
        return number

    def watch_file(self, descriptor: int, watch: Watch) -> int | None:
        """Watch an open file for one event; None when that cannot be."""
        with self._lock:  # the event must not be read before it is known whom it concerns
            try:
                number: int = self._inotify.add_watch(f"/proc/self/fd/{descriptor}", _FILE_EVENTS)
            except OSError:
                return None
            self._watches.setdefault(number, set()).add(watch)
        return number

    def is_watched(self, number: int, watch: Watch) -> bool:
        """Tell whether a watch is still to wake."""
        return watch in self._watches.get(number, ())

    def forget(self, number: int, watch: Watch) -> None:
        """Wake no longer."""
        with self._lock:
            watching = self._watches.get(number, set())
            watching.discard(watch)
            if not watching and self._watches.pop(number, None) is not None:
                try:
                    self._inotify.rm_watch(number)
                except OSError:
                    pass  # gone with its file

    def _run(self) -> None:
        pause = threading.Event()  # unlike sleep it does not mind a clock that is set
        while True:
            events = self._inotify.read()
            with self._lock:
                for number, mask, _, name in events:
                    if mask & _OVERFLOW:
                        for watch in {w for found in self._watches.values() for w in found}:
                            watch.changed("")
                    for watch in self._watches.get(number, ()):
                        watch.changed(name)
                    if mask & _IGNORED:
                        self._watches.pop(number, None)
            pause.wait(_READ_DELAY_SECONDS)


_instance: list[_Inotify | None] = []
_lock = threading.Lock()


def _shared() -> _Inotify | None:
    with _lock:
        if not _instance:
            try:
                _instance.append(_Inotify())
            except (ImportError, MemoryError, OSError, RuntimeError) as error:
                log.warning("no inotify, so log files are looked at from time to time: %s", error)
                _instance.append(None)
        return _instance[0]


def _target(path: Path) -> Path:
    try:
        return path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError):
        return path
