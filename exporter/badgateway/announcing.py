"""Announcing a deploy: one small file per backend in a directory, the spool.

Format ``badgateway-announcement`` version 1, one JSON object: ``format``, ``version``, ``backend``,
``at`` and ``until`` (seconds since the epoch). It is written to a temporary name and renamed.

The files are other people's. They are bounded, must be regular, and belong to root, to the
exporter or to the directory's owner; to somebody else only where the directory's mode lets its
group, and nobody beyond it, write.
"""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

LIMIT_SECONDS: Final = 3600.0
"""The longest announcement: nobody silences a backend for good."""
NAME_LIMIT: Final = 200
SKEW_SECONDS: Final = 60.0
"""How far the clocks of writer and reader may be apart, as after a step."""

_FORMAT: Final = "badgateway-announcement"
_VERSION: Final = 1
_FILE_BYTES: Final = 2048
_NAME_BYTES: Final = 255
_MODE: Final = 0o770


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


def check_name(backend: str) -> None:
    """Accept a name that a backend can have.

    Raises:
        ValueError: it cannot be one; the text says why.
    """
    if not backend or len(backend) > NAME_LIMIT:
        raise ValueError(f"a backend's name has 1 to {NAME_LIMIT} characters")
    if not backend.isprintable() or " " in backend or backend.startswith("-"):
        raise ValueError("a backend's name has no spaces or control characters and no leading -")
    if len(_name(backend)) > _NAME_BYTES:
        raise ValueError("a backend's name must fit into a file's, where what is not ASCII is long")


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
    folder = opened(directory)
    try:
        _write(folder, backend, now, now + seconds)
    finally:
        os.close(folder)
    return Announcement(backend, now, now + seconds)


def end(
    directory: Path, backend: str, now: float, grace: float = 0.0, made: float | None = None
) -> Announcement | None:
    """Let a backend's announcement end ``grace`` seconds from ``now``, never later than it would.

    Args:
        directory: the spool.
        backend: whose it is.
        now: seconds since the epoch.
        grace: seconds.
        made: when it was made (``Announcement.at``); another one, made meanwhile, is left alone.

    Returns:
        The announcement as it was, or None when none is open.

    Raises:
        ValueError: not a backend's name.
        OSError: the directory cannot be read or written.
    """
    check_name(backend)
    try:
        folder = opened(directory)
    except FileNotFoundError:
        return None
    try:
        before = read(folder, _name(backend), os.fstat(folder), now)
        if before.until <= now or made not in (None, before.at):
            return None
        try:
            _write(folder, backend, before.at, min(before.until, now + grace))
        except OSError:  # such as a full disk; that takes no space
            os.unlink(_name(backend), dir_fd=folder)
    except (FileNotFoundError, ValueError):
        return None
    finally:
        os.close(folder)
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
    # Not by its path: whoever owns the directory above could have put a link there by now.
    folder = opened(directory)
    try:
        if os.geteuid() == 0:
            above = directory.parent.stat()
            os.fchown(folder, above.st_uid, above.st_gid)
        os.fchmod(folder, _MODE)  # whatever the umask says
    finally:
        os.close(folder)


def opened(directory: Path) -> int:
    """Return a descriptor of the spool; raises OSError where it is a link or no directory."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _name(backend: str) -> str:
    quoted = quote(backend, safe="@:")
    return (f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted) + ".json"


def _write(folder: int, backend: str, at: float, until: float) -> None:
    text = msgspec.json.encode(_File(_FORMAT, _VERSION, backend, at, until))
    temporary = f".{secrets.token_hex(8)}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text + b"\n")
            file.flush()
            # the exporter is somebody else; who gets here the directory says
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        os.rename(temporary, _name(backend), src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        remove(folder, temporary)
        raise


def read(folder: int, name: str, above: os.stat_result, now: float) -> Announcement:
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
    if said.at > now + SKEW_SECONDS:
        raise ValueError("it is of the future")
    if not 0 <= said.until - said.at <= LIMIT_SECONDS + 1:
        raise ValueError("it promises more than may be announced")
    return Announcement(said.backend, said.at, said.until, _user(status.st_uid))


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def remove(folder: int, name: str) -> None:
    """Remove a file of the spool if that can be done."""
    with contextlib.suppress(OSError):  # a little rubbish stays
        os.unlink(name, dir_fd=folder)
