"""Announced deploys, as an exporter sees them: the files of ``announcing``, read again and again.

A deploy writes its announcement, the exporter reads it; neither needs the other to run at that
moment, and an announcement outlives a restart of both. It ends by itself: the file says when, and
one that promises more than ``announcing.LIMIT_SECONDS`` is not believed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Final

from badgateway.announcing import SKEW_SECONDS, Announcement, make, opened, read, remove
from badgateway.blocking import Blocking, HungError

FOLDER: Final = "announcements"
"""The spool's name, below the state directory."""
LOOK_SECONDS: Final = 1.0

_FILES: Final = 500
_KEPT_SECONDS: Final = 30 * 24 * 3600.0
_FRESH_SECONDS: Final = 2.0

log = logging.getLogger("badgateway")


class Announcements:
    """What is announced, as the directory's files say."""

    def __init__(self, directory: Path | None) -> None:
        """Make the directory if need be; None where there is no state: nothing is announced."""
        self._directory = directory
        self._seen: tuple[int, ...] | None = None
        self._found: dict[str, Announcement] = {}
        self._problems: frozenset[str] = frozenset()
        if directory is not None:
            try:
                make(directory)
            except OSError as error:
                log.warning("deploys cannot be announced: %s: %s", directory, error.strerror)

    async def run(self) -> None:
        """Look until cancelled."""
        disk = Blocking("reading announcements", 2.0)
        while self._directory is not None:
            try:
                await disk.call(self.look, time.time())
            except HungError as error:
                log.warning("%s", error)
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Read what changed; blocks on the disk. A directory that is gone announces nothing."""
        if self._directory is None:
            return
        try:
            folder = opened(self._directory)
        except OSError:
            self._found, self._seen = {}, None
            return
        try:
            status = os.fstat(folder)
            seen = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
            # what changes twice within one tick of the file system's clock changes its time once
            if seen == self._seen and now - status.st_mtime > _FRESH_SECONDS:
                return
            self._seen = seen
            self._found = self._read(folder, status, now)
        finally:
            os.close(folder)

    def open(self, backend: str, now: float) -> Announcement | None:
        """Return the announcement that a backend is being deployed now, or None."""
        found = self._found.get(backend)
        return found if found is not None and found.at - SKEW_SECONDS <= now < found.until else None

    def last(self, backend: str) -> float:
        """Return when a deploy of a backend was last announced; 0 for never."""
        found = self._found.get(backend)
        return found.at if found is not None else 0.0

    def _read(self, folder: int, status: os.stat_result, now: float) -> dict[str, Announcement]:
        found: dict[str, Announcement] = {}
        problems: set[str] = set()
        with os.scandir(folder) as entries:
            names = [e.name for e, _ in zip(entries, range(_FILES), strict=False)]
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(".json"):
                continue
            try:
                announcement = read(folder, name, status, now)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.add(f"{name[:100]!a}: {reason}")
                continue
            if now - announcement.until > _KEPT_SECONDS:
                remove(folder, name)
                continue
            found[announcement.backend] = announcement
        for problem in sorted(problems - self._problems)[:10]:
            log.warning("an announcement is not believed: %s", problem)
        self._problems = frozenset(problems)
        return found
