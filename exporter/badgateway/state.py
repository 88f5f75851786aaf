"""The checkpoint: positions, counters and what was learnt, in one file, replaced atomically.

Format ``badgateway-checkpoint`` version 1: a first line of JSON with the format, its version and
the SHA-256 of the rest; then one JSON document. It is written to a temporary name, flushed to the
disk, renamed, and the directory is flushed: a reader finds the old or the new one, never a mixture.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from badgateway.counters import Snapshot

FORMAT = "badgateway-checkpoint"
VERSION = 1
FILE = "checkpoint.json"


class StateError(Exception):
    """The state directory cannot be used; the text says why and what to do."""


class LockedError(StateError):
    """Another exporter uses the same state directory."""


class _Header(msgspec.Struct, frozen=True):
    format: str
    version: int
    sha256: str


class Document(msgspec.Struct):
    """What is saved.

    Attributes:
        host: identifies the host the positions belong to.
        saved: when, seconds since the epoch.
        positions: source name → the source's own position.
        counters: metric → list of (label values, value).
        newborn: (metric, label values) of the series that no scrape has seen as 0 yet.
        memory: what was learnt while things were healthy.
    """

    host: str = ""
    saved: float = 0.0
    positions: dict[str, dict[str, Any]] = {}
    counters: dict[str, list[tuple[list[str], float]]] = {}
    newborn: list[tuple[str, list[str]]] = []
    memory: dict[str, Any] = {}

    def snapshot(self) -> Snapshot:
        """The counters in the form ``Counters.restore`` takes."""
        return Snapshot(
            {
                name: {tuple(labels): value for labels, value in series}
                for name, series in self.counters.items()
            },
            frozenset((name, tuple(labels)) for name, labels in self.newborn),
        )


def document(
    snapshot: Snapshot, positions: Mapping[str, Mapping[str, Any]], memory: Mapping[str, Any]
) -> Document:
    """Bring together what belongs into one checkpoint of this host."""
    return Document(
        host=host_identity(),
        saved=time.time(),
        positions={source: dict(position) for source, position in positions.items()},
        counters={
            name: [(list(labels), value) for labels, value in series.items()]
            for name, series in snapshot.series.items()
        },
        newborn=[(name, list(labels)) for name, labels in sorted(snapshot.newborn)],
        memory=dict(memory),
    )


def host_identity() -> str:
    """A name for this host that does not give its machine id away (machine-id(5))."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            machine = Path(path).read_text().strip()
        except OSError:
            continue
        if machine:
            return hashlib.sha256(b"badgateway" + machine.encode()).hexdigest()[:16]
    return "unknown"


class Checkpoint:
    """The checkpoint file of one state directory, locked against a second exporter."""

    def __init__(self, directory: Path) -> None:
        """Create and lock ``directory``.

        Raises:
            LockedError: another exporter holds it.
            StateError: it cannot be created or written.
        """
        self.directory = directory
        self.path = directory / FILE
        self.problem = ""
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StateError(
                f"cannot write the state directory {directory}: {error.strerror}; "
                "make it writable or choose another with --storage.path"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LockedError(
                f"another badgateway uses the state directory {directory}; "
                "stop it or choose another directory with --storage.path"
            ) from None

    def load(self) -> Document | None:
        """Return the last checkpoint, or None when there is none that can be used.

        One that cannot be used is moved aside and ``problem`` says why: it is evidence, and
        counting on from nothing must be told as a gap.
        """
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problem = f"cannot read {self.path}: {error.strerror}"
            return None
        try:
            loaded = decode(raw)
            if loaded.host != host_identity():
                raise ValueError("it was written on another host")
        except ValueError as error:
            aside = self.path.with_name(f"{FILE}.{int(time.time())}.unusable")
            self.problem = f"{self.path} cannot be used ({error}); it was moved to {aside.name}"
            try:
                self.path.rename(aside)
            except OSError:
                pass  # it will be overwritten by the next checkpoint
            return None
        return loaded

    def save(self, document: Document) -> None:
        """Replace the checkpoint; durable when this returns.

        Raises:
            OSError: the old checkpoint stays as it was.
        """
        temporary = self.path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(encode(document))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let another exporter have the directory."""
        os.close(self._lock)


def encode(document: Document) -> bytes:
    """Return the file's bytes for ``document``."""
    body = msgspec.json.encode(document)
    header = _Header(FORMAT, VERSION, hashlib.sha256(body).hexdigest())
    return msgspec.json.encode(header) + b"\n" + body + b"\n"


def decode(raw: bytes) -> Document:
    """Return the document in ``raw``.

    Raises:
        ValueError: not a checkpoint, of another version, or damaged.
    """
    first, _, body = raw.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except msgspec.MsgspecError:
        raise ValueError("it is not a checkpoint") from None
    if header.format != FORMAT:
        raise ValueError("it is not a checkpoint")
    if header.version != VERSION:
        raise ValueError(f"its version is {header.version}, this exporter writes {VERSION}")
    body = body.removesuffix(b"\n")
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise ValueError("it is damaged")
    try:
        return msgspec.json.decode(body, type=Document)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
