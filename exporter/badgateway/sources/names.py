"""Names of upstreams looked up with this host's own resolver, again and again.

Only names that a configuration leads to are asked for. Needs no privilege.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from badgateway.blocking import Blocking, HungError
from badgateway.topology.destinations import Resolved

LOOK_SECONDS: Final = 15.0
"""Between two lookups of a name."""
DOUBT_SECONDS: Final = 2.0
"""Until a name that was said to lead nowhere, or elsewhere than before, is asked for once more."""
_LIMIT: Final = 200
_PATIENCE_SECONDS: Final = 5.0
_NOTHING: Final = frozenset((socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)))
UNASKED: Final = Resolved()


class Names:
    """Keeps what names lead to."""

    def __init__(self) -> None:
        self._resolver = Blocking("resolving names", _PATIENCE_SECONDS)
        self._wanted: frozenset[str] = frozenset()
        self._asked: dict[str, float] = {}
        self._found: dict[str, Resolved] = {}
        self._doubts: dict[str, Resolved] = {}
        self.changed = asyncio.Event()
        """Set when a name leads elsewhere than it did."""
        self.servers: frozenset[str] = frozenset()
        """The name servers that this host asks."""

    def want(self, names: Iterable[str]) -> None:
        """Look up exactly these names from now on; of very many only the first by name."""
        self._wanted = frozenset(sorted(set(names))[:_LIMIT])
        for kept in (self._asked, self._found, self._doubts):
            for gone in set(kept) - self._wanted:
                kept.pop(gone, None)

    @property
    def found(self) -> Mapping[str, Resolved]:
        """Name → what it leads to; without those not asked for yet."""
        return MappingProxyType(self._found)

    async def run(self) -> None:
        """Look names up until cancelled."""
        while True:
            for name in sorted(self._wanted):
                pause = DOUBT_SECONDS if name in self._doubts else LOOK_SECONDS
                if time.monotonic() - self._asked.get(name, -LOOK_SECONDS) >= pause:
                    await self._ask(name)
            await asyncio.sleep(0.5)

    async def _ask(self, name: str) -> None:
        now = time.time()
        try:
            seen, self.servers = await self._resolver.call(_asked, name)
        except HungError:
            seen = UNASKED
        self._asked[name] = time.monotonic()
        if name in self._wanted:
            self._take(name, seen, now)

    def _take(self, name: str, seen: Resolved, now: float) -> None:
        before, doubt = self._found.get(name), self._doubts.pop(name, None)
        if before is not None and _same(before, seen):
            return
        # one answer may be a hiccup of the resolver
        if before is not None and before.known and (doubt is None or not _same(doubt, seen)):
            self._doubts[name] = seen
            return
        self._found[name] = Resolved(seen.addresses, seen.known, now)
        self.changed.set()


def _asked(name: str) -> tuple[Resolved, frozenset[str]]:
    return resolve(name), servers()


def resolve(name: str) -> Resolved:
    """Return what a name leads to (getaddrinfo(3)); may block for many seconds."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Resolved(known=error.errno in _NOTHING)
    except (OSError, UnicodeError):
        return UNASKED
    return Resolved(tuple(sorted({str(entry[4][0]).partition("%")[0] for entry in found})), True)


def servers(path: str = "/etc/resolv.conf") -> frozenset[str]:
    """Return the name servers that this host asks (resolv.conf(5)); may block."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    words = (line.split() for line in lines)
    return frozenset(found[1] for found in words if found[:1] == ["nameserver"] and found[1:])


def _same(one: Resolved, other: Resolved) -> bool:
    """Whether two answers say the same; one of several addresses given in turn is no change."""
    if one.known != other.known or bool(one.addresses) != bool(other.addresses):
        return False
    return not one.addresses or bool(set(one.addresses) & set(other.addresses))
