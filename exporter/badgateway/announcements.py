"""Announced deploys: a spool of one small file per backend, below the state directory.

A deploy writes its announcement, the exporter reads it; neither needs the other to run at that
moment, and an announcement outlives a restart of both. It ends by itself: the file says when, and
one that promises more than ``LIMIT_SECONDS`` is not believed.

Format ``badgateway-announcement`` version 1, one JSON object: ``format``, ``version``, ``backend``,
``at`` and ``until`` (seconds since the epoch). It is written to a temporary name and renamed.

The files are other people's. They are bounded, must be regular, and belong to root, to the
exporter or to the directory's owner; to somebody else only where the directory's mode lets its
group, and nobody beyond it, write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import pwd
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from badgateway.blocking import Blocking, HungError

FOLDER: Final = "announcements"
"""The spool's name, below the state directory."""
LOOK_SECONDS: Final = 1.0
LIMIT_SECONDS: Final = 3600.0
"""The longest announcement: nobody silences a backend for good."""
NAME_LIMIT: Final = 200

_FORMAT: Final = "badgateway-announcement"
_VERSION: Final = 1
_SKEW_SECONDS: Final = 60.0
_FILE_BYTES: Final = 2048
_FILES: Final = 500
_KEPT_SECONDS: Final = 30 * 24 * 3600.0
_MODE: Final = 0o770
_FRESH_SECONDS: Final = 2.0

log = logging.getLogger("badgateway")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A deploy that somebody announced.

    Attributes:
        backend: what is deployed.
        at: when it was announced, seconds since the epoch.
        until: when the announcement ends.
        by: name of the user who announced it.
    """

    backend: str
    at: float
    until: float
    by: str = ""


class _File(msgspec.Struct, frozen=True):
    format: str
    version: int
    backend: str
    at: float
    until: float


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
            folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
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
        return (
            found if found is not None and found.at - _SKEW_SECONDS <= now < found.until else None
        )

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
                announcement = _trusted(folder, name, status, now)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                problems.add(f"{name[:100]!a}: {reason}")
                continue
            if now - announcement.until > _KEPT_SECONDS:
                _remove(folder, name)
                continue
            found[announcement.backend] = announcement
        for problem in sorted(problems - self._problems)[:10]:
            log.warning("an announcement is not believed: %s", problem)
        self._problems = frozenset(problems)
        return found


def check_name(backend: str) -> None:
    """Accept a name that a backend can have.

    Raises:
        ValueError: it cannot be one; the text says why.
    """
    if not backend or len(backend) > NAME_LIMIT:
        raise ValueError(f"a backend's name has 1 to {NAME_LIMIT} characters")
    if not backend.isprintable() or " " in backend or backend.startswith("-"):
        raise ValueError("a backend's name has no spaces or control characters and no leading -")


def announce(directory: Path, backend: str, seconds: float, now: float) -> Announcement:
    """Write that a backend is being deployed from ``now`` for ``seconds``; replaces what was.

    Raises:
        ValueError: not a backend's name, or longer than ``LIMIT_SECONDS``.
        OSError: the directory cannot be written.
    """
    check_name(backend)
    if not 0 < seconds <= LIMIT_SECONDS:
        raise ValueError(f"longer than the {LIMIT_SECONDS / 60:.0f}m that can be announced")
    make(directory)
    _write(directory, backend, now, now + seconds)
    return Announcement(backend, now, now + seconds)


def end(directory: Path, backend: str, now: float, grace: float = 0.0) -> Announcement | None:
    """Let a backend's announcement end ``grace`` seconds from ``now``, never later than it would.

    Returns:
        The announcement as it was, or None when none is open.

    Raises:
        ValueError: not a backend's name.
        OSError: the directory cannot be read or written.
    """
    check_name(backend)
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        before = _trusted(folder, _name(backend), os.fstat(folder), now)
    except (FileNotFoundError, ValueError):
        return None
    finally:
        os.close(folder)
    if before.until <= now:
        return None
    _write(directory, backend, before.at, min(before.until, now + grace))
    return before


def make(directory: Path) -> None:
    """Make the spool directory, for the owner and the group of the one it is in.

    Raises:
        OSError: it cannot be made.
    """
    try:
        directory.mkdir(mode=_MODE)
    except FileExistsError:
        return
    directory.chmod(_MODE)  # whatever the umask says
    if os.geteuid() == 0:
        above = directory.parent.stat()
        os.chown(directory, above.st_uid, above.st_gid)


def _name(backend: str) -> str:
    quoted = quote(backend, safe="@:")
    return (f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted) + ".json"


def _write(directory: Path, backend: str, at: float, until: float) -> None:
    name = _name(backend)
    text = msgspec.json.encode(_File(_FORMAT, _VERSION, backend, at, until))
    temporary = directory / f".{name}.{os.getpid()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o644)
    try:
        os.fchmod(file, 0o644)  # the exporter is somebody else; who gets here the directory says
        os.write(file, text + b"\n")
        os.fsync(file)
        os.rename(temporary, directory / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def _trusted(folder: int, name: str, above: os.stat_result, now: float) -> Announcement:
    """Return what a file announces.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not to be believed; the text says why.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise ValueError("not a file of its own")
        group_only = above.st_mode & (stat.S_IWGRP | stat.S_IWOTH) == stat.S_IWGRP
        if status.st_uid not in (0, os.geteuid(), above.st_uid) and not group_only:
            raise ValueError("its owner may not announce")
        if status.st_size > _FILE_BYTES:
            raise ValueError("too large")
        raw = os.read(file, _FILE_BYTES)
    finally:
        os.close(file)
    try:
        said = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("not an announcement") from None
    if said.format != _FORMAT or said.version != _VERSION:
        raise ValueError("not an announcement of a known version")
    check_name(said.backend)
    if _name(said.backend) != name:
        raise ValueError("it is about another backend than its name")
    if not (math.isfinite(said.at) and math.isfinite(said.until)):
        raise ValueError("its times are none")
    if said.at > now + _SKEW_SECONDS:
        raise ValueError("it is of the future")
    if not 0 <= said.until - said.at <= LIMIT_SECONDS + 1:
        raise ValueError("it promises more than may be announced")
    return Announcement(said.backend, said.at, said.until, _user(status.st_uid))


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _remove(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):  # a little rubbish stays
        os.unlink(name, dir_fd=folder)
