"""A proxy's configuration, disk against memory, as far as it is known at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway.topology.proxies.place import ProxyFound, ProxyPlace


@dataclass(frozen=True, slots=True)
class Tested:
    """What the proxy's own test said of its files.

    Attributes:
        valid: whether it would accept them; None where that cannot be told.
        message: its words, or why it was not asked.
        place: ``file:line`` that it names; empty for none.
    """

    valid: bool | None
    message: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class ProxyState:
    """A proxy at one moment.

    Attributes:
        found: what it serves; None before it was looked at.
        running: whether its process runs; None where that cannot be seen.
        tested: what its own test said of the files as they are now; None where it was not run.
        pending: whether its files say something else than it has loaded; False where that is not
            known.
        pending_since: when that was first so, seconds since the epoch; 0 for not.
        place: where it is found; None before it was looked at.
    """

    found: ProxyFound | None = None
    running: bool | None = None
    tested: Tested | None = None
    pending: bool = False
    pending_since: float = 0.0
    place: ProxyPlace | None = None
