"""Request headers of probes; their values are secrets, some of them kept in files."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from badgateway import config as settings
from badgateway.blocking import Blocking, HungError
from badgateway.config import secretfiles
from badgateway.config.secretfiles import Kept, SecretError

log = logging.getLogger("badgateway.probes")

PATIENCE_SECONDS: Final = 1.0
"""A file that takes longer is on a disk that hangs."""


@dataclass(frozen=True, slots=True)
class Header:
    """One header and where its value comes from.

    Attributes:
        name: as it is sent.
        source: the secret, or the file that holds it.
        scheme: what stands before it, for ``Authorization``.
        username: sent before it in basic authentication (RFC 7617); None for other headers.
    """

    name: str
    source: settings.Secret | settings.SecretFile
    scheme: str = ""
    username: str | None = None

    def value(self, secret: settings.Secret) -> bytes:
        """Return the header's value made of its secret."""
        text = secret.reveal().encode()
        if self.username is not None:
            text = base64.b64encode(f"{self.username}:".encode() + text)
        return f"{self.scheme} ".encode() + text if self.scheme else text


def configured(probe: settings.Probe) -> tuple[Header, ...]:
    """Return the headers a configured probe sends, in a stable order."""
    return tuple(sorted(_given(probe), key=lambda header: header.name))


def _given(probe: settings.Probe) -> Iterator[Header]:
    for name, secret in probe.headers.items():
        yield Header(name, secret)
    for name, file in probe.headers_file.items():
        yield Header(name, file)
    basic, other = probe.basic_auth, probe.authorization
    if basic is not None:
        source = basic.password or basic.password_file
        assert source is not None
        yield Header("Authorization", source, "Basic", basic.username)
    if other is not None:
        source = other.credentials or other.credentials_file
        assert source is not None
        yield Header("Authorization", source, other.type)


class RequestHeaders:
    """The headers of one target: what is in files is read anew for each request."""

    def __init__(self, headers: tuple[Header, ...], owner: str) -> None:
        """Begin.

        Args:
            headers: what to send.
            owner: whose they are, for the log.
        """
        self._headers, self._owner = headers, owner
        sources = (header.source for header in headers)
        self._paths = [s.path for s in sources if isinstance(s, settings.SecretFile)]
        self._files = Blocking("reading a secret", PATIENCE_SECONDS)
        self._kept: dict[Path, Kept] = {}
        self._problem = ""

    async def read(self) -> list[tuple[bytes, bytes]]:
        """Return names and values.

        Raises:
            SecretError: a file cannot be read; logged when that is news.
        """
        if not self._paths:
            return self._collect()
        problem = ""
        try:
            found = await self._files.call(self._collect)
        except SecretError as error:
            problem = str(error)
        except HungError:
            problem = f"{', '.join(map(str, self._paths))}: the disk does not answer"
        if problem:
            if problem != self._problem:
                self._problem = problem
                log.error("%s: no probe without its secret: %s", self._owner, problem)
            raise SecretError(problem)
        if self._problem:
            log.info("%s: its secrets can be read again", self._owner)
            self._problem = ""
        return found

    def _collect(self) -> list[tuple[bytes, bytes]]:
        found = []
        for header in self._headers:
            source = header.source
            if isinstance(source, settings.SecretFile):
                kept = secretfiles.read(source.path, self._kept.get(source.path))
                self._kept[source.path] = kept
                source = kept.secret
            found.append((header.name.encode(), header.value(source)))
        return found
