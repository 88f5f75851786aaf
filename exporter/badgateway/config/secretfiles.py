"""Secrets kept in files: read anew at each use, cheaply."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway import regularfile
from badgateway.config.values import CONTROL, Secret

SIZE_LIMIT: Final = 64 * 1024


class SecretError(Exception):
    """A secret cannot be had; the text names the file and the reason, never the content."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret and the state of its file when it was read."""

    secret: Secret
    stamp: tuple[int, ...]


def read(path: Path, before: Kept | None = None) -> Kept:
    """Return the secret in a file, without line ends at its end. May block as files do.

    Args:
        path: the file.
        before: what was read last; returned again while the file has not changed.

    Raises:
        SecretError: it cannot be read, is empty, or is nothing that a header can hold.
    """
    try:
        if before is not None and regularfile.stamp(os.stat(path)) == before.stamp:
            return before
        data, status = regularfile.read(path, SIZE_LIMIT)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from None
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretError(f"{path}: is not UTF-8") from None
    if not text:
        raise SecretError(f"{path}: is empty")
    if CONTROL.search(text):
        raise SecretError(f"{path}: holds more than one line, or a control character")
    return Kept(Secret(text), regularfile.stamp(status))
