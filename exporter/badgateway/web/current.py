"""The web configuration as it is on disk now, read again whenever it has changed.

As with exporter-toolkit, a change counts from the next request or handshake on, without a reload.
Each use costs one ``stat`` for each file; they are read only when that shows a change. A file that
has become bad is an error for every use until it is good again: nothing is served by what it said
before. So is one that has lost a protection it had, as one that is being written for a moment has:
that takes a restart. Only while the disk does not answer at all, what it said last holds.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from badgateway import regularfile
from badgateway.blocking import Blocking
from badgateway.web import tls, webconfig
from badgateway.web.weboptions import Tls, WebConfig, WebConfigError

log = logging.getLogger(__name__)

_Fingerprint = tuple[object, ...]
_SETTLE_SECONDS: Final = 0.1
"""A file changed so recently may change again without its times showing it."""

_PATIENCE_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 1.0
"""How long a file that cannot be used is believed to be the same."""


class Current:
    """One web configuration file; without one, what holds without."""

    def __init__(self, path: Path | None) -> None:
        """Read the file.

        Raises:
            WebConfigError: it or a file it names cannot be used.
        """
        self._path = path
        self._config = WebConfig()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._seen: _Fingerprint | None = None
        self._files_seen: _Fingerprint | None = None
        self._read_at = 0.0
        self._problem = ""
        self._told = ""
        self._had_content = False
        self._disk = Blocking("reading the web configuration", _PATIENCE_SECONDS)
        if path is not None:
            self.look()
            if self.config.tls is not None:
                self.context(self.config.tls)

    async def refresh(self) -> None:
        """Look at the file before it is used; a disk that hangs is not waited for."""
        if self._path is not None and not self._disk.is_hung:
            try:
                await self._disk.call(self.look)
            except OSError as error:
                log.warning("%s; what was read last holds", error)

    async def fresh_context(self, wanted: Tls, curve: str = "") -> ssl.SSLContext:
        """Return the context for a handshake; a disk that hangs is not waited for.

        Raises:
            WebConfigError: a file cannot be used now.
        """
        if not self._disk.is_hung:
            try:
                return await self._disk.call(self.context, wanted, curve)
            except OSError as error:
                log.warning("%s; what was read last holds", error)
        known = self._contexts.get(curve)
        if known is None:
            raise WebConfigError(f"{self._path}: the certificates cannot be read now")
        return known

    def look(self) -> None:
        """Read the file if it has changed. May block."""
        assert self._path is not None
        seen = _fingerprint((self._path,))
        again = self._problem and time.monotonic() - self._read_at > _AGAIN_SECONDS
        if seen is None or seen != self._seen or again:
            self._read()
            self._seen, self._read_at = seen, time.monotonic()

    @property
    def config(self) -> WebConfig:
        """What the file asks for, by the last look.

        Raises:
            WebConfigError: it cannot be used now.
        """
        if self._problem:
            raise WebConfigError(self._problem)
        return self._config

    @property
    def is_tls(self) -> bool:
        """Whether TLS is wanted, by the last file that could be used."""
        return self._config.tls is not None

    def wants_tls(self) -> Tls | None:
        """Return the TLS to speak, None for plain HTTP.

        Raises:
            WebConfigError: the file cannot be used now.
        """
        return self.config.tls

    def context(self, wanted: Tls, curve: str = "") -> ssl.SSLContext:
        """Return the context for a handshake, from the files as they are now. May block.

        Raises:
            WebConfigError: one of them cannot be used now.
        """
        seen = _fingerprint(wanted.files)
        seen = None if seen is None else (wanted, *seen)
        if seen is None or seen != self._files_seen:
            self._contexts = {}
            self._files_seen = seen
        if curve not in self._contexts:
            try:
                self._contexts[curve] = tls.context(wanted, curve)
            except WebConfigError:
                self._files_seen = None
                raise
        return self._contexts[curve]

    def tell(self, problem: str) -> None:
        """Log a problem with the file when it is new, and that it is gone when it is empty."""
        if problem and problem != self._told:
            log.error("the web configuration cannot be used, nothing is served: %s", problem)
        elif self._told and not problem:
            log.info("the web configuration can be used again")
        self._told = problem

    def _read(self) -> None:
        assert self._path is not None
        try:
            found = webconfig.read(self._path)
            empty = found == WebConfig()
            if empty and self._had_content:
                raise WebConfigError(
                    f"{self._path}: asks for nothing any more; restart to serve without protection"
                )
            if lost := _lost(self._config, found):
                raise WebConfigError(f"{self._path}: {lost}")
        except WebConfigError as error:
            self._problem = str(error)
            return
        self._had_content = self._had_content or not empty
        self._config, self._problem = found, ""


def _lost(before: WebConfig, now: WebConfig) -> str:
    """Say which protection a file has lost; empty when none."""
    if before.users and not now.users:
        return "basic_auth_users is gone; restart to serve without users"
    if before.tls is None:
        return ""
    if now.tls is None:
        return "tls_server_config is gone; restart to serve without TLS"
    required = "RequireAndVerifyClientCert"
    if before.tls.client_auth_type == required != now.tls.client_auth_type:
        return f"client_auth_type is {required} no more; restart to let in clients without one"
    if before.tls.client_allowed_sans and not now.tls.client_allowed_sans:
        return "client_allowed_sans is gone; restart to let in every certificate"
    return ""


def _fingerprint(paths: Iterable[Path]) -> _Fingerprint | None:
    """Return what changes when one of the files does, None when that cannot be told."""
    found: list[object] = []
    now = time.time()
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            found.append(error.errno)
            continue
        if abs(now - max(status.st_ctime, status.st_mtime)) < _SETTLE_SECONDS:
            return None
        found.append(regularfile.stamp(status))
    return tuple(found)
