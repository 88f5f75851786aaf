"""Users and their passwords: HTTP basic authentication against bcrypt hashes.

A hash costs tens of milliseconds to seconds of a processor, by design. It is computed in a thread
of its own, one at a time, and for a bounded number of waiting requests; what came out is
remembered. An unknown name costs as much as a known one, so that time does not tell who exists.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import statistics
import threading
from collections.abc import Mapping
from typing import Final

import bcrypt

REMEMBERED: Final = 100
"""Right ones, and as many wrong ones: guesses do not push a scraper's answer out."""
WAITING: Final = 16
_BCRYPT_BYTES: Final = 72
"""What bcrypt looks at; more is cut off, as Go and htpasswd do."""
_DUMMY: Final = bcrypt.gensalt(4).decode()[7:] + "." * 31
"""Salt and digest of a hash that no password is known for."""


class BusyError(Exception):
    """Too many passwords are waiting to be checked, or none is checked any more."""


class Users:
    """Checks ``Authorization`` headers."""

    def __init__(self) -> None:
        """Begin with nothing remembered."""
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}
        self._secret = os.urandom(32)
        self._one = asyncio.Lock()
        self._waiting = 0
        self._stopped = asyncio.Event()

    async def allowed(self, users: Mapping[str, str], header: str | None) -> bool:
        """Whether ``header`` names one of ``users`` (name → bcrypt hash) and his password.

        Raises:
            BusyError: it would have to wait for too many others.
        """
        given = credentials(header)
        if given is None:
            return False
        name, password = given
        known = users.get(name)
        hashed = known or _dummy(users)
        key = self._key(name, hashed, password)
        if key in self._right:
            self._right[key] = self._right.pop(key)
            return True
        if key in self._wrong:
            return False
        if self._waiting >= WAITING or self._stopped.is_set():
            raise BusyError
        self._waiting += 1
        try:
            async with self._one:
                fits = await self._computed(password, hashed)
        finally:
            self._waiting -= 1
        right = fits and known is not None
        remembered = self._right if right else self._wrong
        remembered[key] = None
        while len(remembered) > REMEMBERED:
            del remembered[next(iter(remembered))]
        return right

    def stop(self) -> None:
        """Let nobody wait any more, because the exporter stops."""
        self._stopped.set()

    async def _computed(self, password: bytes, hashed: str) -> bool:
        """Return whether they fit.

        Raises:
            BusyError: the exporter stops meanwhile.
        """
        answer = asyncio.ensure_future(_computed(password, hashed))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((answer, stopped), return_when=asyncio.FIRST_COMPLETED)
            if self._stopped.is_set():
                raise BusyError
            return await answer
        finally:
            answer.cancel()
            stopped.cancel()

    def _key(self, name: str, hashed: str, password: bytes) -> bytes:
        """What is remembered instead of the password; lengths keep the parts apart."""
        made = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (name.encode(), hashed.encode(), password):
            made.update(len(part).to_bytes(8, "big") + part)
        return made.digest()


def credentials(header: str | None) -> tuple[str, bytes] | None:
    """Return name and password of a basic ``Authorization`` header, None when it is none."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
        name, colon, password = decoded.partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _dummy(users: Mapping[str, str]) -> str:
    """A hash nobody has the password of, of the cost that most users have."""
    cost = statistics.mode(hashed[4:6] for hashed in users.values())
    return f"$2b${cost}${_DUMMY}"


async def _computed(password: bytes, hashed: str) -> bool:
    """Return whether they fit, computed in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def tell(fits: bool) -> None:
        if not answer.done():
            answer.set_result(fits)

    def compute() -> None:
        fits = _fits(password, hashed)
        try:
            loop.call_soon_threadsafe(tell, fits)
        except RuntimeError:
            pass  # the loop is closed: the exporter has stopped

    threading.Thread(target=compute, name="password", daemon=True).start()
    return await answer


def _fits(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed.encode())
    except ValueError:
        return False
